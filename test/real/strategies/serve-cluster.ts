import type { ConformanceClient, ConformanceCluster } from 'rollcall/testing';
import { TestClient } from '../../support/client.js';
import { NodeCluster } from '../../support/cluster.js';
import type { TestNode } from '../../support/node.js';
import { ServeProcess } from '../../support/serve.js';

/** A client that can be lost for good. */
export class LosableClient extends TestClient implements ConformanceClient {
  vanish(): void {
    this.socket.io.reconnection(false);
    this.drop();
  }
}

async function join(
  node: { readonly url: string },
  who: { userId: string; deviceId: string; communityId: string },
): Promise<LosableClient> {
  const { communityId, ...auth } = who;
  return LosableClient.join(node.url, { ...auth, communities: [communityId] });
}

const TIMINGS = { lingerMs: 1000, downAfterMs: 1500, typingTimeoutMs: 800 } as const;

/** Workers of a Node cluster, over its adapter, with short timings. */
export class WorkerCluster implements ConformanceCluster {
  readonly timings = TIMINGS;
  readonly nodes: TestNode[] = [];
  readonly #cluster = new NodeCluster();
  readonly #options: Record<string, unknown>;

  private constructor(options: Record<string, unknown>) {
    this.#options = { ...TIMINGS, heartbeatMs: 250, ...options };
  }

  static async start(count: number, options: Record<string, unknown>): Promise<WorkerCluster> {
    const cluster = new WorkerCluster(options);
    while (cluster.nodes.length < count) cluster.nodes.push(await cluster.start());
    return cluster;
  }

  start = (): Promise<TestNode> => this.#cluster.start(this.#options);
  readonly join = join;

  stop(): Promise<void> {
    return this.#cluster.stop();
  }
}

/** Nodes of `rollcall serve`, each a process, with short timings. */
export class ServeCluster implements ConformanceCluster {
  readonly timings = TIMINGS;
  readonly nodes: ServeProcess[] = [];
  readonly #all: ServeProcess[] = [];
  readonly #args: readonly string[];

  private constructor(args: readonly string[]) {
    const flags = {
      'linger-ms': TIMINGS.lingerMs,
      'down-after-ms': TIMINGS.downAfterMs,
      'typing-timeout-ms': TIMINGS.typingTimeoutMs,
      'heartbeat-ms': 250,
    };
    this.#args = [...Object.entries(flags).flatMap(([k, v]) => [`--${k}`, String(v)]), ...args];
  }

  static async start(count: number, args: readonly string[]): Promise<ServeCluster> {
    const cluster = new ServeCluster(args);
    const started = await Promise.all(Array.from({ length: count }, () => cluster.start()));
    cluster.nodes.push(...started);
    return cluster;
  }

  start = async (): Promise<ServeProcess> => {
    const started = await ServeProcess.start(this.#args);
    this.#all.push(started);
    return started;
  };

  readonly join = join;

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((each) => each.stop()));
  }
}
