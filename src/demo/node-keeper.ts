import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeReport, StrategyName } from '../server/index.js';
import { Medium } from './medium.js';

/**
 * Keeps the demo's nodes: forks them, kills, pauses and cuts them off, and starts them again, each on
 * the port it had. All of it is real, so what the page shows is what servers in trouble would do.
 */

export interface KeptNode {
  readonly name: string;
  readonly state: 'starting' | 'up' | 'paused' | 'down';
  /** The other nodes do not hear it, nor it them. */
  readonly isCutOff: boolean;
  /** Where it serves; kept over restarts. */
  readonly url: string | undefined;
  readonly pid: number | undefined;
}

/** What a node tells the primary when it serves. */
export interface ServingMessage {
  readonly kind: 'rollcall:serving';
  readonly port: number;
}

/** What a node tells the primary of itself from time to time. */
export interface ReportMessage {
  readonly kind: 'rollcall:report';
  readonly report: NodeReport;
}

/** What a node last said of itself, and when, in ms of the primary's monotonic clock. */
export interface KeptReport {
  readonly name: string;
  readonly report: NodeReport;
  readonly at: number;
}

/** What the nodes hold the cluster's state by. */
export interface KeptStrategy {
  readonly name: StrategyName;
  readonly choices: readonly StrategyName[];
  /** The nodes are being restarted with it, one after the other. */
  readonly isChanging: boolean;
}

/** How long nodes may take to leave in order before they are killed. */
const LEAVE_MS = 3000;

export class NodeKeeper {
  readonly #log: (line: string) => void;
  readonly #nodes = new Map<string, KeptNode>();
  readonly #workers = new Map<string, Worker>();
  readonly #reports = new Map<string, KeptReport>();
  readonly #medium: Medium;
  readonly #redis: string | undefined;
  #strategy: StrategyName = 'replicated';
  #isChanging = false;
  readonly #listeners = new Set<() => void>();
  #stopping = false;

  constructor(names: readonly string[], redis: string | undefined, log: (line: string) => void) {
    this.#log = log;
    this.#redis = redis;
    for (const name of names) {
      this.#nodes.set(name, {
        name,
        state: 'down',
        isCutOff: false,
        url: undefined,
        pid: undefined,
      });
    }
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./node.js', import.meta.url)),
      args: [],
      // What JavaScript engine flags this process has are its own.
      execArgv: [],
    });
    this.#medium = new Medium();
  }

  get nodes(): readonly KeptNode[] {
    return [...this.#nodes.values()];
  }

  get strategy(): KeptStrategy {
    const inRedis: readonly StrategyName[] =
      this.#redis === undefined ? [] : ['dual-write', 'redis'];
    const choices: readonly StrategyName[] = ['replicated', 'on-demand', ...inRedis];
    return { name: this.#strategy, choices, isChanging: this.#isChanging };
  }

  get reports(): readonly KeptReport[] {
    return [...this.#reports.values()];
  }

  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  /** Calls the listener at each change; gives the function that ends it. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts all nodes and waits until they serve. */
  async start(): Promise<void> {
    await Promise.all([...this.#nodes.keys()].map((name) => this.startNode(name)));
  }

  /** Forks a node that is down. Rejects when it ends before it serves. */
  async startNode(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined || node.state !== 'down' || this.#stopping) return;
    const port = node.url === undefined ? 0 : new URL(node.url).port;
    const worker = cluster.fork({
      ROLLCALL_DEMO_NODE: name,
      ROLLCALL_DEMO_PORT: String(port),
      ROLLCALL_DEMO_STRATEGY: this.#strategy,
      ...(this.#redis !== undefined && { ROLLCALL_DEMO_REDIS: this.#redis }),
    });
    this.#workers.set(name, worker);
    this.#change(name, { state: 'starting', pid: worker.process.pid });
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message: ServingMessage | ReportMessage) => {
        if (message?.kind === 'rollcall:report') {
          this.#reports.set(name, { name, report: message.report, at: performance.now() });
        }
        if (message?.kind !== 'rollcall:serving') return;
        this.#change(name, { state: 'up', url: `http://127.0.0.1:${message.port}` });
        resolve();
      });
      worker.on('error', reject);
      worker.once('exit', (code, signal) => {
        this.#workers.delete(name);
        this.#reports.delete(name);
        this.#medium.connect(worker);
        this.#change(name, { state: 'down', isCutOff: false, pid: undefined });
        if (!this.#stopping) this.#log(`node ${name} has ended (${signal ?? `code ${code}`})`);
        reject(new Error(`node ${name} ended before it served (${signal ?? `code ${code}`})`));
      });
    });
    if (node.url !== undefined) this.#log(`node ${name} serves again`);
  }

  /** Kills a node as the system would: it gets no chance to say goodbye. */
  kill(name: string): void {
    this.#workers.get(name)?.process.kill('SIGKILL');
  }

  /** Stops a node where it stands, as an overloaded or swapping machine would, or lets it go on. */
  pause(name: string, isPaused: boolean): void {
    const from = isPaused ? 'up' : 'paused';
    if (this.#nodes.get(name)?.state !== from) return;
    this.#workers.get(name)?.process.kill(isPaused ? 'SIGSTOP' : 'SIGCONT');
    this.#change(name, { state: isPaused ? 'paused' : 'up' });
  }

  /** Drops what a node and the others tell each other, as a broken network would, or carries it again. */
  cutOff(name: string, isCutOff: boolean): void {
    const worker = this.#workers.get(name);
    if (worker === undefined) return;
    if (isCutOff) this.#medium.cutOff(worker);
    else this.#medium.connect(worker);
    this.#change(name, { isCutOff });
  }

  /** Restarts the nodes with another strategy, one after the other, as a deploy would. */
  async setStrategy(name: StrategyName): Promise<void> {
    const { choices, isChanging } = this.strategy;
    if (isChanging || !choices.includes(name) || name === this.#strategy) return;
    this.#strategy = name;
    this.#isChanging = true;
    try {
      // A restarted node is a new worker of the same name.
      for (const [nodeName, worker] of Array.from(this.#workers)) {
        if (this.#stopping) return;
        const gone = once(worker, 'exit');
        worker.process.kill('SIGCONT');
        worker.process.kill('SIGTERM');
        await gone;
        await this.startNode(nodeName);
      }
      this.#log(`the nodes run with the strategy ${name}`);
    } finally {
      this.#isChanging = false;
    }
  }

  /** Lets all nodes leave in order; kills those that do not. Resolves when all are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const late = setTimeout(() => {
      for (const name of this.#workers.keys()) this.kill(name);
    }, LEAVE_MS);
    await Promise.all(
      [...this.#workers.values()].map(async (worker) => {
        const gone = once(worker, 'exit');
        worker.process.kill('SIGCONT');
        worker.process.kill('SIGTERM');
        await gone;
      }),
    );
    clearTimeout(late);
  }

  #change(name: string, change: Partial<KeptNode>): void {
    this.#nodes.set(name, { ...(this.#nodes.get(name) as KeptNode), ...change });
    for (const listener of this.#listeners) listener();
  }
}
