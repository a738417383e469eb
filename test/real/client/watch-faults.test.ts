import type { ServerOptions } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPresenceWindow, type PresenceWindow } from 'rollcall/client/window';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { ClusterUnderTest } from '../../support/cluster-under-test.js';
import { hasRedis } from '../../support/redis.js';
import { waitFor } from '../../support/wait.js';

/** What may happen to a socket while it watches a part of a community. */

describe('while a part of a community is watched', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const present = async (
    options: Parameters<Application['present']>[0] = {},
    server: Partial<ServerOptions> = {},
  ): Promise<Application> => {
    const pings = { pingInterval: 60_000, pingTimeout: 60_000 };
    const application = await Application.start({ ...pings, ...server });
    ends.push(() => application.stop());
    application.present(options);
    return application;
  };
  const watch = (
    { url }: Application,
    userId: string,
    communities: readonly string[] = ['c'],
  ): { socket: Socket; window: PresenceWindow; diffs: unknown[] } => {
    const auth = { userId, communities, presenceWatch: true };
    const socket = io(url, { transports: ['websocket'], forceNew: true, auth });
    const diffs: unknown[] = [];
    socket.on('presenceDiff', (diff: unknown) => diffs.push(diff));
    const window = createPresenceWindow(socket, 'c', { window: { limit: 10 } });
    ends.push(() => {
      window.close();
      socket.disconnect();
    });
    return { socket, window, diffs };
  };
  const join = async ({ url }: Application, userId: string, info = {}): Promise<TestClient> => {
    const client = await TestClient.join(url, { userId, communities: ['c'], info });
    ends.push(() => client.close());
    return client;
  };
  const ids = ({ getSnapshot }: PresenceWindow): string =>
    getSnapshot()
      .users.map(({ userId }) => userId)
      .join();
  const shows = (window: PresenceWindow, expected: string): Promise<unknown> =>
    waitFor(
      () => window.getSnapshot().state === 'live' && ids(window) === expected,
      () => `${expected}; seen: ${ids(window)} (${window.getSnapshot().state})`,
    );

  it('a socket that does not read is set aside, and others hear all; then it starts over', async () => {
    const application = await present({
      limits: { slowSocketBytes: 64 * 1024, requestsPerSecond: 10_000, infoBytes: 1_000_000 },
    });
    const slow = watch(application, 'slow');
    await shows(slow.window, 'slow');
    // So large that a few lists of it are more than a connection holds.
    const ada = await join(application, 'ada', { text: 'x'.repeat(500_000) });
    await shows(slow.window, 'ada,slow');
    const { ws } = slow.socket.io.engine.transport as unknown as {
      ws: { _socket: { pause(): void; resume(): void } };
    };
    ws._socket.pause();
    for (let i = 0; i < 50; i++) slow.socket.emit('presenceSync', 'c', () => {});
    const metric = async (): Promise<string> =>
      (await application.presences[0]?.metrics.metrics()) ?? '';
    await waitFor(
      async () => /^rollcall_slow_sockets 1$/m.test(await metric()),
      'it to be set aside',
    );
    // Whoever does not watch is told of everything, though one who watches is not there to hear it.
    await ada.send('presenceUpdate', { boardId: 'b1' });
    await waitFor(
      () => ada.model.user('c', 'ada')?.devices[0]?.boardId === 'b1',
      'the event for the socket that does not watch',
    );
    const bob = await join(application, 'bob');
    await ada.sees('c', ['ada', 'bob', 'slow']);
    bob.close();
    await join(application, 'cleo');
    await ada.sees('c', ['ada', 'cleo', 'slow']);
    const told = slow.diffs.length;
    ws._socket.resume();
    await shows(slow.window, 'ada,cleo,slow');
    expect(slow.diffs.slice(told)).toMatchObject([{ reset: true, total: 3 }]);
    // And it goes on from there.
    await ada.send('presenceUpdate', { status: 'idle' });
    await shows(slow.window, 'cleo,slow,ada');
    expect(ada.violations).toEqual([]);
  });

  it('an eviction from the community ends it, and says so', async () => {
    const application = await present();
    const [presence] = application.presences;
    const ada = await join(application, 'ada');
    const { socket, window, diffs } = watch(application, 'zoe', ['c', 'd']);
    await shows(window, 'ada,zoe');
    await presence?.revoke('zoe', 'c');
    await waitFor(
      () => window.getSnapshot().state === 'denied',
      () => `denied; it is ${window.getSnapshot().state}`,
    );
    expect(window.getSnapshot()).toMatchObject({
      users: [],
      total: 0,
      error: { code: 'REVOKED', message: 'this community was taken from you' },
    });
    await ada.sees('c', ['ada']);
    const told = diffs.length;
    await ada.send('presenceUpdate', { boardId: 'b' });
    // By now a diff would have come: this answer was sent later.
    expect(await socket.emitWithAck('presenceSync', 'd')).toMatchObject({ ok: true });
    await join(application, 'bob');
    expect(await socket.emitWithAck('presenceSync', 'd')).toMatchObject({ ok: true });
    expect(diffs).toHaveLength(told);
    // Nobody is banned: where authorize agrees, it may be watched again.
    window.setQuery({ window: { limit: 2 } });
    await shows(window, 'ada,bob');
    expect(window.getSnapshot().total).toBe(3);
  });

  it('an eviction of the user leaves the last that was known, until the user is back', async () => {
    const application = await present();
    const ada = await join(application, 'ada');
    const { socket, window } = watch(application, 'zoe');
    await shows(window, 'ada,zoe');
    expect(await application.presences[0]?.evict({ userId: 'zoe' })).toMatchObject({ sockets: 1 });
    await waitFor(() => window.getSnapshot().state === 'stale', 'the connection to end');
    expect(ids(window)).toBe('ada,zoe');
    await ada.sees('c', ['ada']);
    socket.connect();
    await shows(window, 'ada,zoe');
    await ada.sees('c', ['ada', 'zoe']);
  });

  it('a community that is not open is denied, and nothing of it comes', async () => {
    let isOpen = false;
    const application = await present({
      authorize: ({ userId }) => userId !== 'zoe' || isOpen,
    });
    const ada = await join(application, 'ada');
    const { window, diffs, socket } = watch(application, 'zoe');
    await waitFor(() => window.getSnapshot().state === 'denied', 'the refusal');
    expect(window.getSnapshot()).toMatchObject({ users: [], error: { code: 'NOT_AUTHORIZED' } });
    await ada.send('presenceUpdate', { boardId: 'b' });
    expect(await socket.emitWithAck('presenceSync', 'c')).toMatchObject({ ok: false });
    expect(diffs).toEqual([]);
    expect(ada.model.present('c')).toEqual(['ada']);
    isOpen = true;
    window.setQuery({ window: { limit: 10 } });
    await shows(window, 'ada,zoe');
    await ada.sees('c', ['ada', 'zoe']);
  });

  it('it is left when it is closed, however quickly it was scrolled before', async () => {
    const application = await present();
    const ada = await join(application, 'ada');
    const { window } = watch(application, 'zoe');
    await shows(window, 'ada,zoe');
    // More than may be asked in a second: the server refuses what is beyond.
    for (let offset = 0; offset < 100; offset++) window.setQuery({ window: { offset, limit: 10 } });
    window.close();
    expect(window.getSnapshot()).toMatchObject({ state: 'denied', error: { code: 'CLOSED' } });
    await ada.sees('c', ['ada']);
  });

  it('a scrolled window shows where it has come to, and the others go on to be told of', async () => {
    const application = await present();
    const ada = await join(application, 'ada');
    const { window } = watch(application, 'zoe');
    await shows(window, 'ada,zoe');
    for (let i = 0; i < 100; i++) window.setQuery({ window: { offset: i % 2, limit: 1 } });
    await shows(window, 'zoe');
    await ada.send('presenceUpdate', { status: 'idle' });
    await shows(window, 'ada');
  });

  it('it is left when it is closed without a connection, though that is recovered', async () => {
    const application = await present({}, { connectionStateRecovery: {} });
    // Recovery begins with an event of the application.
    application.io.on('connection', (socket) => socket.emit('hello'));
    const ada = await join(application, 'ada');
    const { socket, window } = watch(application, 'zoe');
    const heard = new Promise((resolve) => socket.once('hello', resolve));
    await shows(window, 'ada,zoe');
    await heard;
    socket.once('disconnect', () => window.close());
    socket.io.engine.close();
    await waitFor(() => socket.recovered, 'the connection to be recovered');
    await ada.sees('c', ['ada']);
  });
});

describe.runIf(hasRedis)('what is watched while Redis is away', () => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start('redis');
  });
  afterAll(() => cluster.stop());

  it('is not complete, and is again when it is back, though nobody comes or goes', async () => {
    const timings = { heartbeatMs: 250, downAfterMs: 1000, lingerMs: 500 };
    const [a, b] = [await cluster.node(timings), await cluster.node(timings)];
    await cluster.join(a, 'ada');
    const auth = { userId: 'zoe', communities: ['c'], presenceWatch: true };
    const socket = io(b.url, { transports: ['websocket'], forceNew: true, auth });
    const window = createPresenceWindow(socket, 'c', { window: {} });
    const is = (complete: boolean): Promise<unknown> =>
      waitFor(
        () => window.getSnapshot().complete === complete && window.getSnapshot().total === 2,
        () => `complete: ${complete}; it is ${JSON.stringify(window.getSnapshot())}`,
      );
    try {
      await is(true);
      await cluster.redis.kill();
      await is(false);
      await cluster.redis.restart();
      await is(true);
    } finally {
      window.close();
      socket.disconnect();
    }
  });
});
