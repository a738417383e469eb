import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from './wait.js';

const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** Makes sure that a child does not outlive this process. */
export function tied(child: ChildProcess): ChildProcess {
  living.add(child);
  child.once('exit', () => living.delete(child));
  child.once('error', () => living.delete(child));
  return child;
}

/** A Node script in a process of its own, which says on standard output, in JSON lines, how it is. */
export class NodeProcess {
  readonly #child: ChildProcess;
  stdout = '';
  stderr = '';

  constructor(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env) {
    this.#child = tied(
      spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env }),
    );
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
  }

  /** Waits for the first line on standard output and gives what it holds. */
  async firstLine<T>(): Promise<T> {
    await waitFor(
      () => this.stdout.includes('\n') || this.hasExited,
      () => `the first line of the process; its log: ${this.stderr}`,
    );
    if (!this.stdout.includes('\n')) {
      throw new Error(`the process ended without a line on standard output: ${this.stderr}`);
    }
    return JSON.parse(this.stdout.split('\n', 1)[0] as string) as T;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Sends any signal: SIGSTOP and SIGCONT make it hang and go on. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for the end and gives the exit code; null where a signal ended it. */
  async exited(): Promise<number | null> {
    if (!this.hasExited) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  /** Ends it, even where it hangs, and waits until it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (!this.hasExited) {
      this.#child.kill('SIGCONT');
      this.#child.kill(signal);
    }
    return this.exited();
  }
}
