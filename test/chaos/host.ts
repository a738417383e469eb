import { freePort } from '../support/ports.js';
import type { TestRedis } from '../support/redis.js';
import { Relay } from '../support/relay.js';
import { ServeProcess } from '../support/serve.js';
import { pause } from '../support/wait.js';

/** Recovering after a fault of its own, a node may be behind the others for so long. */
const RECOVERY_MS = 14_000;

/** One place where a node runs: a port and a name that stay, and its own way to Redis. */
export class Host {
  readonly port: number;
  readonly relay: Relay;
  readonly #name: string;
  readonly #args: readonly string[];
  node: ServeProcess | undefined;
  /** A fault is being done to it. */
  isBusy = false;
  #troubledUntil = 0;
  /** What went wrong that no fault explains. */
  readonly violations: string[] = [];

  private constructor(port: number, relay: Relay, name: string, args: readonly string[]) {
    this.port = port;
    this.relay = relay;
    this.#name = name;
    this.#args = args;
  }

  static async prepare(redis: TestRedis, name: string, args: readonly string[]): Promise<Host> {
    return new Host(await freePort(), await Relay.start(redis.port), name, args);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A node serves here, as far as a load balancer knows. */
  get isUp(): boolean {
    return this.node !== undefined;
  }

  /** It does, or lately did, not take part as a sound node does. */
  get isTroubled(): boolean {
    return performance.now() < this.#troubledUntil;
  }

  troubled(): void {
    this.#troubledUntil = Infinity;
  }

  eased(): void {
    this.#troubledUntil = performance.now() + RECOVERY_MS;
  }

  /** Starts a node, again and again while Redis cannot be reached. */
  async start(untilMs = 30_000): Promise<void> {
    const deadline = performance.now() + untilMs;
    const way = ['--redis', this.relay.url, '--port', String(this.port), '--name', this.#name];
    for (;;) {
      try {
        this.node = await ServeProcess.start([...this.#args, ...way]);
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await pause(250);
      }
    }
  }

  /** Ends the node and takes it out of the load balancer's hands first. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const { node } = this;
    this.node = undefined;
    if (node?.process.hasExited === true) {
      const last = node.process.stderr.slice(-500);
      this.violations.push(`${this.#name} ended by itself: ${last}`);
    }
    const code = await node?.stop(signal);
    if (signal === 'SIGTERM' && node !== undefined && code !== 0) {
      this.violations.push(`${this.#name} ended with ${code} at SIGTERM`);
    }
  }

  async stop(): Promise<void> {
    await this.end('SIGKILL');
    await this.relay.stop();
  }
}
