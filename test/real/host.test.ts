import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-adapter';
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter';
import { Redis } from 'ioredis';
import { Server, type ServerOptions, type Socket } from 'socket.io';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPresence, type Presence, type PresenceOptions } from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';
import { VARIANTS, variantOf } from './strategies/variants.js';

/**
 * What an application may do to its server and its sockets: end them, take listeners off, add presence
 * twice or in an odd place, close in another order.
 */

const applications: Application[] = [];
const clients: TestClient[] = [];
const opened: Redis[] = [];
const logged: { event?: string; reason?: string }[] = [];
let redis: TestRedis;
let clusters = 0;

/** An ioredis client as SOCKETIO's adapters want it. */
function connect(): Redis {
  const client = new Redis(redis.port, { maxRetriesPerRequest: null });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

const NAMES = Object.keys(VARIANTS);

async function application(options: Partial<ServerOptions> = {}): Promise<Application> {
  const adapter = createAdapter(connect(), connect());
  const started = await Application.start({ adapter, ...options });
  applications.push(started);
  return started;
}

const note = (data: object): void => void logged.push(data);

/** Options of one node more in a cluster. */
function node(
  name: string,
  cluster: string,
  more: Partial<PresenceOptions> = {},
): Partial<PresenceOptions> {
  return {
    cluster,
    strategy: variantOf(name, { redis: connect() }),
    lingerMs: 1000,
    logger: { info: note, warn: note, error: note },
    ...more,
  };
}

interface Pair {
  readonly one: Application;
  readonly two: Application;
  readonly first: Presence;
  readonly second: Presence;
  readonly cluster: string;
}

/** Two servers with presence; `prepare` has the first one before presence is added. */
async function pair(
  name: string,
  more: Partial<PresenceOptions> = {},
  prepare: (one: Application) => void = () => {},
): Promise<Pair> {
  const cluster = `host-${++clusters}`;
  const [one, two] = [await application(), await application()];
  prepare(one);
  const first = one.present(node(name, cluster, more));
  const second = two.present(node(name, cluster, more));
  await Promise.all([first.ready(), second.ready()]);
  return { one, two, first, second, cluster };
}

function begin(
  url: string,
  userId: string,
  more: Record<string, unknown> = {},
  options: ConstructorParameters<typeof TestClient>[2] = {},
): TestClient {
  const auth = { userId, deviceId: `${userId}-1`, communities: ['c'], ...more };
  const client = new TestClient(url, auth, options);
  clients.push(client);
  return client;
}

async function join(
  url: string,
  userId: string,
  more: Record<string, unknown> = {},
): Promise<TestClient> {
  const client = begin(url, userId, more);
  await waitFor(() => client.model.rosters.has('c'), `the first list of ${userId}`);
  return client;
}

function violations(): string[] {
  return clients.flatMap((client) => client.violations);
}

describe.runIf(hasRedis)('what an application does to its server', () => {
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(applications.splice(0).map((each) => each.stop()));
    await Promise.all(opened.splice(0).map((each) => each.quit()));
    logged.length = 0;
  });

  describe('a socket that is ended while it connects is nobody’s presence', () => {
    const isBanned = (socket: Socket): boolean => socket.handshake.auth['banned'] === true;
    const kick = (socket: Socket): void => void (isBanned(socket) && socket.disconnect());

    /** Eve is kicked out, and a user that comes after her is seen without her. */
    async function isNowhere({ one, two, first, second }: Pair): Promise<void> {
      const bob = await join(two.url, 'bob');
      const eve = begin(one.url, 'eve', { banned: true });
      await waitFor(() => !eve.socket.active, 'eve to be kicked out');
      const ada = await join(one.url, 'ada');
      for (const client of [ada, bob]) await client.sees('c', ['ada', 'bob']);
      for (const presence of [first, second]) {
        expect((await presence.fetchUser('eve')).communities).toEqual([]);
      }
      expect(bob.model.count('userOnline', 'eve')).toBe(0);
      expect(violations()).toEqual([]);
    }

    it.each(NAMES)('by a connection handler that was there before: %s', async (name) => {
      await isNowhere(await pair(name, {}, ({ io }) => void io.on('connection', kick)));
    });

    it.each(NAMES)('by a connect handler, which comes before all: %s', async (name) => {
      const nodes = await pair(name);
      nodes.one.io.on('connect', kick);
      await isNowhere(nodes);
    });
  });

  describe('a socket that has lost all its listeners goes like any other', () => {
    it.each(NAMES)('when its connection ends: %s', async (name) => {
      const nodes = await pair(name, {}, ({ io }) => {
        io.on('connection', (socket) => {
          socket.on('logout', (ack: () => void) => {
            socket.removeAllListeners();
            ack();
          });
        });
      });
      const bob = await join(nodes.two.url, 'bob');
      const ada = await join(nodes.one.url, 'ada');
      await bob.sees('c', ['ada', 'bob']);
      await ada.send('logout');
      ada.close();
      await bob.sees('c', ['bob']);
      expect(bob.model.count('userOffline', 'ada')).toBe(1);
      expect(violations()).toEqual([]);
    });

    /** One server whose handler takes off what tells that a socket has gone. */
    const deafened = (more: Partial<PresenceOptions> = {}): Promise<Pair> =>
      pair('replicated', more, ({ io }) => {
        io.on('connection', (socket) => {
          socket.on('disconnecting', () => void socket.removeAllListeners());
          socket.emit('greeting');
        });
      });

    it('lingering like one whose connection was lost', async () => {
      const { one, two, second } = await deafened({ lingerMs: 60_000 });
      const bob = await join(two.url, 'bob');
      const ada = await join(one.url, 'ada');
      await bob.sees('c', ['ada', 'bob']);
      ada.socket.io.reconnection(false);
      ada.drop();
      const lingers = async (): Promise<boolean> => {
        const [device] = (await second.explain('ada')).devices;
        return device?.sockets === 0 && device.lingerLeftMs !== null;
      };
      await waitFor(lingers, 'her to linger');
      ada.socket.connect();
      await waitFor(async () => !(await lingers()), 'her return');
      expect(await bob.send('presenceUpdate', { status: 'busy' })).toMatchObject({ ok: true });
      await waitFor(() => ada.model.user('c', 'bob')?.status === 'busy', 'an event');
      expect(bob.model.count('userOnline', 'ada')).toBe(1);
      expect(bob.model.count('userOffline', 'ada')).toBe(0);
      expect(violations()).toEqual([]);
    });

    it('even when it is recovered at once, and nobody any more', async () => {
      const one = await Application.start({ connectionStateRecovery: {} });
      applications.push(one);
      one.io.on('connection', (socket) => {
        socket.on('disconnecting', () => void socket.removeAllListeners());
        socket.emit('greeting');
      });
      one.present({
        lingerMs: 100,
        identify: (socket) =>
          socket.recovered ? null : (socket.handshake.auth as { userId: string }),
      });
      const bob = await join(one.url, 'bob');
      const ada = begin(one.url, 'ada', {}, { reconnectionDelay: 1, randomizationFactor: 0 });
      await bob.sees('c', ['ada', 'bob']);
      ada.drop();
      await waitFor(() => ada.socket.recovered, 'her recovery');
      await bob.sees('c', ['bob']);
    });
  });

  describe('presence that is closed and added again while sockets stay connected', () => {
    it.each(NAMES)('takes them in anew, and back into what they had joined: %s', async (name) => {
      const { one, two, first, cluster } = await pair(name, { lingerMs: 5000 });
      const ada = await join(one.url, 'ada');
      const eve = await join(one.url, 'eve');
      const bob = await join(two.url, 'bob');
      for (const client of [ada, bob]) {
        expect(await client.send('joinCommunity', 'later')).toMatchObject({ ok: true });
      }
      for (const client of [ada, eve, bob]) await client.sees('c', ['ada', 'bob', 'eve']);
      await first.close();
      const open = new Set(['c', 'later']);
      one.present(node(name, cluster, { lingerMs: 5000, authorize: (_who, id) => open.has(id) }));
      for (const client of [ada, eve]) {
        await waitFor(() => client.model.count('globalPresenceSync') > 1, 'another list');
      }
      for (const client of [ada, eve, bob]) await client.sees('c', ['ada', 'bob', 'eve']);
      for (const client of [ada, bob]) await client.sees('later', ['ada', 'bob']);
      expect(await bob.send('presenceUpdate', { status: 'busy' })).toMatchObject({ ok: true });
      for (const id of ['c', 'later']) {
        await waitFor(() => ada.model.user(id, 'bob')?.status === 'busy', `an event in ${id}`);
      }
      expect(violations()).toEqual([]);
    });

    it('leaves no room of before that is closed to them now, and no other room', async () => {
      const { one, first, cluster } = await pair('replicated');
      one.io.on('connection', (socket) => void socket.join(['room', 'community:of-its-own']));
      const ada = await join(one.url, 'ada');
      expect(await ada.send('joinCommunity', 'closing')).toMatchObject({ ok: true });
      await ada.sees('closing', ['ada']);
      await first.close();
      one.present(node('replicated', cluster, { authorize: (_who, id) => id !== 'closing' }));
      await waitFor(() => ada.model.count('globalPresenceSync') > 2, 'another list');
      const { id } = ada.socket;
      const rooms = one.io.of('/').sockets.get(id as string)?.rooms ?? new Set();
      const expected = [id, 'community:c', 'community:of-its-own', 'room'];
      expect([...rooms].sort()).toEqual(expected.sort());
      expect(violations()).toEqual([]);
    });

    it('while a deploy, too, leaves to a recovered connection what it had joined', async () => {
      const servers = [0, 1].map(() =>
        application({ connectionStateRecovery: {}, adapter: createStreamsAdapter(connect()) }),
      );
      const [one, two] = (await Promise.all(servers)) as [Application, Application];
      one.io.on('connection', (socket) => socket.emit('greeting'));
      const [first, second] = [one, two].map((each) => each.present()) as [Presence, Presence];
      await Promise.all([first.ready(), second.ready()]);
      const bob = await join(two.url, 'bob');
      const ada = await join(one.url, 'ada');
      for (const client of [ada, bob]) {
        expect(await client.send('joinCommunity', 'later')).toMatchObject({ ok: true });
      }
      for (const client of [ada, bob]) await client.sees('later', ['ada', 'bob']);
      (ada.socket.io as unknown as { uri: string }).uri = two.url;
      await one.stop();
      await waitFor(() => ada.socket.connected && ada.socket.recovered, 'her recovery');
      for (const id of ['c', 'later']) await ada.sees(id, ['ada', 'bob']);
      expect(await bob.send('presenceUpdate', { status: 'busy' })).toMatchObject({ ok: true });
      await waitFor(() => ada.model.user('later', 'bob')?.status === 'busy', 'an event');
      expect(bob.model.count('userOffline', 'ada')).toBe(0);
      expect(violations()).toEqual([]);
    });
  });

  describe('namespaces that are made by a pattern', () => {
    it.each(['pattern', 'function'])('are not given presence all at once: %s', async (kind) => {
      const { io, ...one } = await application();
      const parent =
        kind === 'pattern'
          ? io.of(/^\/room-\d+$/)
          : io.of((_name, _auth, next) => void next(null, true));
      expect(() => createPresence(parent, { identify: () => null })).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          message: expect.stringContaining("io.on('new_namespace', (nsp) => createPresence(nsp"),
        }),
      );
      // As the error says.
      io.on('new_namespace', (nsp) => void applications[0]?.present({}, nsp));
      const ada = await join(`${one.url}/room-1`, 'ada');
      const bob = await join(`${one.url}/room-2`, 'bob');
      const eve = await join(`${one.url}/room-2`, 'eve');
      await bob.sees('c', ['bob', 'eve']);
      expect(eve.model.present('c')).toEqual(['bob', 'eve']);
      expect(ada.model.present('c')).toEqual(['ada']);
      expect(violations()).toEqual([]);
    });
  });

  describe('a second presence in one namespace', () => {
    const wrong = expect.objectContaining({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/the namespace .* has presence already.*close\(\) it first/),
    });

    it('is refused while the first is not closed', async () => {
      const { io, url, ...one } = await application();
      const options: PresenceOptions = {
        identify: (socket) => socket.handshake.auth as { userId: string },
      };
      const [app] = applications as [Application];
      // What is refused for its options takes nothing.
      expect(() => createPresence(io, { ...options, lingerMs: -1 })).toThrow(/lingerMs/);
      const first = app.present();
      expect(() => createPresence(io, options)).toThrow(wrong);
      expect(() => createPresence(io.of('/'), options)).toThrow(wrong);
      const elsewhere = app.present({}, io.of('/x'));
      expect(() => createPresence(io.of('/x'), options)).toThrow(wrong);
      const ada = await join(url, 'ada');
      // Both in one turn.
      const closing = elsewhere.close();
      app.present({}, io.of('/x'));
      await closing;
      await first.close();
      const again = app.present();
      await again.ready();
      const bob = await join(url, 'bob');
      for (const client of [ada, bob]) await client.sees('c', ['ada', 'bob']);
      expect(one.presences).toHaveLength(4);
      expect(violations()).toEqual([]);
    });

    it('is there at once where it is added as the first begins to close', async () => {
      const { one, two, first, cluster } = await pair('replicated', { lingerMs: 5000 });
      const ada = await join(one.url, 'ada');
      const bob = await join(two.url, 'bob');
      await ada.sees('c', ['ada', 'bob']);
      const closing = first.close();
      one.present(node('replicated', cluster, { lingerMs: 5000 }));
      await closing;
      await waitFor(() => ada.model.count('globalPresenceSync') > 1, 'another list');
      for (const client of [ada, bob]) await client.sees('c', ['ada', 'bob']);
      expect(bob.model.count('userOffline', 'ada')).toBe(0);
      expect(violations()).toEqual([]);
    });
  });

  describe('an empty namespace that Socket.IO removes takes its presence along', () => {
    it.each(NAMES)('and another of its name begins anew: %s', async (name) => {
      const cluster = `host-${++clusters}`;
      const servers = [0, 1].map(async () => {
        const server = await application({ cleanupEmptyChildNamespaces: true });
        server.io.of(/^\/room-\d+$/);
        server.io.on('new_namespace', (nsp) => void server.present(node(name, cluster), nsp));
        return server;
      });
      const [one, two] = (await Promise.all(servers)) as [Application, Application];
      const ada = await join(`${one.url}/room-1`, 'ada');
      for (let round = 1; round <= 2; round++) {
        const bob = await join(`${two.url}/room-1`, 'bob');
        for (const client of [ada, bob]) await client.sees('c', ['ada', 'bob']);
        await waitFor(() => bob.model.infos.get('c')?.complete, 'a complete list');
        bob.close();
        await ada.sees('c', ['ada']);
      }
      await waitFor(() => two.presences.every((each) => !each.isReady()), 'the end of both');
      const left = (): (string | undefined)[] =>
        one.presences[0]?.nodes().map(({ state }) => state) ?? [];
      await waitFor(() => left().every((state) => state === 'self' || state === 'down'), 'it');
      expect(one.presences[0]?.isReady()).toBe(true);
      expect(two.presences).toHaveLength(2);
      expect(logged.filter(({ event }) => event === 'namespace-gone')).toHaveLength(2);
      const downs = logged.filter(({ event }) => event === 'node-down');
      expect(new Set(downs.map(({ reason }) => reason))).toEqual(new Set(['left']));
      expect(violations()).toEqual([]);
    });
  });

  describe('a listener of onAnyOutgoing that throws', () => {
    it.each(NAMES)('costs no socket an event, and is told once: %s', async (name) => {
      const one = await application();
      const heard: unknown[] = [];
      one.io.on('connection', (socket) => {
        if (socket.handshake.auth['userId'] !== 'ada') return;
        socket.onAnyOutgoing((event) => {
          if (event !== 'globalPresenceSync') throw new Error('of the application');
        });
        socket.onAnyOutgoing((event) => void heard.push(event));
      });
      const presence = one.present(node(name, `host-${++clusters}`));
      await presence.ready();
      const ada = await join(one.url, 'ada');
      const bob = await join(one.url, 'bob');
      const eve = await join(one.url, 'eve');
      for (const client of [ada, bob, eve]) await client.sees('c', ['ada', 'bob', 'eve']);
      expect(heard).toEqual(['globalPresenceSync', 'userOnline', 'userOnline']);
      expect(logged.filter(({ event }) => event === 'failure')).toEqual([]);
      expect(logged.filter(({ event }) => event === 'listener-failed')).toHaveLength(1);
      expect(violations()).toEqual([]);
    });
  });

  describe('a server that is closed takes its presence along', () => {
    for (const [how, isServing] of [
      ['with a socket', true],
      ['without a socket', false],
    ] as const) {
      it.each(NAMES)(`${how}: %s`, async (name) => {
        const { one, two, first, cluster } = await pair(name);
        if (isServing) await join(one.url, 'ada');
        const bob = await join(two.url, 'bob');
        await one.io.close();
        expect(first.isReady()).toBe(false);
        await bob.sees('c', ['bob']);
        const downs = (): (string | undefined)[] =>
          logged.filter(({ event }) => event === 'node-down').map(({ reason }) => reason);
        await waitFor(() => downs().length > 0, 'the other node to know');
        expect(downs()).toEqual(['left']);
        // Nobody waits for it.
        const three = await application();
        await three.present(node(name, cluster)).ready();
        const cleo = await join(three.url, 'cleo');
        expect(cleo.model.infos.get('c')?.complete).toBe(true);
        for (const client of [bob, cleo]) await client.sees('c', ['bob', 'cleo']);
        expect(violations()).toEqual([]);
      });
    }

    it('in each namespace and over another adapter, and not before it serves', async () => {
      const io = new Server();
      const http = createServer();
      const presences = [io, io.of('/x')].map((at) =>
        createPresence(at, {
          identify: (socket) => socket.handshake.auth as { userId: string },
          lingerMs: 100,
          authorize: () => true,
          logger: { info: note, warn: note, error: note },
        }),
      );
      const before = io.of('/x').adapter;
      // That is looked at where a closed server would be noticed, too.
      io.adapter(createAdapter(connect(), connect()));
      const changed = (): number => logged.filter(({ event }) => event === 'medium-changed').length;
      await waitFor(() => changed() === 2, 'the adapter to be found');
      // The one of before is nothing to it any more.
      before.close();
      io.attach(http);
      await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
      await Promise.all(presences.map((each) => each.ready()));
      const { port } = http.address() as AddressInfo;
      const ada = await join(`http://127.0.0.1:${port}/x`, 'ada');
      ada.close();
      await waitFor(() => presences[1]?.isOnline('ada') === false, 'her end');
      expect(presences.map((each) => each.isReady())).toEqual([true, true]);
      await io.close();
      expect(presences.map((each) => each.isReady())).toEqual([false, false]);
      expect(violations()).toEqual([]);
    });

    it('and gives the adapter back as it was when presence is closed', async () => {
      const { io } = await application();
      const { close } = io.of('/').adapter;
      await applications[0]?.present().close();
      expect(io.of('/').adapter.close).toBe(close);
    });
  });
});
