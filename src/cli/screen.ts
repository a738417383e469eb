import type { WriteStream } from 'node:tty';

/** Another screen than the one with the shell's lines, and no cursor on it; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** A terminal that is drawn over in place, in any size, and is left as it was found. */
export class Screen {
  readonly #terminal: WriteStream;
  #text = '';
  readonly #redraw = (): void => this.draw(this.#text);
  readonly #onEnd = (signal: NodeJS.Signals): void => {
    this.close();
    // Ends as if it had not been caught.
    process.kill(process.pid, signal);
  };
  readonly #onStop = (): void => {
    this.#terminal.write(LEAVE);
    process.kill(process.pid, 'SIGSTOP');
  };
  readonly #onContinue = (): void => {
    this.#terminal.write(ENTER);
    this.#redraw();
  };

  constructor(terminal: WriteStream) {
    this.#terminal = terminal;
    terminal.write(ENTER);
    terminal.on('resize', this.#redraw);
    for (const signal of ENDS) process.on(signal, this.#onEnd);
    process.on('SIGTSTP', this.#onStop);
    process.on('SIGCONT', this.#onContinue);
  }

  /** Shows as much of the text as there is room for, and says where there is more. */
  draw(text: string): void {
    this.#text = text;
    // A terminal that does not say its size has none.
    const columns = this.#terminal.columns || 80;
    const rows = this.#terminal.rows || 24;
    let lines = text.trimEnd().split('\n');
    if (lines.length > rows) {
      const hidden = lines.length - rows + 1;
      lines = [...lines.slice(0, rows - 1), `… ${hidden} more lines; make the window taller`];
    }
    const shown = lines.map((line) => clip(line, columns) + CLEAR_LINE);
    this.#terminal.write(HOME + shown.join('\r\n') + CLEAR_BELOW);
  }

  close(): void {
    this.#terminal.off('resize', this.#redraw);
    for (const signal of ENDS) process.off(signal, this.#onEnd);
    process.off('SIGTSTP', this.#onStop);
    process.off('SIGCONT', this.#onContinue);
    this.#terminal.write(LEAVE);
  }
}

const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function clip(line: string, columns: number): string {
  const characters = [...line];
  if (characters.length <= columns) return line;
  return `${characters.slice(0, columns - 1).join('')}…`;
}
