import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A `rollcall serve` in a process of its own. */
export class ServeProcess {
  readonly #child: ChildProcess;
  stdout = '';
  stderr = '';
  url = '';
  nodeId = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
  }

  /** Runs `rollcall` with any arguments, without waiting for it to serve. */
  static spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): ServeProcess {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_')),
    );
    return new ServeProcess(
      spawn(process.execPath, [MAIN, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...clean, ...env },
      }),
    );
  }

  /** Runs `rollcall serve` on a free port, trusting handshakes, and waits until it serves. */
  static async start(args: readonly string[] = []): Promise<ServeProcess> {
    const auth = args.includes('--auth') ? [] : ['--auth', 'insecure'];
    const port = args.includes('--port') ? [] : ['--port', '0'];
    const started = ServeProcess.spawn(['serve', ...port, ...auth, ...args]);
    await started.serving();
    return started;
  }

  async serving(): Promise<void> {
    await waitFor(
      () => this.stdout.includes('\n') || this.hasExited,
      () => `the node to serve; its log: ${this.stderr}`,
    );
    if (this.hasExited) throw new Error(`the node ended: ${this.stderr}`);
    const line = JSON.parse(this.stdout.split('\n', 1)[0] as string) as {
      url: string;
      nodeId: string;
    };
    this.url = line.url;
    this.nodeId = line.nodeId;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for the end and gives the exit code. */
  async exited(): Promise<number | null> {
    if (!this.hasExited) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (!this.hasExited) {
      this.#child.kill('SIGCONT');
      this.#child.kill(signal);
    }
    return this.exited();
  }

  /** Reads from the HTTP API. */
  async get(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(this.url + path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** The value of a metric without labels, or the sum over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.url + '/metrics')).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) {
        sum += Number(line.slice(line.lastIndexOf(' ') + 1));
      }
    }
    return sum;
  }
}
