import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dualWrite, type Presence, type PresenceOptions } from 'rollcall';
import { createPresenceReader } from 'rollcall/redis';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { Relay } from '../../support/relay.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeProcess } from '../../support/serve.js';
import { pause, waitFor } from '../../support/wait.js';

/** How applications are kept apart on one Redis. */
type Apart = { keyPrefix: string } | { db: number } | Record<string, never>;

const TIMINGS = { lingerMs: 500, heartbeatMs: 100, downAfterMs: 500 };

/** The index in Redis, in the hands of others: who died unseen, who shares it, who may not write. */
describe.runIf(hasRedis)('the index in Redis', () => {
  let redis: TestRedis;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  afterAll(() => redis.stop());

  function connect(to: { readonly port: number } = redis, options: Apart = {}): Redis {
    const client = new Redis(to.port, options);
    client.on('error', () => {});
    ends.push(() => client.disconnect());
    return client;
  }

  async function node(
    client: Redis,
    options: Partial<PresenceOptions> = {},
    isAwaited = true,
  ): Promise<{ url: string; presence: Presence; logged: string[] }> {
    const application = await Application.start();
    ends.push(() => application.stop());
    const logged: string[] = [];
    const log = (data: object): void => void logged.push((data as { event: string }).event);
    const presence = application.present({
      strategy: dualWrite({ redis: client }),
      logger: { info: log, warn: log, error: log },
      ...TIMINGS,
      ...options,
    });
    if (isAwaited) await presence.ready();
    return { url: application.url, presence, logged };
  }

  async function join(at: { url: string }, userId: string): Promise<TestClient> {
    const client = await TestClient.join(at.url, {
      userId,
      deviceId: `${userId}-1`,
      communities: ['c'],
    });
    ends.push(() => client.close());
    return client;
  }

  it('is rid of who was on a node that died where nobody else was', async () => {
    const admin = connect();
    const dead = await ServeProcess.start([
      '--strategy',
      'dual-write',
      '--redis',
      redis.url,
      '--linger-ms',
      '500',
      '--heartbeat-ms',
      '100',
      '--down-after-ms',
      '500',
    ]);
    ends.push(() => dead.stop());
    await join(dead, 'alice');
    await join(dead, 'dora');
    await waitFor(async () => (await admin.hlen('rollcall:{c}:entries')) === 2, 'both to be there');
    await dead.stop('SIGKILL');
    // Until its lease has ended so long ago that it does not count in any read.
    await waitFor(async () => {
      const lease = await admin.zscore('rollcall:{c}:nodes', dead.nodeId);
      const [seconds] = await admin.time();
      return lease !== null && Number(seconds) * 1000 > Number(lease) + 10_000;
    }, 'the end of its lease');
    const next = await node(admin);
    const watcher = await join(next, 'watcher');
    const alice = await join(next, 'alice');
    await watcher.sees('c', ['alice', 'watcher']);
    const fields = async (): Promise<number> =>
      (await admin.hkeys('rollcall:{c}:entries')).filter((f) => f.startsWith(dead.nodeId)).length;
    await waitFor(async () => (await fields()) === 0, 'the dead node to be swept');
    expect(watcher.model.told.filter(({ event }) => event === 'userOffline')).toEqual([]);
    // Who did not come back is last seen, and who did is when she leaves.
    await waitFor(() => next.presence.lastSeen('dora'), 'dora to be last seen');
    expect(await next.presence.lastSeen('alice')).toBe(undefined);
    alice.close();
    await waitFor(() => next.presence.lastSeen('alice'), 'alice to be last seen');
  });

  it('keeps nobody who had left when an older copy of it takes its place, unnoticed', async () => {
    const admin = connect();
    const options = { cluster: 'older' };
    const [a, b] = [await node(connect(), options), await node(connect(), options)];
    const ann = await join(a, 'ann');
    await join(a, 'bob');
    const watcher = await join(b, 'watcher');
    await watcher.sees('c', ['ann', 'bob', 'watcher']);
    const copy: [string, Buffer][] = [];
    for (const key of await admin.keys('*older*')) copy.push([key, await admin.dumpBuffer(key)]);
    const copiedAt = Number((await admin.time())[0]);
    ann.close();
    await watcher.sees('c', ['bob', 'watcher']);
    // Until no lease in the copy counts in any read.
    await waitFor(
      async () => Number((await admin.time())[0]) > copiedAt + 12,
      'the copy to be old',
    );
    const swap = admin.multi();
    for (const key of await admin.keys('*older*')) swap.del(key);
    for (const [key, value] of copy) swap.restore(key, 0, value);
    await swap.exec();
    const carl = await join(b, 'carl');
    for (const client of [watcher, carl]) await client.sees('c', ['bob', 'carl', 'watcher']);
    const [entries] = copy.map(([key]) => key).filter((key) => key.endsWith(':entries'));
    await waitFor(
      async () => (await admin.hlen(entries as string)) === 3,
      'ann to be gone for good',
    );
    await (
      await join(await node(connect(), options), 'later')
    ).sees('c', ['bob', 'carl', 'later', 'watcher']);
  }, 60_000);

  it('is read as incomplete while it has people of nodes that have not renewed their leases', async () => {
    const relay = await Relay.start(redis.port);
    ends.push(() => relay.stop());
    const cut = connect({ port: Number(new URL(relay.url).port) });
    const at = await node(cut, { cluster: 'late' });
    const alice = await join(at, 'alice');
    const reader = createPresenceReader({ redis: connect(), cluster: 'late' });
    const read = async (): Promise<unknown[]> => {
      const { users, info } = await reader.fetchCommunity('c');
      return [...users.map(({ userId }) => userId), info.complete, info.nodes];
    };
    const reads = (...what: unknown[]): Promise<boolean> =>
      waitFor(async () => JSON.stringify(await read()) === JSON.stringify(what), `${what.join()}`);
    await reads('alice', true, 1);
    relay.cut();
    // She is connected all along, and perhaps the node has died.
    let answer: unknown[] = [];
    await waitFor(async () => !(answer = await read()).includes('alice'), 'the end of the lease');
    expect(answer).toEqual([false, 0]);
    relay.heal();
    await reads('alice', true, 1);
    expect(alice.violations).toEqual([]);
    relay.cut();
    await reads(false, 0);
    // It has not come to sweep what is left of the other when she is here.
    const other = await node(connect(), {
      cluster: 'late',
      heartbeatMs: 10_000,
      downAfterMs: 60_000,
    });
    await join(other, 'alice');
    await waitFor(async () => (answer = await read()).includes('alice'), 'her to be back');
    expect(answer).toEqual(['alice', true, 1]);
  });

  it('is no fault while the first connection to it is being made', async () => {
    const relay = await Relay.start(redis.port);
    ends.push(() => relay.stop());
    relay.delay(30);
    const client = connect({ port: Number(new URL(relay.url).port) });
    await client.ping();
    const at = await node(client, { cluster: 'far' }, false);
    const alice = await join(at, 'alice');
    await waitFor(() => alice.model.infos.get('c')?.complete === true, 'a complete list');
    expect(at.logged).toEqual(['ready']);
  });

  it('is not taken for silent by a node that stood still when the answers came', async () => {
    const { presence, logged } = await node(connect(), { cluster: 'stalls' });
    // From then on Redis has the script.
    await presence.fetchCommunity('elsewhere');
    const read = presence.fetchCommunity('elsewhere');
    // Then it has been asked for, and the answer has not been read.
    for (let i = 0; i < 10; i++) await new Promise<void>((resolve) => process.nextTick(resolve));
    for (const until = performance.now() + 2500; performance.now() < until;);
    expect((await read).info.complete).toBe(true);
    expect(logged).toEqual(['ready']);
  });

  it('is known and written, however long it takes for all of many communities', async () => {
    const relay = await Relay.start(redis.port);
    ends.push(() => relay.stop());
    const client = connect({ port: Number(new URL(relay.url).port) });
    const rare = { lingerMs: 5000, heartbeatMs: 5000, downAfterMs: 20_000, cluster: 'many' };
    const { presence, logged, ...at } = await node(client, rare);
    // What 2000 communities need takes longer than any one command may.
    relay.narrow(500_000);
    const joining = Array.from({ length: 40 }, async (_, i) => {
      const communities = Array.from({ length: 50 }, (_none, k) => `c${50 * i + k}`);
      const client = new TestClient(at.url, { userId: `u${i}`, deviceId: 'd', communities });
      ends.push(() => client.close());
      const { infos } = client.model;
      const isComplete = (): boolean => communities.every((id) => infos.get(id)?.complete === true);
      await waitFor(isComplete, () => `complete lists; so far ${infos.size}`, 60_000);
    });
    await Promise.all(joining);
    expect(presence.isDegraded()).toBe(false);
    expect(logged).toEqual(['ready']);
  });

  it('tells a user whose id holds a line separator as soon as any other', async () => {
    // No heartbeat comes in time to find that something is missing.
    const slow = { heartbeatMs: 20_000, downAfterMs: 80_000, cluster: 'separators' };
    const client = connect();
    const [a, b] = [await node(client, slow), await node(client, slow)];
    const alice = await join(a, 'alice');
    await join(b, 'bob');
    await alice.sees('c', ['alice', 'bob']);
    await join(b, 'ca\u2028rol');
    await alice.sees('c', ['alice', 'bob', 'ca\u2028rol'], 8000);
  });

  it.each<[string, (i: number) => Apart]>([
    ['keyPrefix', (i) => ({ keyPrefix: `app${i}:` })],
    ['database', (i) => ({ db: i })],
  ])('is left alone by another application, which its %s keeps apart', async (_how, optionsOf) => {
    const nodes = [];
    // Leases that no stall of this machine outlasts: they would be taken anew, and all be written again.
    const long = { lingerMs: 5000, downAfterMs: 5000 };
    for (const i of [1, 2]) nodes.push(await node(connect(redis, optionsOf(i)), long));
    const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    const alice = await join(a, 'alice');
    await join(b, 'bob');
    const written = (): Promise<number> => sumOf(a.presence, 'rollcall_deltas_sent_total');
    // Until what the first writes have begun is over; then nobody comes, goes or changes.
    await pause(500);
    const before = await written();
    await pause(1500);
    expect((await written()) - before).toBe(0);
    expect(alice.model.present('c')).toEqual(['alice']);
  });

  it.each(['memory', 'rights'])(
    'is degraded once and not at every heartbeat, while no writes are accepted for lack of %s',
    async (what) => {
      const own = await TestRedis.start();
      ends.push(() => own.stop());
      const refuse = (): Promise<unknown> =>
        what === 'memory'
          ? own.command('CONFIG', 'SET', 'maxmemory', '1')
          : own.command('ACL', 'SETUSER', 'default', '-hset');
      const accept = (): Promise<unknown> =>
        what === 'memory'
          ? own.command('CONFIG', 'SET', 'maxmemory', '0')
          : own.command('ACL', 'SETUSER', 'default', '+hset');
      const { presence, logged, ...at } = await node(connect(own));
      const count = (event: string): number => logged.filter((each) => each === event).length;
      await refuse();
      const alice = await join(at, 'alice');
      await waitFor(() => presence.isDegraded(), 'it to be degraded');
      // Twenty heartbeats, in each of which it finds Redis answering again.
      await pause(20 * TIMINGS.heartbeatMs);
      expect([count('degraded'), count('healed'), count('store-failed')]).toEqual([1, 0, 1]);
      await accept();
      await waitFor(() => !presence.isDegraded(), 'it to be well');
      await waitFor(() => alice.model.infos.get('c')?.complete === true, 'a complete list');
      expect([count('degraded'), count('healed')]).toEqual([1, 1]);
      const reader = createPresenceReader({ redis: connect(own) });
      await waitFor(
        async () => (await reader.fetchOnlineUsers('c')).length === 1,
        'the index to have her',
      );
      expect(alice.violations).toEqual([]);
      // Why, is said the next time, too.
      await refuse();
      await join(at, 'bob');
      await waitFor(() => count('degraded') === 2, 'it to be degraded again');
      expect(count('store-failed')).toBe(2);
      await accept();
      await waitFor(() => !presence.isDegraded(), 'it to be well again');
    },
  );
});

async function sumOf(presence: Presence, name: string): Promise<number> {
  const metrics = await presence.metrics.getMetricsAsJSON();
  const found = metrics.find((metric) => metric.name === name);
  return (found?.values ?? []).reduce((sum, { value }) => sum + value, 0);
}
