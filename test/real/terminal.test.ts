import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { tied } from '../support/process.js';
import { hasPython, python } from '../support/python.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PTY = fileURLToPath(new URL('../fixtures/terminal.py', import.meta.url));
const HOME = '\u001b[H';
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const CTRL_C = '03';

/** `rollcall top` on a pseudo-terminal. */
class Terminal {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  output = '';

  constructor(rows: number, columns: number, args: readonly string[]) {
    const command = [process.execPath, MAIN, 'top', '--interval-ms', '200', ...args];
    this.#child = tied(spawn(python, [PTY, String(rows), String(columns), ...command]));
    this.#ended = once(this.#child, 'exit');
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** The lines of the picture that was drawn last and whole. */
  get lines(): string[] {
    const picture = this.output.split(HOME).at(-2) ?? '';
    // The terminal's driver puts a further return before each new line.
    return picture.split(/\r+\n/).map((line) => line.replaceAll(/\u001b\[[KJ]/g, ''));
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async ends(): Promise<unknown> {
    return (await this.#ended)[0];
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

describe.runIf(hasPython)('rollcall top in a terminal', () => {
  const ends: (() => unknown)[] = [];
  afterEach(() => Promise.all(ends.splice(0).map((end) => end())));
  const open = (rows: number, columns: number, ...args: string[]): Terminal => {
    const terminal = new Terminal(rows, columns, args);
    ends.push(() => terminal.kill());
    return terminal;
  };
  const start = async (): Promise<ServeProcess> => {
    const node = await ServeProcess.start(['--name', 'a-node-with-a-rather-long-name']);
    ends.push(() => node.stop());
    return node;
  };
  const shows = (terminal: Terminal, line: RegExp): Promise<unknown> =>
    waitFor(
      () => terminal.lines.some((each) => line.test(each)),
      () => `${line}; it shows ${terminal.lines.join('\n')}`,
    );

  it('is drawn in place in any window, and gives the screen and the cursor back', async () => {
    const node = await start();
    const terminal = open(24, 200, '--url', node.url);
    await shows(terminal, /^a-node-with-a-rather-long-name +ready .*0\.0/);
    expect(terminal.output.startsWith(ENTER + HOME)).toBe(true);
    // Nothing moves the picture: as many lines as there are rows at most, and none wraps.
    const fits = (rows: number, columns: number): boolean =>
      terminal.lines.length <= rows && terminal.lines.every((line) => line.length <= columns);
    expect(fits(24, 200)).toBe(true);
    terminal.say('size 10 40');
    await waitFor(
      () => fits(10, 40) && terminal.lines.some((line) => line.length === 40),
      () => `a narrow picture; it shows ${terminal.lines.join('\n')}`,
    );
    expect(terminal.lines.find((line) => line.startsWith('NODE'))).toMatch(/^.{39}…$/);
    terminal.say('size 3 40');
    await shows(terminal, /^… 3 more lines; make the window taller$/);
    expect(fits(3, 40)).toBe(true);
    terminal.say('size 24 200');
    await shows(terminal, /^a-node-with-a-rather-long-name +ready /);
    expect(terminal.output).not.toContain(LEAVE);
    terminal.say(`type ${CTRL_C}`);
    // As a program ends that ctrl-c ends.
    expect(await terminal.ends()).toBe(130);
    expect(terminal.output.endsWith(LEAVE)).toBe(true);
  });

  it('says on the screen of the shell what it cannot reach', async () => {
    const node = await start();
    await node.stop();
    const terminal = open(24, 80, '--url', node.url);
    expect(await terminal.ends()).toBe(1);
    expect(terminal.output).toMatch(/^rollcall: no node of rollcall can be reached/);
    expect(terminal.output).not.toContain('\u001b');
  });

  it('goes on in its place while its node is away', async () => {
    const node = await start();
    const terminal = open(24, 120, '--url', node.url);
    await shows(terminal, /ready/);
    await node.stop();
    await shows(terminal, /^no node of rollcall can be reached/);
    terminal.say(`type ${CTRL_C}`);
    expect(await terminal.ends()).toBe(130);
    expect(terminal.output.endsWith(LEAVE)).toBe(true);
  });
});
