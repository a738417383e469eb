import { TestClient } from './client.js';
import { NodeCluster } from './cluster.js';
import type { TestNode } from './node.js';
import { freePort } from './ports.js';
import { hasRedis, TestRedis } from './redis.js';
import { ServeProcess } from './serve.js';

/** What nodes talk over: a real Socket.IO adapter with what it needs. */
export type Medium = 'redis' | 'redis-sharded' | 'redis-streams' | 'cluster';

export const REDIS_MEDIA: readonly Medium[] = ['redis', 'redis-sharded', 'redis-streams'];
/** Every medium that there is on this machine. */
export const MEDIA: readonly Medium[] = ['cluster', ...(hasRedis ? REDIS_MEDIA : [])];

export interface Timings {
  readonly heartbeatMs?: number;
  readonly downAfterMs?: number;
  readonly lingerMs?: number;
  readonly typingTimeoutMs?: number;
}

/** Nodes in processes of their own over one medium, and clients; all is ended by `reset` and `stop`. */
export class ClusterUnderTest {
  readonly medium: Medium;
  readonly nodes: TestNode[] = [];
  readonly clients: TestClient[] = [];
  #redis: TestRedis | undefined;
  #cluster: NodeCluster | undefined;

  private constructor(medium: Medium) {
    this.medium = medium;
  }

  static async start(medium: Medium): Promise<ClusterUnderTest> {
    const under = new ClusterUnderTest(medium);
    if (medium === 'cluster') under.#cluster = new NodeCluster();
    else under.#redis = await TestRedis.start();
    return under;
  }

  get redis(): TestRedis {
    return this.#redis as TestRedis;
  }

  /** Starts a node, on a free port unless one is given, and waits until it serves. */
  async node(timings: Timings = {}, port?: number, name?: string): Promise<TestNode> {
    let node: TestNode;
    if (this.#cluster === undefined) {
      const flags = Object.entries(timings).flatMap(([option, value]) => [
        `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
        String(value),
      ]);
      node = await ServeProcess.start([
        '--redis',
        this.redis.url,
        '--adapter',
        this.medium,
        '--port',
        String(port ?? 0),
        ...(name === undefined ? [] : ['--name', name]),
        ...flags,
      ]);
    } else {
      node = await this.#cluster.start({ ...timings, port, nodeName: name });
    }
    this.nodes.push(node);
    return node;
  }

  freePort(): Promise<number> {
    return freePort();
  }

  /** Connects one device of a user to the community `c` and waits for its list. */
  async join(
    at: { readonly url: string },
    userId: string,
    deviceId = `${userId}-1`,
    more: Record<string, unknown> = {},
  ): Promise<TestClient> {
    const client = await TestClient.join(at.url, {
      userId,
      deviceId,
      communities: ['c'],
      ...more,
    });
    this.clients.push(client);
    return client;
  }

  /** Everything that any client found wrong with its stream. */
  get violations(): string[] {
    return this.clients.flatMap((client) => client.violations);
  }

  async reset(): Promise<void> {
    for (const client of this.clients.splice(0)) client.close();
    await Promise.all(this.nodes.splice(0).map((node) => node.stop()));
  }

  async stop(): Promise<void> {
    await this.reset();
    await this.#cluster?.stop();
    await this.#redis?.stop();
  }
}
