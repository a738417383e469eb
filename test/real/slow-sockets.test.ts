import type { Socket } from 'socket.io';
import { MemoryBus, type Transport } from '../../src/transport/index.js';
import type { Presence } from 'rollcall';
import { PresenceNode } from 'rollcall/core';
import { Driver } from '../../src/server/driver.js';
import { afterEach, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { waitFor } from '../support/wait.js';

const applications: Application[] = [];
const clients: TestClient[] = [];
const ends: (() => void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) end();
  for (const client of clients.splice(0)) client.close();
  await Promise.all(applications.splice(0).map((each) => each.stop()));
});

async function metric(application: Application, name: string): Promise<number> {
  const text = (await application.presences[0]?.metrics.metrics()) ?? '';
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}

it('race 23: sets a socket aside that does not read, and lists it anew when it does', async () => {
  const application = await Application.start({ pingInterval: 60_000, pingTimeout: 60_000 });
  applications.push(application);
  application.present({ limits: { slowSocketBytes: 64 * 1024, requestsPerSecond: 10_000 } });
  const join = async (userId: string): Promise<TestClient> => {
    const client = await TestClient.join(application.url, {
      userId,
      communities: ['c'],
      info: { text: 'x'.repeat(1900) },
    });
    clients.push(client);
    return client;
  };
  const users = Array.from({ length: 50 }, (_, i) => `u${i}`);
  const others = await Promise.all(users.map((user) => join(user)));
  const slow = await join('slow');
  const server = application.io.of('/').sockets.get(slow.socket.id as string) as Socket;
  slow.hang();
  // Each of these is answered with a list of 100 kB that it does not read.
  for (let i = 0; i < 200; i++) slow.socket.emit('presenceSync', 'c', () => {});
  await waitFor(() => metric(application, 'rollcall_slow_sockets').then((n) => n === 1), 'it');
  expect(server.rooms.has('community:c')).toBe(false);
  const buffered = (): number =>
    (server.conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;
  const waiting = buffered();
  for (let i = 0; i < 20; i++) await others[0]?.send('presenceUpdate', { boardId: `b${i}` });
  others[1]?.close();
  const left = ['slow', ...users.filter((user) => user !== 'u1')];
  await others[2]?.sees('c', left);
  // Nothing of that has been queued for it, and nobody else was held up.
  expect(buffered()).toBeLessThanOrEqual(waiting);
  expect(await metric(application, 'rollcall_slow_sockets_total')).toBe(1);
  slow.goOn();
  await slow.sees('c', left);
  await waitFor(
    () => slow.model.user('c', 'u0')?.devices[0]?.boardId === 'b19',
    'the newest state in the new list',
  );
  await waitFor(() => metric(application, 'rollcall_slow_sockets').then((n) => n === 0), 'none');
  await others[0]?.send('presenceUpdate', { boardId: 'after' });
  await waitFor(
    () => slow.model.user('c', 'u0')?.devices[0]?.boardId === 'after',
    'events after the list',
  );
  expect(clients.flatMap((client) => client.violations)).toEqual([]);
});

it('a socket that was set aside is in what it had joined when its connection is recovered', async () => {
  const application = await Application.start({ connectionStateRecovery: {} });
  applications.push(application);
  application.present();
  const join = async (userId: string): Promise<TestClient> => {
    const client = await TestClient.join(application.url, { userId, communities: ['c'] });
    clients.push(client);
    expect(await client.send('joinCommunity', 'joined')).toMatchObject({ ok: true });
    await waitFor(() => client.model.rosters.has('joined'), 'what it joined');
    return client;
  };
  const [slow, other] = [await join('slow'), await join('other')];
  let greeted = false;
  slow.socket.on('greeting', () => (greeted = true));
  application.io.emit('greeting');
  await waitFor(() => greeted, 'an event of the application, with which recovery begins');
  const server = application.io.of('/').sockets.get(slow.socket.id as string) as Socket;
  slow.hang();
  for (let i = 0; i < 32; i++) server.emit('news', 'x'.repeat(1024 * 1024));
  await waitFor(() => metric(application, 'rollcall_slow_sockets').then((n) => n === 1), 'it');
  (server.conn.transport as unknown as { socket: { terminate(): void } }).socket.terminate();
  slow.goOn();
  await waitFor(() => slow.socket.recovered, 'the recovery');
  await slow.sees('c', ['slow', 'other']);
  await slow.sees('joined', ['slow', 'other']);
  expect(other.model.count('userOffline')).toBe(0);
  expect(clients.flatMap((client) => client.violations)).toEqual([]);
});

/** Bytes that wait to be read by a socket. */
function waiting({ conn }: Socket): number {
  const { writeBuffer, transport } = conn as unknown as {
    writeBuffer: readonly { data?: string }[];
    transport: { socket?: { bufferedAmount: number } };
  };
  const queued = writeBuffer.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  return queued + (transport.socket?.bufferedAmount ?? 0);
}

/** A node with users who have no sockets: ten thousand need no ten thousand connections. */
function populate(transport: Transport, users: number, info: object): () => Promise<void> {
  const node = new PresenceNode({ nodeId: 'population', random: Math.random, canProbe: true });
  const ignore = { perform: () => {}, onTick: () => {}, onUnsent: () => {} };
  const driver = new Driver(node, transport, {
    ...ignore,
    onError: (error) => {
      throw error;
    },
  });
  driver.start();
  for (let i = 0; i < users; i++) {
    driver.input((_node, t) => {
      const userId = `user-${String(i).padStart(5, '0')}`;
      node.connect(
        `s${i}`,
        { userId, deviceId: 'browser-tab-1', info: { name: userId, ...info } },
        t,
      );
      node.join(`s${i}`, 'c', t);
      node.suspend(`s${i}`);
    });
  }
  return async () => void (await driver.close());
}

/** A server of a community of ten thousand, and what ends the others. */
async function crowded(
  info: object,
  ping: { pingInterval: number; pingTimeout: number },
): Promise<{ application: Application; presence: Presence; stop: () => Promise<void> }> {
  const bus = new MemoryBus();
  const stop = populate(bus.transport(), 10_000, info);
  const application = await Application.start(ping);
  applications.push(application);
  const presence = application.present({ transport: bus.transport() });
  await presence.ready();
  return { application, presence, stop };
}

const LONG = { text: 'x'.repeat(1500) };

it('a socket that asks for a list of 10,000 again and again and does not read costs no memory', async () => {
  const ping = { pingInterval: 60_000, pingTimeout: 60_000 };
  const { application, presence, stop } = await crowded({}, ping);
  try {
    const join = async (userId: string): Promise<TestClient> => {
      const client = await TestClient.join(application.url, { userId, communities: ['c'] });
      clients.push(client);
      await waitFor(
        () => client.model.rosters.get('c')?.size === 10_000 + clients.length,
        () => `all users; there are ${client.model.rosters.get('c')?.size}`,
      );
      return client;
    };
    const [stuck, late] = [await join('stuck'), await join('late')];
    const { sockets } = application.io.of('/');
    const held = [stuck, late].map(({ socket }) => sockets.get(socket.id as string) as Socket);
    const bytes = Buffer.byteLength(JSON.stringify(presence.onlineUsers('c')));
    for (const client of [stuck, late]) client.hang();
    // As often as the limits allow, and faster.
    let most = 0;
    const asking = setInterval(() => {
      for (const { socket } of [stuck, late]) {
        for (let i = 0; i < 20; i++) socket.emit('presenceSync', 'c', () => {});
      }
      most = Math.max(most, ...held.map(waiting));
    }, 100);
    const since = performance.now();
    try {
      await waitFor(
        () => metric(application, 'rollcall_slow_sockets').then((n) => n === 2),
        'both',
      );
      const ada = await TestClient.join(application.url, { userId: 'ada', communities: ['c'] });
      clients.push(ada);
      late.goOn();
      await waitFor(() => late.model.user('c', 'ada'), 'the newest list, when it reads again');
      expect(late.model.rosters.get('c')?.size).toBe(10_003);
      await waitFor(() => held[0]?.connected === false, 'the end of the connection', 60_000);
      expect(performance.now() - since).toBeGreaterThan(29_000);
    } finally {
      clearInterval(asking);
    }
    expect(most).toBeGreaterThan(1024 * 1024);
    // The list that it is owed and one that it asked for, behind what may wait before.
    expect(most).toBeLessThan(2 * bytes + 1024 * 1024);
    expect(clients.flatMap((client) => client.violations)).toEqual([]);
  } finally {
    await stop();
  }
});

it('a slow connection reads a list that is longer than slowSocketBytes once, not again and again', async () => {
  const ping = { pingInterval: 60_000, pingTimeout: 60_000 };
  const { application, stop } = await crowded(LONG, ping);
  try {
    const client = new TestClient(application.url, { userId: 'slow', communities: ['c'] });
    clients.push(client);
    await waitFor(() => client.socket.connected, 'the connection');
    const since = performance.now();
    const atFullSpeed = client.readSlowly(10);
    await waitFor(() => client.model.rosters.has('c'), 'its list', 60_000);
    // What it had to read for that took longer than it takes to find out who cannot keep up.
    expect(performance.now() - since).toBeGreaterThan(1000);
    atFullSpeed();
    const ada = await TestClient.join(application.url, { userId: 'ada', communities: ['c'] });
    clients.push(ada);
    await waitFor(() => client.model.user('c', 'ada'), 'who comes later');
    expect(client.model.count('globalPresenceSync')).toBe(1);
    expect(await metric(application, 'rollcall_slow_sockets_total')).toBe(0);
    expect(clients.flatMap((each) => each.violations)).toEqual([]);
  } finally {
    await stop();
  }
});

/** Connects by HTTP long-polling, and polls no more. */
async function connectDeaf(url: string, auth: object): Promise<void> {
  const at = `${url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(at)).text()).slice(1)) as { sid: string };
  await fetch(`${at}&sid=${sid}`, { method: 'POST', body: `40${JSON.stringify(auth)}` });
}

it('ends the connection of a socket that is owed a list and reads nothing for 30 s, whatever else it is sent', async () => {
  const ping = { pingInterval: 120_000, pingTimeout: 60_000 };
  const { application, stop } = await crowded(LONG, ping);
  try {
    const [stuck, slow] = ['stuck', 'slow'].map(
      (userId) => new TestClient(application.url, { userId, communities: ['c'] }),
    ) as [TestClient, TestClient];
    clients.push(stuck, slow);
    await waitFor(() => stuck.socket.connected && slow.socket.connected, 'the connections');
    await connectDeaf(application.url, { userId: 'deaf', communities: ['c'] });
    const { sockets } = application.io.of('/');
    const of = (userId: string): Socket | undefined =>
      [...sockets.values()].find(({ handshake }) => handshake.auth['userId'] === userId);
    await waitFor(() => of('deaf'), 'the connection by long-polling');
    const [held, other, deaf] = ['stuck', 'slow', 'deaf'].map(of) as [Socket, Socket, Socket];
    const sending = setInterval(() => {
      for (const socket of [held, deaf]) socket.emit('news', 'of the application');
    }, 100);
    ends.push(() => clearInterval(sending));
    stuck.hang();
    // A piece of 64 KiB each half second: it needs longer than 30 s, too.
    const atFullSpeed = slow.readSlowly(500);
    await waitFor(() => waiting(held) > 4e6 && waiting(other) > 4e6, 'their lists');
    await waitFor(() => !held.connected && !deaf.connected, 'the end of both', 60_000);
    expect(other.connected).toBe(true);
    expect(slow.model.rosters.has('c')).toBe(false);
    atFullSpeed();
    await waitFor(() => slow.model.rosters.has('c'), 'the list of who reads slowly');
  } finally {
    await stop();
  }
});
