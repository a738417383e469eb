import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { tied } from './process.js';
import { TestNode } from './node.js';
import { waitFor } from './wait.js';

const SCRIPT = fileURLToPath(new URL('../fixtures/cluster.mjs', import.meta.url));

/** A Node cluster, whose workers have presence over @socket.io/cluster-adapter. */
export class NodeCluster {
  readonly #primary: ChildProcess;
  readonly #workers: ClusterWorker[] = [];
  #ready: { url: string; nodeId: string; pid: number }[] = [];
  #text = '';
  #log = '';

  constructor() {
    this.#primary = tied(
      spawn(process.execPath, [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'], env: process.env }),
    );
    this.#primary.stderr?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
    this.#primary.stdout?.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
      const lines = this.#text.split('\n');
      this.#text = lines.pop() as string;
      for (const line of lines) this.#ready.push(JSON.parse(line));
    });
  }

  /** Starts a worker with these options of `createPresence` (and `port`), and waits until it serves. */
  async start(options: Record<string, unknown> = {}): Promise<ClusterWorker> {
    this.#primary.stdin?.write(JSON.stringify(options) + '\n');
    const [ready] = await waitFor(
      () => (this.#ready.length > 0 ? this.#ready.splice(0, 1) : undefined),
      () => `a worker to serve; the log: ${this.#log}`,
    );
    const worker = new ClusterWorker(ready as { url: string; nodeId: string; pid: number });
    this.#workers.push(worker);
    return worker;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    const ended = once(this.#primary, 'exit');
    if (!this.#primary.kill('SIGKILL')) return;
    await ended;
  }
}

class ClusterWorker extends TestNode {
  readonly #pid: number;

  constructor(ready: { url: string; nodeId: string; pid: number }) {
    super();
    this.url = ready.url;
    this.nodeId = ready.nodeId;
    this.#pid = ready.pid;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.#pid, name);
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.#isThere()) return;
    process.kill(this.#pid, 'SIGCONT');
    process.kill(this.#pid, signal);
    await waitFor(() => !this.#isThere(), `worker ${this.#pid} to end`);
  }

  #isThere(): boolean {
    try {
      process.kill(this.#pid, 0);
      return true;
    } catch {
      return false;
    }
  }
}
