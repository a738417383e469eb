import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { onDemand, replicated, type Presence, type PresenceOptions } from 'rollcall';
import { shardOf } from 'rollcall/core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startOfMessages } from '../../../src/core/wire.js';
import { channelLinkTo } from '../../../src/redis/channel-link.js';
import { Channels } from '../../../src/redis/channels.js';
import { decodeFrame, encodeFrame } from '../../../src/redis/frame.js';
import { RedisTransport } from '../../../src/redis/transport.js';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { freePort } from '../../support/ports.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { TestRedisCluster } from '../../support/redis-cluster.js';
import { TestSentinel } from '../../support/redis-sentinel.js';
import { Relay } from '../../support/relay.js';
import { pause, waitFor } from '../../support/wait.js';

interface Node {
  readonly url: string;
  readonly presence: Presence;
  readonly metric: (name: string) => Promise<number>;
  readonly warnings: string[];
}

/** Two communities of different shards. */
const [C, OTHER] = ['c', 'other'] as const;

describe.runIf(hasRedis)('over channels of Redis', () => {
  let redis: TestRedis;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(() => redis.stop());

  async function client(url = redis.url) {
    const made = createClient({ url });
    made.on('error', () => {});
    await made.connect();
    ends.push(() => made.isOpen && made.destroy());
    return made;
  }

  async function viaCluster({ addresses }: TestRedisCluster) {
    const made = createCluster({ rootNodes: addresses.map(({ url }) => ({ url })) });
    made.on('error', () => {});
    await made.connect();
    ends.push(() => made.destroy());
    return made;
  }

  async function viaIo({ addresses }: TestRedisCluster) {
    const made = new Cluster(addresses);
    made.on('error', () => {});
    ends.push(() => made.disconnect());
    return made;
  }

  async function node(
    options: Partial<PresenceOptions> = {},
    redisClient?: unknown,
  ): Promise<Node> {
    const application = await Application.start();
    ends.push(() => application.stop());
    const warnings: string[] = [];
    const presence = application.present({
      strategy: replicated({ redis: redisClient ?? (await client()) }),
      logger: {
        info: () => {},
        warn: (data) => warnings.push(JSON.stringify(data)),
        error: (data) => warnings.push(JSON.stringify(data)),
      },
      ...options,
    });
    await presence.ready();
    const metric = async (name: string): Promise<number> => {
      const found = (await presence.metrics.getMetricsAsJSON()).find((m) => m.name === name);
      return (found?.values ?? []).reduce((sum, { value }) => sum + value, 0);
    };
    return { url: application.url, presence, metric, warnings };
  }

  async function enter(at: Node, userId: string, ...communities: string[]): Promise<TestClient> {
    const entered = await TestClient.join(at.url, { userId, deviceId: userId, communities });
    ends.push(() => entered.close());
    return entered;
  }

  /** Two nodes over a Redis Cluster, one by either client, and somebody on each. */
  async function overCluster(options: Partial<PresenceOptions> = {}) {
    const masters = await TestRedisCluster.start();
    ends.push(() => masters.stop());
    const a = await node(options, await viaCluster(masters));
    const b = await node(options, await viaIo(masters));
    const [alice, bob] = [await enter(a, 'alice', C), await enter(b, 'bob', C)];
    return { masters, a, b, alice, bob };
  }

  /** What travels on the channels, by an onlooker. */
  async function overhear(): Promise<{ channel: string; kind: string; head: string }[]> {
    const heard: { channel: string; kind: string; head: string }[] = [];
    const onlooker = await client();
    await onlooker.pSubscribe(
      'rollcall:*',
      (bytes, channel) => {
        const frame = decodeFrame(bytes, 1e8);
        if (frame?.kind !== 'message') return;
        const head = frame.text.split('\n', 1)[0] as string;
        const { k: kind } = JSON.parse(head) as { k: string };
        heard.push({ channel: channel.toString(), kind, head });
      },
      true,
    );
    return heard;
  }

  it('a node hears nothing of shards that it does not host', async () => {
    expect(shardOf(C, 64)).not.toBe(shardOf(OTHER, 64));
    const [a, b, c] = [await node(), await node(), await node()];
    await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    await enter(c, 'carol', OTHER);
    const count = (shard: number): Promise<string> => numSub(`rollcall:rollcall:shard:${shard}`);
    const numSub = async (channel: string): Promise<string> => {
      const asker = await client();
      return String(((await asker.sendCommand(['PUBSUB', 'NUMSUB', channel])) as unknown[])[1]);
    };
    expect(await count(shardOf(C, 64))).toBe('2');
    expect(await count(shardOf(OTHER, 64))).toBe('1');
    const received = (): Promise<number[]> =>
      Promise.all([b, c].map((each) => each.metric('rollcall_medium_bytes_received_total')));
    const before = await received();
    const names = Array.from({ length: 200 }, (_, i) => `user-${i}`);
    await Promise.all(names.map((name) => enter(a, name, C)));
    await bob.sees(C, ['alice', 'bob', ...names].sort());
    const after = await received();
    const [hosting, apart] = [0, 1].map((i) => after[i]! - before[i]!) as [number, number];
    // Of 200 people who came in `c`, `c` heard only heartbeats, which name the shards that changed.
    expect(hosting).toBeGreaterThan(200 * 10);
    expect(apart).toBeLessThan(hosting / 2);
    expect(await c.metric('rollcall_deltas_applied_total')).toBe(0);
    expect(await c.metric('rollcall_replicas')).toBe(2);
    expect((await c.presence.fetchOnlineUsers(C)).length).toBe(202);
  });

  it('answers reach who asked, and nothing but heartbeats and questions reaches all', async () => {
    const a = await node();
    for (const i of Array(30).keys()) await enter(a, `user-${i}`, C);
    const heard = await overhear();
    const b = await node();
    const bob = await enter(b, 'bob', C);
    expect(bob.model.present(C)).toHaveLength(31);
    expect((await b.presence.explain('user-1')).devices).toHaveLength(1);
    expect((await b.presence.fetchUser('user-2')).communities).toHaveLength(1);
    // What node b has had may still be on its way to who listens.
    const answers = ['beat', 'inspected', 'answer'];
    await waitFor(
      () => answers.every((kind) => heard.some((each) => each.kind === kind)),
      'the answers overheard',
    );
    const toAll = new Set(
      heard.filter(({ channel }) => channel === 'rollcall:{rollcall}:all').map(({ kind }) => kind),
    );
    for (const kind of toAll) expect(['hello', 'beat', 'inspect', 'ask', 'pull']).toContain(kind);
    const toOne = heard.filter(({ channel }) => channel.includes(':node:'));
    for (const kind of answers) {
      const channels = toOne.filter((each) => each.kind === kind).map(({ channel }) => channel);
      expect(new Set(channels)).toContain(`rollcall:{rollcall}:node:${b.presence.nodeId}`);
    }
    for (const { channel, head } of toOne) {
      const { t: to } = JSON.parse(head) as { t?: string };
      if (to !== undefined) expect(channel.endsWith(`:${to}`)).toBe(true);
    }
    const deltas = heard.filter(
      ({ kind, channel }) => kind === 'delta' && !channel.includes(':node:'),
    );
    for (const { channel } of deltas) expect(channel).toMatch(/^rollcall:rollcall:shard:\d+$/);
  });

  it('garbage and bombs are counted, and presence goes on', async () => {
    const [a, b] = [await node(), await node()];
    const alice = await enter(a, 'alice', C);
    const attacker = await client();
    const bomb = Buffer.concat([Buffer.of(1), deflateRawSync(Buffer.alloc(200_000_000))]);
    const garbage = [
      Buffer.alloc(0),
      Buffer.of(0),
      Buffer.of(7, 1, 2, 3),
      Buffer.from('no frame'),
      Buffer.of(1, 255, 255, 255),
      encodeFrame('{"v":1}'),
      encodeFrame('[]'),
      encodeFrame('x'.repeat(1000)),
      bomb,
    ];
    const channels = [
      'rollcall:{rollcall}:all',
      `rollcall:rollcall:shard:${shardOf(C, 64)}`,
      `rollcall:{rollcall}:node:${a.presence.nodeId}`,
    ];
    const before = process.memoryUsage().rss;
    for (const channel of channels)
      for (const frame of garbage) await attacker.publish(channel, frame);
    await waitFor(
      async () => (await a.metric('rollcall_messages_rejected_total')) >= 3 * (garbage.length - 1),
      'all to be counted',
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
    const bob = await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    expect(bob.model.present(C)).toEqual(['alice', 'bob']);
    expect(await a.metric('rollcall_failures_total')).toBe(0);
  });

  /** A transport by itself, and what comes in over it. */
  async function transport(nodeId: string, url: string) {
    const heard: unknown[] = [];
    const link = channelLinkTo(await client(url));
    const made = new RedisTransport(link, new Channels(), {
      nodeId,
      cluster: undefined,
      namespace: '/',
      maxMessageBytes: 1e6,
      onFault: () => {},
    });
    made.start((data) => heard.push(data));
    ends.push(() => made.close());
    await waitFor(() => made.probe(), 'the transport to hear itself');
    return { heard, publish: (data: string) => made.publish(data) };
  }

  it('what a node says does not come back to it', async () => {
    const [a, b] = [await transport('a', redis.url), await transport('ab', redis.url)];
    const says = (nodeId: string, n: number): string =>
      `${startOfMessages('rollcall', nodeId)},"n":${n}}`;
    for (const n of [1, 2, 3]) {
      expect(a.publish(says('a', n))).toBe(true);
      expect(b.publish(says('ab', n))).toBe(true);
    }
    await waitFor(() => a.heard.length + b.heard.length >= 6, 'both to hear');
    expect(a.heard).toEqual([1, 2, 3].map((n) => says('ab', n)));
    expect(b.heard).toEqual([1, 2, 3].map((n) => says('a', n)));
  });

  it('what a server that stands still has not taken is bounded, and all of it arrives', async () => {
    const own = await TestRedis.start();
    ends.push(() => own.stop());
    const [a, b] = [await transport('a', own.url), await transport('b', own.url)];
    const noise = randomBytes(96 * 1024).toString('base64');
    process.kill(own.pid, 'SIGSTOP');
    let sent = 0;
    while (sent < 1000 && a.publish(`${startOfMessages('rollcall', 'a')},"n":${sent}}${noise}`)) {
      if (++sent % 20 === 0) await pause(1);
    }
    process.kill(own.pid, 'SIGCONT');
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(250);
    await waitFor(() => b.heard.length === sent, 'all that was sent to arrive');
    expect(a.publish(`${startOfMessages('rollcall', 'a')},"n":0}`)).toBe(true);
    await waitFor(() => b.heard.length === sent + 1, 'what is sent afterwards to arrive');
  });

  it('what was missed is pulled as soon as the connection is back, without a heartbeat', async () => {
    const slow = { heartbeatMs: 20_000, downAfterMs: 60_000 };
    const relay = await Relay.start(redis.port);
    ends.push(() => relay.stop());
    const a = await node(slow);
    const b = await node(slow, await client(relay.url));
    const alice = await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    relay.cut();
    await enter(a, 'while-away', C);
    await enter(b, 'also', C);
    relay.heal();
    const healedAt = performance.now();
    for (const watcher of [alice, bob]) {
      await watcher.sees(C, ['alice', 'also', 'bob', 'while-away']);
    }
    expect(performance.now() - healedAt).toBeLessThan(8000);
    expect(bob.violations).toEqual([]);
  });

  it('needs no more rights than docs/strategies.md names', async () => {
    const text = await readFile(new URL('../../../docs/strategies.md', import.meta.url), 'utf8');
    const [, paragraph = ''] = text.split('A Redis user for the channels needs') as [
      string,
      string?,
    ];
    const named = paragraph.split('\n\n', 1)[0]!.matchAll(/`([A-Z]+)`/g);
    const commands = [...named].map(([, command]) => `+${command!.toLowerCase()}`);
    const admin = await client();
    const rights = ['&rollcall:*', '-@all', ...commands];
    await admin.sendCommand(['ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...rights]);
    const url = redis.url.replace('//', '//app:secret@');
    const [a, b] = [await node({}, await client(url)), await node({}, new Redis(url))];
    const alice = await enter(a, 'alice', C);
    await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    expect([...a.warnings, ...b.warnings]).toEqual([]);
  });

  it('a command that is not allowed is logged once, and presence does without', async () => {
    const admin = await client();
    const rights = ['&rollcall:*', '+@all', '-pubsub'];
    await admin.sendCommand(['ACL', 'SETUSER', 'less', 'reset', 'on', '>secret', ...rights]);
    const url = redis.url.replace('//', '//less:secret@');
    const [a, b] = [await node({}, await client(url)), await node({}, await client(url))];
    const alice = await enter(a, 'alice', C);
    await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    await waitFor(() => a.warnings.length > 0, 'a warning');
    await pause(2500);
    expect(a.warnings).toHaveLength(1);
    expect(a.warnings[0]).toMatch(/transport-failed.*pubsub/i);
  });

  /** Takes from the user `app` of these servers the right to subscribe, or gives it back. */
  async function allow(servers: readonly TestRedis[], sign: '+' | '-'): Promise<void> {
    for (const server of servers) {
      const user = ['app', 'on', '>secret', '~*', '&*', '+@all'];
      await server.command('ACL', 'SETUSER', ...user, `${sign}subscribe`, `${sign}ssubscribe`);
    }
  }

  const asApp = { username: 'app', password: 'secret' };
  const RESTRICTED: Record<string, () => Promise<[unknown, readonly TestRedis[]]>> = {
    'node-redis': async () => {
      await allow([redis], '+');
      return [await client(redis.url.replace('//', '//app:secret@')), [redis]];
    },
    ioredis: async () => {
      await allow([redis], '+');
      const made = new Redis(redis.url, asApp);
      ends.push(() => made.disconnect());
      return [made, [redis]];
    },
    'ioredis Cluster': async () => {
      const cluster = await TestRedisCluster.start();
      ends.push(() => cluster.stop());
      await allow(cluster.masters, '+');
      const made = new Cluster(cluster.addresses, { redisOptions: asApp });
      made.on('error', () => {});
      ends.push(() => made.disconnect());
      return [made, cluster.masters];
    },
  };

  it.each(Object.keys(RESTRICTED))(
    'via %s, what must not be subscribed to after a reconnect is heard once it may, and nothing stays missed',
    async (kind) => {
      const rejections: unknown[] = [];
      const onRejection = (reason: unknown): void => void rejections.push(reason);
      process.on('unhandledRejection', onRejection);
      ends.push(() => process.off('unhandledRejection', onRejection));
      const [own, servers] = await RESTRICTED[kind]!();
      // No heartbeat helps within the time of the test.
      const slow = { heartbeatMs: 20_000, downAfterMs: 60_000 };
      const [a, b] = [await node(slow, own), await node(slow, own)];
      const alice = await enter(a, 'alice', C);
      const bob = await enter(b, 'bob', C);
      await alice.sees(C, ['alice', 'bob']);
      const refused = await refusals(servers);
      await allow(servers, '-');
      for (const server of servers) await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await enter(a, 'carol', C);
      await enter(b, 'dave', C);
      const refusedNow = async (): Promise<boolean> => (await refusals(servers)) > refused;
      await waitFor(refusedNow, 'a subscription to be refused');
      await allow(servers, '+');
      for (const each of [alice, bob]) await each.sees(C, ['alice', 'bob', 'carol', 'dave']);
      await enter(a, 'erin', C);
      await bob.sees(C, ['alice', 'bob', 'carol', 'dave', 'erin']);
      for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
      expect(rejections).toEqual([]);
    },
  );

  it('what was missed is not asked for before every channel is heard again', async () => {
    const admin = await client();
    const allow = (...channels: string[]): Promise<unknown> =>
      admin.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>secret', '+@all', ...channels]);
    await allow('resetchannels', '&*');
    const own = new Redis(redis.url, asApp);
    ends.push(() => own.disconnect());
    const slow = { heartbeatMs: 60_000, downAfterMs: 180_000 };
    const [a, b] = await Promise.all([node(slow), node(slow, own)]);
    await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    expect(bob.model.present(C)).toEqual(['alice', 'bob']);
    // Ends the connection that hears more; what is for all and for this node is heard again at once.
    await allow('resetchannels', '&rollcall:{rollcall}:*');
    const isRefused = (): boolean => b.warnings.join().includes('transport-failed');
    await waitFor(isRefused, 'the channel of the shard to be refused');
    await pause(1500);
    await enter(a, 'carol', C);
    await allow('&*');
    await bob.sees(C, ['alice', 'bob', 'carol']);
  });

  /** How many commands these servers have refused to their users. */
  async function refusals(servers: readonly TestRedis[]): Promise<number> {
    let count = 0;
    for (const { url } of servers) {
      const errors = await (await client(url)).info('errorstats');
      count += Number(/errorstat_NOPERM:count=(\d+)/.exec(errors)?.[1] ?? 0);
    }
    return count;
  }

  it('the client may be set up in any way', async () => {
    const lazy = new Redis(redis.url, {
      lazyConnect: true,
      autoResubscribe: false,
      enableOfflineQueue: false,
      keyPrefix: 'app:',
    });
    ends.push(() => lazy.disconnect());
    await lazy.connect();
    const strict = createClient({ url: redis.url, disableOfflineQueue: true, RESP: 2 });
    strict.on('error', () => {});
    await strict.connect();
    ends.push(() => strict.destroy());
    const [a, b] = [await node({}, lazy), await node({}, strict)];
    const alice = await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await enter(a, 'carol', C);
    await enter(b, 'dave', C);
    for (const each of [alice, bob]) await each.sees(C, ['alice', 'bob', 'carol', 'dave']);
  });

  it('clusters of another name, and of another prefix, are apart', async () => {
    const a = await node();
    const b = await node({ cluster: 'other-{x}' });
    const c = await node({ strategy: replicated({ redis: await client(), prefix: 'else' }) });
    const clients = [
      await enter(a, 'alice', C),
      await enter(b, 'bob', C),
      await enter(c, 'carol', C),
    ];
    await pause(300);
    expect(clients.map(({ model }) => model.present(C))).toEqual([['alice'], ['bob'], ['carol']]);
  });

  it('on-demand and replicated nodes see one another', async () => {
    const a = await node();
    const b = await node({ strategy: onDemand({ redis: await client() }) });
    const alice = await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    expect(bob.model.present(C)).toEqual(['alice', 'bob']);
    await alice.sees(C, ['alice', 'bob']);
    bob.close();
    await alice.sees(C, ['alice']);
    const carol = await enter(b, 'carol', C);
    await enter(a, 'dave', C);
    await carol.sees(C, ['alice', 'carol', 'dave']);
  });

  it('what is no client, and a prefix that could break the names, are refused at once', async () => {
    expect(() => replicated({ redis: {} })).toThrow(/node-redis.*ioredis/);
    expect(() => replicated({ redis: undefined })).toThrow(/node-redis.*ioredis/);
    const good = await client();
    expect(() => onDemand({ redis: good, prefix: 'a{b' })).toThrow(/prefix/);
  });

  it('nobody is gone when Sentinel puts another master in place', async () => {
    const sentinel = await TestSentinel.start();
    ends.push(() => sentinel.stop());
    const viaIoRedis = sentinel.viaIoRedis();
    ends.push(() => viaIoRedis.disconnect());
    const viaNodeRedis = await sentinel.viaNodeRedis();
    ends.push(() => viaNodeRedis.destroy());
    const [a, b] = [await node({}, viaIoRedis), await node({}, viaNodeRedis)];
    const alice = await enter(a, 'alice', C);
    const bob = await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    await sentinel.master.kill();
    await enter(a, 'meanwhile', C);
    await enter(b, 'too', C);
    for (const client of [alice, bob]) await client.sees(C, ['alice', 'bob', 'meanwhile', 'too']);
    for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
    for (const { warnings } of [a, b]) expect(warnings.join()).not.toContain('node-down');
    for (const { model } of [alice, bob]) expect(model.count('userOffline')).toBe(0);
  });

  it('Cluster clients, too, pull what they missed without a heartbeat', async () => {
    const slow = { heartbeatMs: 20_000, downAfterMs: 60_000 };
    const { masters, a, b, alice, bob } = await overCluster(slow);
    await alice.sees(C, ['alice', 'bob']);
    const startedAt = performance.now();
    const there = ['alice', 'bob'];
    for (let i = 0; i < 3; i++) {
      for (const master of masters.masters)
        await master.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await Promise.all([enter(a, `a${i}`, C), enter(b, `b${i}`, C)]);
      there.push(`a${i}`, `b${i}`);
      for (const client of [alice, bob]) await client.sees(C, [...there].sort());
    }
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  it('nobody is gone, and all is caught up with, when masters of a Redis Cluster go and come', async () => {
    const { masters, a, b, alice, bob } = await overCluster();
    const there = ['alice', 'bob'];
    for (const [i, master] of masters.masters.entries()) {
      await master.kill();
      await enter(a, `a${i}`, C);
      await enter(b, `b${i}`, C);
      await pause(1500);
      await master.restart();
      there.push(`a${i}`, `b${i}`);
      for (const client of [alice, bob]) await client.sees(C, [...there].sort());
    }
    for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
    for (const { warnings } of [a, b]) expect(warnings.join()).not.toContain('node-down');
    for (const { model } of [alice, bob]) expect(model.count('userOffline')).toBe(0);
  });

  it('nobody is gone, and news goes on, when slots of a Redis Cluster move to another master', async () => {
    const { masters, a, b, alice, bob } = await overCluster();
    const there = ['alice', 'bob'];
    for (const channel of [
      `rollcall:rollcall:shard:${shardOf(C, 64)}`,
      'rollcall:{rollcall}:all',
    ]) {
      const target = await masters.move(channel);
      await enter(a, `a${there.length}`, C);
      await enter(b, `b${there.length}`, C);
      there.push(`a${there.length}`, `b${there.length}`);
      for (const each of [alice, bob]) await each.sees(C, [...there].sort());
      const asker = await client(target.url);
      await waitFor(
        async () =>
          String(await asker.sendCommand(['PUBSUB', 'SHARDNUMSUB', channel])) === `${channel},2`,
        'both nodes to hear the channel where it is now',
      );
    }
    for (const { presence, warnings } of [a, b]) {
      await waitFor(() => !presence.isDegraded(), 'all well');
      expect(warnings).toEqual([]);
    }
    for (const { model } of [alice, bob]) expect(model.count('userOffline')).toBe(0);
  });

  it('works over TLS', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-tls-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
      ].concat(['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]),
      { stdio: 'ignore' },
    );
    const port = await freePort();
    const tls = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const secured = await TestRedis.start([
      '--tls-port',
      String(port),
      '--tls-auth-clients',
      'no',
      ...tls,
    ]);
    ends.push(() => secured.stop());
    const ca = readFileSync(cert);
    const viaNodeRedis = createClient({
      url: `rediss://127.0.0.1:${port}`,
      socket: { tls: true, ca },
    });
    viaNodeRedis.on('error', () => {});
    await viaNodeRedis.connect();
    ends.push(() => viaNodeRedis.destroy());
    const viaIoRedis = new Redis({ host: '127.0.0.1', port, tls: { ca } });
    ends.push(() => viaIoRedis.disconnect());
    const [a, b] = [await node({}, viaNodeRedis), await node({}, viaIoRedis)];
    const alice = await enter(a, 'alice', C);
    await enter(b, 'bob', C);
    await alice.sees(C, ['alice', 'bob']);
    // Three connections of each node, and the way in is the encrypted one.
    const asker = createClient({ url: secured.url });
    await asker.connect();
    ends.push(() => asker.destroy());
    await waitFor(async () => {
      const list = String(await asker.sendCommand(['CLIENT', 'LIST']));
      return (
        list.split('\n').filter((line) => line.includes(`laddr=127.0.0.1:${port}`)).length === 6
      );
    }, 'six connections over TLS');
  });
});
