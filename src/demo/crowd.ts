import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the crowd's process is told: how many there are to be, and how fast they come. */
export interface CrowdOrder {
  readonly size: number;
  readonly perSecond: number;
  readonly urls: readonly string[];
}

/** What it says. */
export interface CrowdState {
  /** How many there are to be. */
  readonly size: number;
  /** How many are connected. */
  readonly connected: number;
}

export const EMPTY_CROWD: CrowdState = { size: 0, connected: 0 };
const MOST = 3000;

/** Simulated users: real connections from a process of their own, spread over the nodes. */
export class Crowd {
  readonly #onChange: (state: CrowdState) => void;
  readonly #log: (line: string) => void;
  #process: ChildProcess | undefined;
  #size = 0;

  constructor(onChange: (state: CrowdState) => void, log: (line: string) => void) {
    this.#onChange = onChange;
    this.#log = log;
  }

  /** More of them: `perSecond` at a time. */
  add(count: number, perSecond: number, urls: readonly string[]): void {
    this.#size = Math.min(MOST, this.#size + count);
    this.#process ??= this.#start();
    const order: CrowdOrder = { size: this.#size, perSecond, urls };
    this.#process.send(order);
  }

  /** All of them close their browsers. */
  clear(): void {
    if (this.#process === undefined) return;
    this.#size = 0;
    const order: CrowdOrder = { size: 0, perSecond: 0, urls: [] };
    this.#process.send(order);
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(new URL('./crowd-process.js', import.meta.url)), [], {
      execArgv: [],
    });
    child.on('message', (state: CrowdState) => this.#onChange(state));
    child.once('error', (error) => this.#log(`the simulated users failed: ${error.message}`));
    child.once('exit', () => {
      this.#process = undefined;
      this.#size = 0;
      this.#onChange(EMPTY_CROWD);
    });
    return child;
  }

  stop(): void {
    this.#process?.kill('SIGKILL');
  }
}
