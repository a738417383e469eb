import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  dualWrite,
  onDemand,
  redisOnly,
  replicated,
  type PresenceOptions,
  type Strategy,
} from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { createPresenceReader } from 'rollcall/redis';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';

const applications: Application[] = [];
const clients: TestClient[] = [];

async function application(...args: Parameters<typeof Application.start>): Promise<Application> {
  const started = await Application.start(...args);
  applications.push(started);
  return started;
}

async function join(
  url: string,
  userId: string,
  more: Record<string, unknown> = {},
  options: Parameters<typeof TestClient.join>[2] = {},
): Promise<TestClient> {
  const auth = { userId, deviceId: `${userId}-1`, communities: ['c'], ...more };
  const client = await TestClient.join(url, auth, options);
  clients.push(client);
  return client;
}

function violations(): string[] {
  return clients.flatMap((client) => client.violations);
}

const opened: Redis[] = [];

/** An ioredis client as SOCKETIO's adapters want it. */
function connect(redis: TestRedis): Redis {
  const client = new Redis(redis.port, { maxRetriesPerRequest: null });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(applications.splice(0).map((each) => each.stop()));
  await Promise.all(opened.splice(0).map((each) => each.quit()));
});

describe('beside an application’s own handlers', () => {
  it('leaves its events, rooms, data and handlers alone', async () => {
    const { io, url, ...app } = await application();
    io.use((socket, next) => {
      socket.data = { from: 'the application' };
      next();
    });
    const heard: unknown[] = [];
    let before: unknown[] = [];
    io.on('connection', (socket) => {
      void socket.join('community-room');
      socket.on('chat', (text: string, ack: (answer: string) => void) => ack(`heard ${text}`));
      socket.on('disconnect', (reason) => heard.push(reason));
      before = socket.eventNames();
    });
    const presence = applications[0]?.present() as ReturnType<Application['present']>;
    expect(app.presences).toHaveLength(1);
    await presence.ready();
    const ada = await join(url, 'ada');
    expect(await ada.send('chat', 'hello')).toBe('heard hello');
    const [socket] = await io.fetchSockets();
    expect(socket?.data).toEqual({ from: 'the application' });
    expect([...(socket?.rooms ?? [])].sort()).toEqual(
      [ada.socket.id, 'community-room', 'community:c'].sort(),
    );
    const own = io.of('/').sockets.get(ada.socket.id as string);
    await presence.close();
    // What is left are the listeners of the application and of Socket.IO itself, and they work.
    expect(own?.eventNames()).toEqual(before);
    expect(await ada.send('chat', 'still there')).toBe('heard still there');
    ada.close();
    await waitFor(() => heard.length === 1, 'the application’s disconnect handler');
    expect(heard).toEqual(['client namespace disconnect']);
  });

  it('takes in sockets that were there before it', async () => {
    const { io, url } = await application();
    const early = new TestClient(url, { userId: 'early', communities: ['c'] });
    clients.push(early);
    await waitFor(() => io.of('/').sockets.size === 1, 'the socket');
    applications[0]?.present();
    await early.sees('c', ['early']);
  });

  it('gives no presence to a socket that nobody identified, and says so', async () => {
    const logged: unknown[] = [];
    const note = (data: object): void => void logged.push(data);
    const { url } = await application();
    applications[0]?.present({
      identify: async (socket) => {
        const { userId } = socket.handshake.auth as { userId: string };
        if (userId === 'thrower') throw new Error('no such session');
        if (userId === 'wrong') return { userId: 7 as unknown as string };
        return userId === 'nobody' ? null : { userId, communities: ['c'] };
      },
      logger: { info: () => {}, warn: note, error: note },
    });
    const ada = await join(url, 'ada');
    for (const userId of ['nobody', 'thrower', 'wrong']) {
      const client = new TestClient(url, { userId });
      clients.push(client);
      for (const [event, argument] of [
        ['presenceUpdate', { status: 'busy' }],
        ['joinCommunity', 'c'],
        ['leaveCommunity', 'c'],
        ['presenceSync', 'c'],
      ] as const) {
        expect(await client.send(event, argument)).toMatchObject({
          ok: false,
          error: { code: 'NOT_IDENTIFIED' },
        });
      }
    }
    expect(ada.model.present('c')).toEqual(['ada']);
    expect(logged).toMatchObject([{ event: 'identify-failed' }, { event: 'identify-failed' }]);
  });

  it('keeps two namespaces apart, and sockets elsewhere out', async () => {
    const { io, url } = await application();
    const [x, y] = [io.of('/x'), io.of('/y')];
    const inX = applications[0]?.present({}, x) as ReturnType<Application['present']>;
    const inY = applications[0]?.present({}, y) as ReturnType<Application['present']>;
    const ada = await join(`${url}/x`, 'ada');
    const bob = await join(`${url}/y`, 'bob');
    const bea = await join(`${url}/y`, 'bea');
    await bob.sees('c', ['bea', 'bob']);
    expect(ada.model.present('c')).toEqual(['ada']);
    expect(inX.onlineUsers('c').map(({ userId }) => userId)).toEqual(['ada']);
    expect(inY.isOnline('ada')).toBe(false);
    expect(inY.isOnline('bea')).toBe(true);
    const stranger = new TestClient(url, { userId: 'eve', communities: ['c'] });
    clients.push(stranger);
    await waitFor(() => stranger.socket.connected, 'the socket of the main namespace');
    expect(stranger.model.told).toEqual([]);
    // One presence can close while the other goes on.
    await inX.close();
    bea.close();
    await bob.sees('c', ['bob']);
    expect(violations()).toEqual([]);
  });
});

describe('what the application reads and hears', () => {
  it('tells every listener, whatever becomes of the others, and logs what they throw or reject with', async () => {
    const logged: unknown[] = [];
    const ignore = (): void => {};
    const error = (fields: object): unknown => logged.push((fields as { error: string }).error);
    const logger = { debug: ignore, info: ignore, warn: ignore, error };
    const { url } = await application();
    const presence = applications[0]?.present({ logger }) as ReturnType<Application['present']>;
    const heard: string[] = [];
    presence.on('userOnline', () => {
      throw new Error('thrown');
    });
    presence.on('userOnline', async () => Promise.reject(new Error('rejected')));
    const once = ({ userId }: { userId: string }): void => {
      heard.push(`once ${userId}`);
      presence.off('userOnline', once);
    };
    presence.on('userOnline', once);
    presence.on('userOnline', ({ userId }) => void heard.push(userId));
    const ada = await join(url, 'ada');
    await join(url, 'bob');
    await ada.sees('c', ['ada', 'bob']);
    expect(heard).toEqual(['once ada', 'ada', 'bob']);
    const each = ['Error: thrown', 'Error: rejected'];
    await waitFor(() => logged.length === 4, 'the log');
    expect(logged).toEqual([...each, ...each]);
  });

  it('answers synchronously, cluster-wide on demand, and tells edges once', async () => {
    const { url } = await application();
    const presence = applications[0]?.present({ lingerMs: 50 }) as ReturnType<
      Application['present']
    >;
    const heard: string[] = [];
    for (const event of ['userOnline', 'userUpdated', 'userOffline'] as const) {
      presence.on(event, ({ userId }) => void heard.push(`${event} ${userId}`));
    }
    presence.on('userOnline', () => {
      throw new Error('a listener of the application');
    });
    await presence.ready();
    const ada = await join(url, 'ada', { info: { name: 'Ada' } });
    await join(url, 'ada', { deviceId: 'ada-2' });
    await waitFor(() => heard.length === 2, 'two events');
    expect(presence.isOnline('ada')).toBe(true);
    expect(presence.isOnline('bob')).toBe(false);
    expect(presence.user('bob')).toBeUndefined();
    expect(presence.user('ada')?.communities).toHaveLength(1);
    expect(presence.onlineUsers('c')).toBe(presence.onlineUsers('c'));
    expect(Object.isFrozen(presence.onlineUsers('c'))).toBe(true);
    expect(await presence.fetchOnlineUsers('c')).toEqual(presence.onlineUsers('c'));
    expect(await presence.fetchUser('ada')).toMatchObject({ userId: 'ada', complete: true });
    expect(() => presence.onlineUsers('')).toThrow(/communityId must not be empty/);
    await expect(presence.fetchCommunity('x'.repeat(129))).rejects.toThrow(/idBytes/);
    for (const client of clients.splice(0).reverse()) {
      client.close();
      await waitFor(() => heard.length > 2, 'an event');
    }
    await waitFor(() => heard.at(-1) === 'userOffline ada', 'the offline edge');
    expect(heard).toEqual([
      'userOnline ada',
      'userUpdated ada',
      'userUpdated ada',
      'userOffline ada',
    ]);
    expect(ada.violations).toEqual([]);
    await presence.close();
    expect(presence.isReady()).toBe(false);
    await expect(presence.fetchOnlineUsers('c')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

it('never sends the list of a community as it was before everybody had left it', async () => {
  const { url } = await application();
  applications[0]?.present();
  for (let round = 0; round < 3; round++) {
    for (const user of ['ada', 'bob']) {
      const client = await join(url, `${user}${round}`);
      expect(client.model.present('c')).toEqual([`${user}${round}`]);
      client.close();
      await waitFor(
        () => applications[0]?.presences[0]?.isOnline(`${user}${round}`) === false,
        'it',
      );
    }
  }
});

describe('a place of the application’s own for lastSeen', () => {
  const given = (record: () => Promise<void>) => {
    const logged: object[] = [];
    const log = (data: object): void => void logged.push(data);
    const options = {
      lastSeen: { record, read: () => Promise.resolve(undefined) },
      logger: { info: () => {}, warn: log, error: log },
    };
    return { logged, options };
  };

  it('that fails costs the application nothing but a line of its log', async () => {
    const { url } = await application();
    const failed: unknown[] = [];
    const note = (error: unknown): void => void failed.push(error);
    process.on('unhandledRejection', note);
    try {
      const { logged, options } = given(() => Promise.reject(new Error('no database')));
      applications[0]?.present(options);
      for (const userId of ['ada', 'bob']) (await join(url, userId)).close();
      await waitFor(() => applications[0]?.presences[0]?.onlineUsers('c').length === 0, 'offline');
      await waitFor(() => logged.length > 0, 'the line');
      await applications[0]?.presences[0]?.close();
      expect(logged).toEqual([{ event: 'last-seen-failed', error: 'Error: no database' }]);
      expect(failed).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });

  it('that never answers keeps nobody from closing', async () => {
    const { url } = await application();
    const { logged, options } = given(() => new Promise(() => {}));
    const presence = applications[0]?.present(options);
    await join(url, 'ada');
    await presence?.close();
    expect(logged).toMatchObject([{ event: 'last-seen-failed' }]);
  });
});

describe('connection state recovery', () => {
  it('race 25: identifies, authorizes and lists a recovered socket like a new one', async () => {
    const { io, url } = await application({ connectionStateRecovery: {} });
    const open = new Set(['c', 'later', 'closing']);
    applications[0]?.present({ authorize: (_identity, id) => open.has(id) });
    const watcher = await join(url, 'watcher', { communities: ['c', 'closing'] });
    const ada = await join(url, 'ada', { communities: ['c', 'closing'] });
    expect(await ada.send('joinCommunity', 'later')).toMatchObject({ ok: true });
    await ada.sees('later', ['ada']);
    // A client can recover only once it has seen a packet with an offset.
    let greeted = false;
    ada.socket.on('greeting', () => (greeted = true));
    io.emit('greeting');
    await waitFor(() => greeted, 'the greeting');
    open.delete('closing');
    const before = ada.socket.id;
    ada.drop();
    await waitFor(() => !ada.socket.connected, 'the drop');
    await waitFor(() => ada.socket.connected, 'the return');
    expect(ada.socket.recovered).toBe(true);
    expect(ada.socket.id).toBe(before);
    await ada.sees('c', ['ada', 'watcher']);
    await ada.sees('later', ['ada']);
    expect(await watcher.send('presenceUpdate', { status: 'busy' })).toMatchObject({ ok: true });
    await waitFor(
      () => ada.model.user('c', 'watcher')?.status === 'busy',
      'an event after the list',
    );
    // Nothing of the community that is closed to it now.
    expect(ada.model.rosters.has('closing')).toBe(false);
    expect(
      io
        .of('/')
        .sockets.get(before as string)
        ?.rooms.has('community:closing'),
    ).toBe(false);
    expect(watcher.model.count('userOffline', 'ada')).toBe(0);
    expect(violations()).toEqual([]);
  });
});

describe.runIf(hasRedis)('over the adapter of the application, with ioredis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  const STRATEGIES: Record<string, () => Strategy> = {
    replicated: () => replicated(),
    'on-demand': () => onDemand(),
    'dual-write': () => dualWrite({ redis: connect(redis) }),
    redis: () => redisOnly({ redis: connect(redis) }),
  };

  it.each(Object.keys(STRATEGIES))(
    'may be set after the server was made, and even after presence was added: %s',
    async (name) => {
      const [one, two] = [await application(), await application()];
      const here = (): Partial<PresenceOptions> => ({
        cluster: `late-${name}`,
        strategy: (STRATEGIES[name] as () => Strategy)(),
      });
      one.io.adapter(createAdapter(connect(redis), connect(redis)));
      const first = one.present(here());
      const second = two.present(here());
      await Promise.all([first.ready(), second.ready()]);
      const early = await join(two.url, 'early');
      two.io.adapter(createAdapter(connect(redis), connect(redis)));
      const ada = await join(one.url, 'ada');
      const bob = await join(two.url, 'bob');
      for (const client of [early, ada, bob]) await client.sees('c', ['ada', 'bob', 'early']);
      // Who was there before goes on being told, and not by new lists alone.
      await waitFor(() => early.model.infos.get('c')?.complete === true, 'a complete list');
      const lists = early.model.count('globalPresenceSync');
      const cleo = await join(one.url, 'cleo');
      await early.sees('c', ['ada', 'bob', 'cleo', 'early']);
      cleo.close();
      await early.sees('c', ['ada', 'bob', 'early']);
      expect(early.model.count('globalPresenceSync')).toBe(lists);
      await waitFor(
        () => [first, second].every((each) => each.nodes().length === 2),
        'each node to know the other',
      );
      expect(violations()).toEqual([]);
    },
  );

  const OVER_REDIS: Record<string, (options: { redis: Redis }) => Strategy> = {
    replicated,
    'on-demand': onDemand,
    'dual-write': dualWrite,
    redis: redisOnly,
  };

  it.each(Object.keys(OVER_REDIS))(
    'keeps namespaces apart that share a Redis: %s',
    async (name) => {
      const make = OVER_REDIS[name] as (options: { redis: Redis }) => Strategy;
      const cluster = `apart-${name}`;
      const [one, two] = [await application(), await application()];
      const names = ['', '/x', '/y'];
      for (const each of [one, two]) {
        for (const namespace of names) {
          const strategy = make({ redis: connect(redis) });
          each.present({ cluster, strategy }, each.io.of(namespace));
        }
      }
      const all = [...one.presences, ...two.presences];
      await Promise.all(all.map((each) => each.ready()));
      for (const namespace of names) {
        const here = await join(one.url + namespace, `here${namespace}`);
        const there = await join(two.url + namespace, `there${namespace}`);
        for (const client of [here, there]) {
          await client.sees('c', [`here${namespace}`, `there${namespace}`]);
        }
      }
      for (const client of clients) expect(client.model.rosters.get('c')?.size).toBe(2);
      expect(violations()).toEqual([]);
      if (name === 'replicated' || name === 'on-demand') {
        for (const presence of all) expect(presence.nodes()).toHaveLength(2);
        return;
      }
      for (const namespace of names) {
        const reader = createPresenceReader({
          redis: connect(redis),
          cluster,
          namespace: namespace || '/',
        });
        const ids = (await reader.fetchOnlineUsers('c')).map(({ userId }) => userId);
        expect(ids.sort()).toEqual([`here${namespace}`, `there${namespace}`]);
      }
    },
  );

  const ADAPTERS = {
    redis: () => createAdapter(connect(redis), connect(redis)),
    'redis-sharded': () => createShardedAdapter(connect(redis), connect(redis)),
    'redis-streams': () => createStreamsAdapter(connect(redis)),
  };

  it.each(Object.keys(ADAPTERS) as (keyof typeof ADAPTERS)[])(
    'shows both directions with the %s adapter, over an outage of Redis',
    async (kind) => {
      const timings = { heartbeatMs: 250, downAfterMs: 1500, lingerMs: 500 };
      const pair = [
        await application({ adapter: ADAPTERS[kind]() }),
        await application({ adapter: ADAPTERS[kind]() }),
      ] as const;
      const presences = pair.map((each) => each.present(timings));
      await Promise.all(presences.map((each) => each.ready()));
      const ada = await join(pair[0].url, 'ada');
      const bob = await join(pair[1].url, 'bob');
      await ada.sees('c', ['ada', 'bob']);
      expect(bob.model.present('c')).toEqual(['ada', 'bob']);
      expect(presences[0]?.isOnline('bob')).toBe(true);

      await redis.kill();
      await waitFor(() => presences.every((each) => each.isDegraded()), 'both to be degraded');
      const cleo = await join(pair[1].url, 'cleo');
      expect(cleo.model.infos.get('c')?.complete).toBe(false);
      await redis.restart();
      await ada.sees('c', ['ada', 'bob', 'cleo']);
      await waitFor(() => cleo.model.infos.get('c')?.complete === true, 'a complete list');
      expect(ada.model.count('userOffline')).toBe(0);
      expect(violations()).toEqual([]);
    },
  );

  it('lists a socket that recovers on the other node, over the streams adapter', async () => {
    const options = { connectionStateRecovery: {} };
    const pair = [
      await application({ ...options, adapter: createStreamsAdapter(connect(redis)) }),
      await application({ ...options, adapter: createStreamsAdapter(connect(redis)) }),
    ] as const;
    const presences = pair.map((each) => each.present());
    await Promise.all(presences.map((each) => each.ready()));
    const watcher = await join(pair[0].url, 'watcher');
    const ada = await join(pair[0].url, 'ada');
    let greeted = false;
    ada.socket.on('greeting', () => (greeted = true));
    pair[0].io.emit('greeting');
    await waitFor(() => greeted, 'the greeting');
    (ada.socket.io as unknown as { uri: string }).uri = pair[1].url;
    ada.drop();
    await waitFor(() => !ada.socket.connected, 'the drop');
    await waitFor(() => ada.socket.connected, 'the return');
    expect(ada.socket.recovered).toBe(true);
    await ada.sees('c', ['ada', 'watcher']);
    expect(await watcher.send('presenceUpdate', { status: 'busy' })).toMatchObject({ ok: true });
    await waitFor(() => ada.model.user('c', 'watcher')?.status === 'busy', 'an event');
    expect(watcher.model.count('userOffline', 'ada')).toBe(0);
    expect(violations()).toEqual([]);
  });
});
