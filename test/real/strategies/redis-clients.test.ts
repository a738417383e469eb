import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import {
  dualWrite,
  lastSeenIn,
  redisOnly,
  replicated,
  type Presence,
  type Strategy,
} from 'rollcall';
import { createPresenceReader } from 'rollcall/redis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { kindOf, linkTo, type RedisLink } from '../../../src/redis/link.js';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { TestRedisCluster } from '../../support/redis-cluster.js';
import { Relay } from '../../support/relay.js';
import { TestSentinel } from '../../support/redis-sentinel.js';
import { pause, waitFor } from '../../support/wait.js';

/** A client for the application and what ends it. */
interface Given {
  readonly client: unknown;
  readonly end: () => void;
}

const as = (user: string, url: string): string => url.replace('//', `//${user}`);

const TIMINGS = { lingerMs: 500, heartbeatMs: 100, downAfterMs: 500 };

describe.runIf(hasRedis)('a client of the application', () => {
  let redis: TestRedis;
  let cluster: TestRedisCluster;
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([TestRedis.start(), TestRedisCluster.start()]);
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(() => Promise.all([redis.stop(), cluster.stop()]));

  async function connected(url: string) {
    const made = createClient({ url });
    made.on('error', () => {});
    await made.connect();
    ends.push(() => made.destroy());
    return made;
  }

  /** By kind, as a user of Redis: `name:password@`, or empty for the default one. */
  const CLIENTS: Record<string, (user: string) => Promise<Given>> = {
    'node-redis': async (user) => {
      const client = createClient({ url: as(user, redis.url) });
      client.on('error', () => {});
      await client.connect();
      return { client, end: () => client.destroy() };
    },
    ioredis: async (user) => {
      const client = new Redis(as(user, redis.url));
      return { client, end: () => client.disconnect() };
    },
    'node-redis Cluster': async () => {
      const client = createCluster({ rootNodes: cluster.addresses.map(({ url }) => ({ url })) });
      client.on('error', () => {});
      await client.connect();
      return { client, end: () => client.destroy() };
    },
    'ioredis Cluster': async (user) => {
      const [username = '', password = ''] = user.split(/[:@]/);
      const redisOptions = user === '' ? {} : { username, password };
      const client = new Cluster(cluster.addresses, { redisOptions });
      return { client, end: () => client.disconnect() };
    },
  };

  async function client(kind: string, user = ''): Promise<unknown> {
    const given = await CLIENTS[kind]!(user);
    ends.push(given.end);
    return given.client;
  }

  /** An application with presence; the index alone connects it with the others. */
  async function node(
    strategy: (options: { readonly redis: unknown }) => Strategy,
    redisClient: unknown,
    cluster?: string,
    timings: Partial<typeof TIMINGS> = {},
  ): Promise<{ url: string; presence: Presence }> {
    const application = await Application.start();
    const presence = application.present({
      strategy: strategy({ redis: redisClient }),
      ...(cluster !== undefined && { cluster }),
      ...TIMINGS,
      ...timings,
    });
    ends.push(() => application.stop());
    await presence.ready();
    return { url: application.url, presence };
  }

  async function join(at: { url: string }, userId: string, ...communities: string[]) {
    const joined = await TestClient.join(at.url, { userId, deviceId: 'd', communities });
    ends.push(() => joined.close());
    return joined;
  }

  it.each(Object.keys(CLIENTS))('of %s carries dual-write, whatever the ids', async (kind) => {
    const own = await client(kind);
    const [a, b] = [await node(dualWrite, own), await node(dualWrite, own)];
    const communities = ['plain', '{tag}x', 'x{plain}', 'a}b{c', '%7B', 'ü ü', ...'0123456789'];
    const alice = await join(a, 'al{i}ce', ...communities);
    const bob = await join(b, 'bob', ...communities);
    for (const communityId of communities) {
      expect(bob.model.present(communityId)).toEqual(['al{i}ce', 'bob']);
      await alice.sees(communityId, ['al{i}ce', 'bob']);
    }
    expect(a.presence.isOnline('bob')).toBe(true);
    bob.close();
    for (const communityId of communities) await alice.sees(communityId, ['al{i}ce']);
    expect(alice.violations).toEqual([]);
    await waitFor(async () => (await a.presence.lastSeen('bob')) !== undefined, 'last seen');
  });

  /** A failover that loses what was written last makes nobody leave who is connected, nor stay who is not. */
  async function outliveFailover(
    clients: readonly [unknown, unknown],
    forget: () => Promise<() => Promise<void>>,
  ): Promise<void> {
    // A client takes seconds to find the other master, and a node is not dead so soon.
    const patient = { downAfterMs: 15_000, heartbeatMs: 1000 };
    const [a, b] = [
      await node(dualWrite, clients[0], undefined, patient),
      await node(dualWrite, clients[1], undefined, patient),
    ];
    const alice = await join(a, 'alice', 'c');
    const bob = await join(b, 'bob', 'c');
    const frank = await join(b, 'frank', 'c');
    for (const each of [alice, bob]) await each.sees('c', ['alice', 'bob', 'frank']);
    const failOver = await forget();
    const carol = await join(a, 'carol', 'c');
    await join(b, 'dave', 'c');
    frank.close();
    for (const each of [alice, bob]) await each.sees('c', ['alice', 'bob', 'carol', 'dave']);
    await failOver();
    carol.close();
    await join(b, 'erin', 'c');
    const there = ['alice', 'bob', 'dave', 'erin'];
    for (const each of [alice, bob]) await each.sees('c', there);
    const reader = createPresenceReader({ redis: clients[1] });
    await waitFor(async () => {
      const users = await reader.fetchOnlineUsers('c');
      const userIds = users.map(({ userId }) => userId);
      return userIds.sort().join() === there.join();
    }, 'the index to hold them all again');
    for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
    for (const { model } of [alice, bob]) {
      expect(model.present('c')).toEqual(there);
      // Who had just left may come up once more: that has been lost, too.
      const gone = new Set(
        model.told.filter(({ event }) => event === 'userOffline').map(({ userId }) => userId),
      );
      expect([...gone].sort()).toEqual(['carol', 'frank']);
    }
  }

  it('may be of Sentinel: a failover loses nobody, though it loses what was written last', async () => {
    const sentinel = await TestSentinel.start();
    ends.push(() => sentinel.stop());
    const ofNodeRedis = await sentinel.viaNodeRedis();
    ends.push(() => ofNodeRedis.destroy());
    const ofIoRedis = sentinel.viaIoRedis();
    ends.push(() => ofIoRedis.disconnect());
    await outliveFailover([ofNodeRedis, ofIoRedis], async () => {
      await sentinel.separate();
      return () => sentinel.master.kill();
    });
  });

  it('may be of a Redis Cluster: a failover that is over before a command fails loses nobody either', async () => {
    const masters = await TestRedisCluster.start();
    ends.push(() => masters.stop());
    const ofNodeRedis = createCluster({ rootNodes: masters.addresses.map(({ url }) => ({ url })) });
    ofNodeRedis.on('error', () => {});
    await ofNodeRedis.connect();
    ends.push(() => ofNodeRedis.destroy());
    const ofIoRedis = new Cluster(masters.addresses);
    ofIoRedis.on('error', () => {});
    ends.push(() => ofIoRedis.disconnect());
    await outliveFailover([ofNodeRedis, ofIoRedis], () => masters.forget('{c}'));
  });

  it('may be one with no more rights than docs/strategies.md names', async () => {
    const text = await readFile(new URL('../../../docs/strategies.md', import.meta.url), 'utf8');
    const [, paragraph = ''] = text.split('A Redis user needs') as [string, string?];
    const named = paragraph.split('\n\n', 1)[0]!.matchAll(/`([A-Z]+)`/g);
    const commands = [...named].map(([, command]) => `+${command!.toLowerCase()}`);
    const admin = createClient({ url: redis.url });
    await admin.connect();
    const rights = ['~rollcall:*', '&rollcall:*', '-@all', ...commands];
    await admin.sendCommand(['ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...rights]);
    admin.destroy();
    const own = createClient({ url: redis.url.replace('//', '//app:secret@') });
    own.on('error', () => {});
    await own.connect();
    ends.push(() => own.destroy());
    const [a, b] = [await node(dualWrite, own), await node(dualWrite, own)];
    const alice = await join(a, 'alice', 'rights');
    const bob = await join(b, 'bob', 'rights');
    expect(bob.model.present('rights')).toEqual(['alice', 'bob']);
    bob.close();
    await alice.sees('rights', ['alice']);
    await waitFor(async () => (await a.presence.lastSeen('bob')) !== undefined, 'last seen');
    expect(a.presence.isDegraded()).toBe(false);
  });

  it.each(['node-redis', 'ioredis', 'ioredis Cluster'])(
    'of %s may reconnect while SUBSCRIBE is not allowed: all is heard again once it is',
    async (kind) => {
      const rejections: unknown[] = [];
      const onRejection = (reason: unknown): void => void rejections.push(reason);
      process.on('unhandledRejection', onRejection);
      ends.push(() => process.off('unhandledRejection', onRejection));
      const servers = kind.endsWith('Cluster') ? cluster.masters : [redis];
      const allow = async (right: string): Promise<void> => {
        const user = ['app', 'on', '>secret', '~*', '&*', '+@all', right];
        for (const server of servers) await server.command('ACL', 'SETUSER', ...user);
      };
      await allow('+subscribe');
      const own = await client(kind, 'app:secret@');
      const [a, b] = [await node(dualWrite, own), await node(dualWrite, own)];
      const communityId = `refused-${randomUUID()}`;
      const alice = await join(a, 'alice', communityId);
      const bob = await join(b, 'bob', communityId);
      await alice.sees(communityId, ['alice', 'bob']);
      const admins = await Promise.all(servers.map(({ url }) => connected(url)));
      const sum = async (count: (admin: (typeof admins)[number]) => Promise<unknown>) =>
        (await Promise.all(admins.map(count))).reduce((all: number, each) => all + Number(each), 0);
      const refusals = (): Promise<number> =>
        sum(async (admin) => /NOPERM:count=(\d+)/.exec(await admin.info('errorstats'))?.[1] ?? 0);
      const hearers = (): Promise<number> => {
        const channel = `rollcall:{${communityId}}:changes`;
        return sum(async (admin) => (await admin.pubSubNumSub(channel))[channel]);
      };
      const before = await refusals();
      await allow('-subscribe');
      for (const server of servers) await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await join(a, 'carol', communityId);
      await waitFor(async () => (await refusals()) > before, 'SUBSCRIBE to be refused');
      await allow('+subscribe');
      await join(b, 'dave', communityId);
      const there = ['alice', 'bob', 'carol', 'dave'];
      for (const each of [alice, bob]) await each.sees(communityId, there);
      await waitFor(async () => (await hearers()) === 2, 'both to be subscribed');
      for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
      expect(rejections).toEqual([]);
    },
  );

  it.each(['node-redis', 'ioredis'])(
    'of %s whose subscriptions were cut for a moment has missed nothing, without a heartbeat',
    async (kind) => {
      const own = await client(kind);
      const slow = { heartbeatMs: 20_000, downAfterMs: 60_000 };
      const [a, b] = await Promise.all([
        node(dualWrite, own, undefined, slow),
        node(dualWrite, own, undefined, slow),
      ]);
      const communityId = `cut-${randomUUID()}`;
      const alice = await join(a, 'alice', communityId);
      const bob = await join(b, 'bob', communityId);
      const there = ['alice', 'bob'];
      for (let i = 0; i < 3; i++) {
        await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await Promise.all([join(a, `a${i}`, communityId), join(b, `b${i}`, communityId)]);
        there.push(`a${i}`, `b${i}`);
        for (const each of [alice, bob]) await each.sees(communityId, [...there].sort());
      }
    },
  );

  /** Strategies over a client of node-redis, by the two ways in which they use it. */
  const OVER = { dualWrite, replicated } as const;

  it.each(Object.keys(OVER) as (keyof typeof OVER)[])(
    'with a socketTimeout carries %s through quiet times, and finds out when Redis hangs',
    async (strategy) => {
      const relay = await Relay.start(redis.port);
      ends.push(() => relay.stop());
      const quietMs = 600;
      const own = createClient({ url: relay.url, socket: { socketTimeout: quietMs } });
      own.on('error', () => {});
      await own.connect();
      ends.push(() => own.destroy());
      // The application's own is in use.
      const using = setInterval(() => void own.ping().catch(() => {}), quietMs / 6);
      ends.push(() => clearInterval(using));
      const patient = { heartbeatMs: 5000, downAfterMs: 20_000 };
      const a = await node(OVER[strategy], own, undefined, patient);
      await join(a, 'alice', 'quiet');
      let degraded = Number(a.presence.isDegraded());
      a.presence.on('degraded', (is) => void (degraded += Number(is)));
      await pause(5 * quietMs);
      expect({ degraded, isOpen: own.isOpen }).toEqual({ degraded: 0, isOpen: true });
      const admin = await connected(redis.url);
      const subscriber = async (): Promise<string | undefined> => {
        const list = String(await admin.sendCommand(['CLIENT', 'LIST', 'TYPE', 'pubsub']));
        return /^id=\d+/.exec(list)?.[0];
      };
      const was = await subscriber();
      relay.hold('up', 'down');
      await waitFor(async () => (await subscriber()) !== was, 'what hangs to be given up');
      relay.heal();
      await waitFor(async () => {
        if (!own.isOpen) await own.connect();
        return !a.presence.isDegraded() && (await subscriber()) !== undefined;
      }, 'all well');
    },
  );

  it.each(['node-redis', 'ioredis'])(
    'of %s that does not reconnect: a connection of ours that was lost is made anew',
    async (kind) => {
      const made =
        kind === 'ioredis'
          ? new Redis(redis.url, { retryStrategy: () => null })
          : createClient({ url: redis.url, socket: { reconnectStrategy: false } });
      made.on('error', () => {});
      if ('isOpen' in made) await made.connect();
      ends.push(() => ('isOpen' in made ? made.destroy() : made.disconnect()));
      for (const strategy of Object.values(OVER)) {
        const [a, b] = [await node(strategy, made), await node(strategy, made)];
        const communityId = `anew-${randomUUID()}`;
        const alice = await join(a, 'alice', communityId);
        await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await waitFor(() => a.presence.isDegraded(), 'the loss to be noticed');
        await join(b, 'bob', communityId);
        await alice.sees(communityId, ['alice', 'bob']);
        for (const { presence } of [a, b]) await waitFor(() => !presence.isDegraded(), 'all well');
      }
    },
  );

  /** Counts the connections to these servers. */
  async function counter(servers: readonly TestRedis[]): Promise<() => Promise<number>> {
    const admins = await Promise.all(servers.map(({ url }) => connected(url)));
    return async () => {
      const lists = await Promise.all(admins.map((admin) => admin.sendCommand(['CLIENT', 'LIST'])));
      return lists.join('').trim().split('\n').length;
    };
  }

  it.each(Object.keys(CLIENTS))(
    'of %s: a presence that is closed at once leaves no connection',
    async (kind) => {
      const own = await client(kind);
      const servers = kind.endsWith('Cluster') ? cluster.masters : [redis];
      const connections = await counter(servers);
      const round = async (): Promise<void> => {
        for (const strategy of Object.values(OVER)) {
          for (const turns of [0, 1, 2, 5]) {
            const application = await Application.start();
            const presence = application.present({ strategy: strategy({ redis: own }) });
            for (let i = 0; i < turns; i++) await new Promise(setImmediate);
            await presence.close();
            await application.stop();
          }
        }
        // What is about to connect does.
        await pause(500);
      };
      // A Cluster client of the application's opens some of its own when they are needed.
      await round();
      const before = await connections();
      await round();
      await waitFor(async () => (await connections()) <= before, 'all to be closed');
    },
  );

  it('of node-redis Cluster: one beside it that is closed as it connects leaves no connection', async () => {
    const given = createCluster({ rootNodes: cluster.addresses.map(({ url }) => ({ url })) });
    given.on('error', () => {});
    await given.connect();
    ends.push(() => given.destroy());
    const connections = await counter(cluster.masters);
    const before = await connections();
    const beside = (): RedisLink => {
      const link = linkTo(given);
      link.start(() => {});
      return link;
    };
    const duplicates = vi.spyOn(given, 'duplicate').mock.results;
    const found = beside();
    const own = duplicates[0]?.value as typeof given;
    while (own.nodeByAddress.size === 0) await new Promise(setImmediate);
    found.close();
    const subscribing = beside();
    await waitFor(() => subscribing.isReady, 'it to be connected');
    const subscribed = subscribing.subscribe('channel', () => {}).catch(() => {});
    // It unsubscribes first.
    await Promise.resolve();
    subscribing.close();
    await subscribed;
    await waitFor(async () => (await connections()) === before, 'all to be closed');
  });

  it('may serve many namespaces: it gets no more listeners for that', async () => {
    const [own, other] = [await client('node-redis'), await client('ioredis')];
    const application = await Application.start();
    ends.push(() => application.stop());
    const count = (): number[] =>
      [own, other].map((each) =>
        ['ready', 'end', 'error', 'close'].reduce(
          (all, event) => all + (each as EventEmitter).listenerCount(event),
          0,
        ),
      );
    const none = count();
    const presences = (i: number): Presence[] =>
      [own, other].flatMap((redis) =>
        Object.entries(OVER).map(([name, strategy]) =>
          application.present(
            { strategy: strategy({ redis }) },
            application.io.of(`/${name}-${kindOf(redis)}-${i}`),
          ),
        ),
      );
    const first = presences(0);
    const one = count();
    const more = [1, 2, 3, 4, 5, 6].flatMap(presences);
    expect(count()).toEqual(one);
    await Promise.all([...first, ...more].map((presence) => presence.close()));
    expect(count()).toEqual(none);
  });

  it('that is none is refused at once', () => {
    expect(() => dualWrite({ redis: {} })).toThrow(/node-redis.*ioredis/);
    expect(() => dualWrite({ redis: undefined })).toThrow(/node-redis.*ioredis/);
    expect(() => createPresenceReader({ redis: 'redis://' })).toThrow(/node-redis.*ioredis/);
  });

  it('with a prefix that could break the hash tags is refused at once', async () => {
    const redisClient = await client('node-redis');
    expect(() => dualWrite({ redis: redisClient, prefix: 'a{b' })).toThrow(/prefix/);
  });

  it('under redis: reading without waiting names the call to use, and waiting reads', async () => {
    const a = await node(redisOnly, await client('node-redis'));
    const alice = await join(a, 'alice', 'sync');
    expect(() => a.presence.isOnline('alice')).toThrow(/fetchUser\(userId\)/);
    expect(() => a.presence.user('alice')).toThrow(/fetchUser\(userId\)/);
    expect(() => a.presence.onlineUsers('sync')).toThrow(/fetchOnlineUsers\(communityId\)/);
    const seen = async (): Promise<string[]> =>
      (await a.presence.fetchOnlineUsers('sync')).map(({ userId }) => userId);
    await waitFor(async () => (await seen()).join() === 'alice', 'alice in Redis');
    expect((await a.presence.fetchUser('alice')).communities).toHaveLength(1);
    alice.close();
    await waitFor(async () => (await seen()).length === 0, 'nobody in Redis');
  });

  it('reads for a service without a server, invisible people left out', async () => {
    const redisClient = await client('ioredis');
    // Who comes back soon is still invisible, so a second try has a community of its own.
    const communityId = `read-${randomUUID()}`;
    const reader = createPresenceReader({ redis: redisClient });
    const a = await node(dualWrite, redisClient);
    const alice = await join(a, 'alice', communityId);
    await join(a, 'bob', communityId);
    const seen = async (): Promise<string> =>
      (await reader.fetchOnlineUsers(communityId))
        .map(({ userId }) => userId)
        .sort()
        .join();
    await waitFor(async () => (await seen()) === 'alice,bob', 'both');
    expect((await reader.fetchCommunity(communityId)).info).toEqual({
      communityId,
      complete: true,
      nodes: 1,
    });
    await alice.send('presenceUpdate', { status: 'invisible' });
    await waitFor(async () => (await seen()) === 'bob', 'bob alone');
    expect(await reader.fetchUser('alice', communityId)).toBeUndefined();
    expect((await reader.fetchUser('bob', communityId))?.status).toBe('active');
    // To the others she has left.
    await waitFor(async () => (await reader.lastSeen('alice')) !== undefined, 'last seen');
    expect(Math.abs(((await reader.lastSeen('alice')) ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(await reader.lastSeen('nobody')).toBeUndefined();
    await expect(reader.fetchOnlineUsers('')).rejects.toThrow(/communityId/);
  });

  it('keeps under replicated when users were last seen, over restarts', async () => {
    const redisClient = await client('node-redis');
    const started = Date.now();
    const prefix = `seen-test-${randomUUID()}`;
    for (const round of [1, 2]) {
      const application = await Application.start();
      ends.push(() => application.stop());
      const lastSeen = lastSeenIn({ redis: redisClient, prefix, keepForMs: 60_000 });
      const presence = application.present({ lastSeen, ...TIMINGS });
      await presence.ready();
      const before = await presence.lastSeen('alice');
      if (round === 2) {
        expect(before).toBeGreaterThanOrEqual(started);
        break;
      }
      expect(before).toBeUndefined();
      await join(application, 'watcher', 'seen');
      (await join(application, 'alice', 'seen')).close();
      await waitFor(async () => (await presence.lastSeen('alice')) !== undefined, 'last seen');
    }
    const bare = await Application.start();
    ends.push(() => bare.stop());
    await expect(bare.present().lastSeen('alice')).rejects.toThrow(/lastSeenIn/);
  });

  it('keeps clusters of another name apart', async () => {
    const redisClient = await client('node-redis');
    const a = await node(dualWrite, redisClient);
    const b = await node(dualWrite, redisClient, 'other');
    const alice = await join(a, 'alice', 'apart');
    const bob = await join(b, 'bob', 'apart');
    expect(bob.model.present('apart')).toEqual(['bob']);
    expect(alice.model.present('apart')).toEqual(['alice']);
    const reader = createPresenceReader({ redis: redisClient, cluster: 'other' });
    await waitFor(async () => (await reader.fetchOnlineUsers('apart')).length === 1, 'bob');
  });
});
