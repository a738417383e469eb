import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { channelLinkTo } from '../../../src/redis/channel-link.js';
import { TestClient } from '../../support/client.js';
import { NodeCluster } from '../../support/cluster.js';
import type { TestNode } from '../../support/node.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { TestRedisCluster } from '../../support/redis-cluster.js';
import { TestSentinel } from '../../support/redis-sentinel.js';
import { ServeProcess } from '../../support/serve.js';
import { pause, waitFor } from '../../support/wait.js';

/** What is known of deaths over the channels of Redis, at the timings that rollcall has by itself. */

/** Far less than the silence that a heartbeat may take for a death. */
const KNOWN_MS = 1000;

type View = { nodeId: string; state: string }[];

async function stateOf(at: TestNode, nodeId: string): Promise<string | undefined> {
  const { nodes } = (await at.get('/api/nodes')).body as { nodes: View };
  return nodes.find((node) => node.nodeId === nodeId)?.state;
}

/** Kills a node and gives the time in ms until the last of the others takes it for dead. */
async function killed(dead: TestNode, others: readonly TestNode[]): Promise<number> {
  await Promise.all(
    others.map((other) =>
      waitFor(async () => (await stateOf(other, dead.nodeId)) === 'alive', 'it to be alive'),
    ),
  );
  // Each of the others has seen its connection by then.
  await pause(500);
  const at = performance.now();
  await dead.stop('SIGKILL');
  await Promise.all(
    others.map((other) =>
      waitFor(async () => (await stateOf(other, dead.nodeId)) === 'down', 'its death to be known'),
    ),
  );
  return performance.now() - at;
}

describe.runIf(hasRedis)('a node that Redis sees', () => {
  let redis: TestRedis;
  const nodes: ServeProcess[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())));
  afterAll(() => redis.stop());

  async function start(url = redis.url): Promise<ServeProcess> {
    const node = await ServeProcess.start([
      '--transport',
      'redis',
      '--adapter',
      'memory',
      '--redis',
      url,
    ]);
    nodes.push(node);
    return node;
  }

  function deaths(): Record<string, unknown>[] {
    return nodes.flatMap(({ log }) => log.filter(({ event }) => event === 'node-down'));
  }

  /** Everybody hears everybody. */
  async function agree(userIds: readonly string[]): Promise<void> {
    const clients = await Promise.all(
      nodes.map((node, i) =>
        TestClient.join(node.url, { userId: userIds[i] as string, communities: ['c'] }),
      ),
    );
    await Promise.all(clients.map((client) => client.sees('c', [...userIds].sort())));
    for (const client of clients) client.close();
  }

  it('is known to be dead by every survivor within a second, its users linger', async () => {
    const [a, b, c, d] = await Promise.all([start(), start(), start(), start()]);
    const watcher = await TestClient.join(a.url, { userId: 'watcher', communities: ['c'] });
    const lost = await TestClient.join(d.url, { userId: 'lost', communities: ['c'] });
    await watcher.sees('c', ['lost', 'watcher']);
    const at = performance.now();
    expect(await killed(d, [a, b, c])).toBeLessThan(KNOWN_MS);
    expect(deaths()).toHaveLength(3);
    lost.close();
    expect(watcher.model.present('c')).toEqual(['lost', 'watcher']);
    await watcher.sees('c', ['watcher']);
    const tookMs = performance.now() - at;
    expect(tookMs).toBeGreaterThan(5000);
    expect(watcher.model.told.at(-1)).toMatchObject({ reason: 'node-down' });
    watcher.close();
  });

  it('is not taken for dead while it stands still for 2 s, whoever stands still', async () => {
    const [a, b] = await Promise.all([start(), start(), start()]);
    for (const stalled of [[a], [b], [a, b]]) {
      for (const node of stalled) node.signal('SIGSTOP');
      await pause(2000);
      for (const node of stalled) node.signal('SIGCONT');
      await pause(1500);
    }
    expect(deaths()).toEqual([]);
    await agree(['u', 'v', 'w']);
  });

  it('is not taken for dead when Redis ends its connections, all or those that hear', async () => {
    const [a, b, c] = await Promise.all([start(), start(), start()]);
    for (const type of ['pubsub', 'normal', 'pubsub', 'pubsub']) {
      await redis.command('CLIENT', 'KILL', 'TYPE', type);
      await pause(1500);
    }
    expect(deaths()).toEqual([]);
    await agree(['u', 'v', 'w']);
    // And then it still sees who really dies.
    expect(await killed(c, [a, b])).toBeLessThan(KNOWN_MS);
  });

  it('is not taken for dead when Redis restarts', async () => {
    const [a, b, c] = await Promise.all([start(), start(), start()]);
    await redis.restart();
    await pause(1500);
    await redis.kill();
    await pause(1500);
    await redis.restart();
    await Promise.all(
      nodes.map((node) =>
        waitFor(async () => (await node.metric('rollcall_degraded')) === 0, 'healed'),
      ),
    );
    await pause(1500);
    expect(deaths()).toEqual([]);
    await agree(['u', 'v', 'w']);
    expect(await killed(c, [a, b])).toBeLessThan(KNOWN_MS);
  });

  it('is not taken for dead when it cannot hear for 3 s but can be heard', async () => {
    await redis.command('ACL', 'SETUSER', 'deaf', 'on', '>secret', '~*', '&*', '+@all');
    const url = redis.url.replace('//', '//deaf:secret@');
    const [a, b] = await Promise.all([start(), start(), start(url)]);
    await redis.command('ACL', 'SETUSER', 'deaf', '-subscribe');
    await redis.command('CLIENT', 'KILL', 'USER', 'deaf', 'TYPE', 'pubsub');
    const deaf = nodes.find((node) => node !== a && node !== b) as ServeProcess;
    await waitFor(async () => (await deaf.metric('rollcall_degraded')) === 1, 'it to be cut off');
    await pause(3000);
    for (const node of [a, b]) expect(await stateOf(node, deaf.nodeId)).toBe('alive');
    await redis.command('ACL', 'SETUSER', 'deaf', '+subscribe');
    await waitFor(async () => (await deaf.metric('rollcall_degraded')) === 0, 'it to hear');
    expect(deaths()).toEqual([]);
    await agree(['u', 'v', 'w']);
  });
});

describe.runIf(hasRedis)('a process that dies', () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function start(client: string, redis: unknown): Promise<[TestNode, TestNode, TestNode]> {
    const workers = new NodeCluster();
    ends.push(() => workers.stop());
    const nodes: TestNode[] = [];
    for (let i = 0; i < 3; i++) {
      nodes.push(await workers.start({ strategy: 'replicated', client, redis }));
    }
    return nodes as [TestNode, TestNode, TestNode];
  }

  it.each(['ioredis', 'node-redis Cluster', 'ioredis Cluster'])(
    'is known to be dead within a second by %s',
    async (client) => {
      const redis = await (client.endsWith('Cluster')
        ? TestRedisCluster.start()
        : TestRedis.start());
      ends.push(() => redis.stop());
      const url = redis instanceof TestRedis ? redis.url : redis.addresses.map((each) => each.url);
      const [a, b, c] = await start(client, url);
      // On a Redis Cluster the master that has the channels is found one poll after the other.
      await pause(1000);
      expect(await killed(c, [a, b])).toBeLessThan(KNOWN_MS);
    },
  );

  it.each(['node-redis Sentinel', 'ioredis Sentinel'])(
    'is known to be dead within a second by %s, and nobody else is, whichever master is in place',
    async (client) => {
      const sentinel = await TestSentinel.start();
      ends.push(() => sentinel.stop());
      const { name, address } = sentinel;
      const nodes = await start(client, { name, address });
      const enter = async (userIds: readonly string[]): Promise<TestClient[]> => {
        const entered = await Promise.all(
          nodes.map(({ url }, i) =>
            TestClient.join(url, { userId: userIds[i] as string, communities: ['c'] }),
          ),
        );
        for (const each of entered) ends.push(async () => each.close());
        return entered;
      };
      const clients = await enter(['u', 'v', 'w']);
      for (const each of clients) await each.sees('c', ['u', 'v', 'w']);
      await sentinel.master.kill();
      await enter(['x', 'y', 'z']);
      for (const each of clients) await each.sees('c', ['u', 'v', 'w', 'x', 'y', 'z']);
      for (const { model } of clients) expect(model.count('userOffline')).toBe(0);
      const [a, b, c] = nodes;
      await pause(1000);
      expect(await killed(c, [a, b])).toBeLessThan(KNOWN_MS);
    },
  );

  it.each(['node-redis Sentinel', 'ioredis Sentinel'])(
    'is nobody by %s while no sentinel answers',
    async (client) => {
      const sentinel = await TestSentinel.start();
      ends.push(() => sentinel.stop());
      const { name, address } = sentinel;
      const nodes = await start(client, { name, address });
      const userIds = ['u', 'v', 'w'];
      const clients = await Promise.all(
        nodes.map(({ url }, i) =>
          TestClient.join(url, { userId: userIds[i] as string, communities: ['c'] }),
        ),
      );
      for (const each of clients) {
        ends.push(async () => each.close());
        await each.sees('c', userIds);
      }
      await sentinel.end();
      // node-redis does nothing else while it looks for one.
      await pause(8000);
      const areWell = async (): Promise<boolean> => {
        for (const at of nodes) {
          if ((await at.metric('rollcall_degraded')) !== 0) return false;
          for (const { nodeId } of nodes) {
            if (nodeId !== at.nodeId && (await stateOf(at, nodeId)) !== 'alive') return false;
          }
        }
        return true;
      };
      await waitFor(areWell, 'all to be well', 60_000);
      for (const { model } of clients) expect(model.count('userOffline')).toBe(0);
    },
  );

  it('is looked for by a Sentinel client over one connection, and when that is lost over none', async () => {
    const sentinel = await TestSentinel.start();
    ends.push(() => sentinel.stop());
    const client = await sentinel.viaNodeRedis();
    ends.push(() => client.destroy());
    const watch = await channelLinkTo(client).openWatch(0);
    if (watch === undefined) throw new Error('a Sentinel client has no watch');
    ends.push(async () => watch.close());
    expect(await watch.count(['one', 'two'])).toEqual([0, 0]);
    expect(await watch.count(['one'])).toEqual([0]);
    await sentinel.master.command('CLIENT', 'KILL', 'TYPE', 'normal');
    await waitFor(async () => (await client.ping()) === 'PONG', 'the client to be connected again');
    for (let i = 0; i < 10; i++) {
      await expect(watch.count(['one'])).rejects.toThrow();
      await pause(50);
    }
  });
});
