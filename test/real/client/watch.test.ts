import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPresenceWindow, type PresenceWindow } from 'rollcall/client/window';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { ClusterUnderTest } from '../../support/cluster-under-test.js';
import type { TestNode } from '../../support/node.js';
import { waitFor } from '../../support/wait.js';

const TIMINGS = { heartbeatMs: 250, downAfterMs: 2000, lingerMs: 500 };
/** What rollcall sends to clients that do not watch. */
const PLAIN = new Set(['globalPresenceSync', 'userOnline', 'userUpdated', 'userOffline']);

interface Refused {
  ok: boolean;
  error: { code: string; message: string };
}

describe('watching a part of a community, on two nodes', () => {
  let cluster: ClusterUnderTest;
  let a: TestNode;
  let b: TestNode;
  const sockets: Socket[] = [];
  const windows: PresenceWindow[] = [];
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start('cluster');
  });
  afterEach(async () => {
    for (const window of windows.splice(0)) window.close();
    for (const socket of sockets.splice(0)) socket.disconnect();
    await cluster.reset();
  });
  afterAll(() => cluster.stop());

  const start = async (): Promise<void> => {
    [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
  };
  /** A user who watches, and what came to them. */
  const connect = (
    node: TestNode,
    userId: string,
    auth: object = {},
  ): { socket: Socket; came: string[]; diffs: { total: number; users?: object[] }[] } => {
    const socket = io(node.url, {
      transports: ['websocket'],
      forceNew: true,
      auth: { userId, communities: ['c'], presenceWatch: true, ...auth },
    });
    sockets.push(socket);
    const came: string[] = [];
    const diffs: { total: number }[] = [];
    socket.onAny((event: string, diff: { total: number }) => {
      came.push(event);
      if (event === 'presenceDiff') diffs.push(diff);
    });
    return { socket, came, diffs };
  };
  const watch = (...args: Parameters<typeof createPresenceWindow>): PresenceWindow => {
    const window = createPresenceWindow(...args);
    windows.push(window);
    return window;
  };
  const ids = (window: PresenceWindow): string =>
    window
      .getSnapshot()
      .users.map(({ userId }) => userId)
      .join();
  const shows = (window: PresenceWindow, expected: string): Promise<unknown> =>
    waitFor(
      () => ids(window) === expected,
      () => `${expected}; seen: ${ids(window)} (${window.getSnapshot().state})`,
    );

  it('a window shows its part in order, the total, and nothing else comes', async () => {
    await start();
    const { socket, came } = connect(b, 'watcher', { info: { name: 'Zed' } });
    const window = watch(socket, 'c', { window: { limit: 3 } });
    await shows(window, 'watcher');
    const users = ['eve', 'dan', 'cy', 'bob', 'ada'];
    const clients = [];
    for (const userId of users) clients.push(await cluster.join(a, userId));
    await waitFor(() => window.getSnapshot().total === 6, 'all to be counted');
    await shows(window, 'ada,bob,cy');
    // A plain client of the same node sees all, by plain events.
    const plain = await cluster.join(b, 'plain');
    await plain.sees('c', [...users, 'watcher', 'plain']);
    await clients[4]?.send('presenceUpdate', { status: 'idle' });
    await shows(window, 'bob,cy,dan');
    clients[3]?.close();
    await shows(window, 'cy,dan,eve');
    window.setQuery({ window: { offset: 3, limit: 3 } });
    await shows(window, 'plain,watcher,ada');
    expect(window.getSnapshot()).toMatchObject({ state: 'live', total: 6, complete: true });
    expect(came.filter((event) => PLAIN.has(event))).toEqual([]);
    expect(cluster.violations).toEqual([]);
  });

  it('named users and the count are told of, and others are not', async () => {
    await start();
    const { socket, diffs } = connect(b, 'watcher');
    const contacts = watch(socket, 'c', { users: ['ada', 'bob'] });
    const counter = connect(b, 'counter');
    const count = watch(counter.socket, 'c', { countOnly: true });
    await waitFor(() => contacts.getSnapshot().state === 'live', 'the answer');
    const ada = await cluster.join(a, 'ada');
    const eve = await cluster.join(a, 'eve');
    await shows(contacts, 'ada');
    await waitFor(() => contacts.getSnapshot().total === 4, 'the total');
    await waitFor(() => count.getSnapshot().total === 4, 'the count');
    await eve.send('presenceUpdate', { boardId: 'b' });
    await ada.send('presenceUpdate', { boardId: 'b' });
    await waitFor(() => contacts.user('ada')?.devices[0]?.boardId === 'b', 'the board of ada');
    expect(JSON.stringify(diffs)).not.toContain('eve');
    expect(counter.diffs.filter(({ users }) => users !== undefined)).toEqual([]);
    ada.close();
    await shows(contacts, '');
    await waitFor(() => count.getSnapshot().total === 3, 'the count');
  });

  it('the whole list comes in diffs, many changes in one message', async () => {
    await start();
    const { socket, diffs, came } = connect(b, 'watcher');
    const all = watch(socket, 'c');
    await shows(all, 'watcher');
    const names = Array.from({ length: 60 }, (_, i) => `u${i}`);
    await Promise.all(names.map((userId) => cluster.join(a, userId)));
    const seen = (): string => ids(all).split(',').sort().join();
    const expected = [...names, 'watcher'].sort().join();
    await waitFor(
      () => seen() === expected,
      () => `everybody; seen: ${seen()}`,
    );
    expect(diffs.length).toBeLessThan(60);
    expect(came.filter((event) => PLAIN.has(event))).toEqual([]);
  });

  it('who is invisible sees itself, and nobody else does', async () => {
    await start();
    const own = connect(a, 'ada');
    const ada = watch(own.socket, 'c', { window: { limit: 10 } });
    const other = watch(connect(b, 'watcher').socket, 'c', {
      window: { limit: 10 },
      users: ['ada'],
    });
    await shows(other, 'ada,watcher');
    await own.socket.emitWithAck('presenceUpdate', { status: 'invisible' });
    await shows(other, 'watcher');
    expect(other.getSnapshot().total).toBe(1);
    await waitFor(() => ada.user('ada') !== undefined && ids(ada) === 'watcher', 'ada to see both');
    // Nor is it shown to itself where it did not ask for itself.
    ada.setQuery({ users: ['watcher'] });
    await waitFor(() => ada.user('ada') !== undefined && ids(ada) === 'watcher', 'the named one');
    ada.setQuery({ countOnly: true });
    await shows(ada, '');
    ada.setQuery({ users: ['ada'] });
    await shows(ada, 'ada');
    ada.setQuery({});
    await shows(ada, 'watcher,ada');
    ada.setQuery({ window: { limit: 10 } });
    await shows(ada, 'watcher');
    await own.socket.emitWithAck('presenceUpdate', { status: 'active' });
    await shows(other, 'ada,watcher');
    await shows(ada, 'ada,watcher');
  });

  it('goes on after the connection was lost, and after the node of the others died', async () => {
    await start();
    await cluster.join(a, 'ada');
    const { socket } = connect(b, 'watcher');
    const window = watch(socket, 'c', { window: {} });
    await shows(window, 'ada,watcher');
    const states = new Set<string>();
    window.subscribe(() => states.add(window.getSnapshot().state));
    socket.io.engine.close();
    await waitFor(() => states.has('stale'), 'stale');
    await cluster.join(b, 'bob');
    await waitFor(() => window.getSnapshot().state === 'live', 'live again');
    await shows(window, 'ada,bob,watcher');
    await a.stop();
    await shows(window, 'bob,watcher');
    expect(window.getSnapshot().total).toBe(2);
  });

  it('ends with null, and the plain list comes', async () => {
    await start();
    const { socket, came } = connect(a, 'ada');
    const window = watch(socket, 'c', { countOnly: true });
    await waitFor(() => window.getSnapshot().state === 'live', 'the answer');
    expect(await socket.emitWithAck('presenceWatch', 'c', null)).toMatchObject({ ok: true });
    await waitFor(() => came.includes('globalPresenceSync'), 'the list');
    await cluster.join(b, 'bob');
    await waitFor(() => came.includes('userOnline'), 'the event');
  });

  it('refuses what it cannot do, and says why', async () => {
    await start();
    const { socket } = connect(a, 'ada');
    const ask = async (...args: unknown[]): Promise<Refused['error']> =>
      ((await socket.emitWithAck('presenceWatch', ...args)) as Refused).error;
    for (const [query, message] of [
      [{ window: { limit: 0 } }, /window.limit must be a whole number from 1 to/],
      [{ window: { limit: 201 } }, /watchedUsers \(200\)/],
      [{ window: { offset: -1 } }, /window.offset/],
      [{ window: { sort: 'age' } }, /availability or name/],
      [{ window: 7 }, /window takes an object/],
      [{ users: 'ada' }, /users must be an array/],
      [{ users: [7] }, /userId must be a string/],
      [{ users: Array.from({ length: 201 }, (_, i) => `u${i}`) }, /watchedUsers/],
      [{ countOnly: true, window: {} }, /neither window nor users/],
      [{ what: 1 }, /does not know "what"/],
      [[], /takes an object/],
    ] as const) {
      expect((await ask('c', query)).message).toMatch(message);
    }
    expect((await ask('')).message).toMatch(/communityId/);
    const elsewhere = connect(a, 'bob', { presenceWatch: false });
    expect((await ask('c', {}))?.code).toBeUndefined();
    await waitFor(() => elsewhere.came.includes('globalPresenceSync'), 'a plain list');
  });
});

describe('a sortKey of the application', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('no name');
      },
      /no name/,
    ],
    ['gives no string', () => undefined, /must give a string, not undefined/],
    ['gives what is no text', () => Symbol('key'), /must give a string, not symbol/],
  ])('that %s for some sorts them by name, and is logged once', async (_name, fail, message) => {
    const application = await Application.start();
    const logged: { event?: string; error?: string }[] = [];
    const note = (line: object): void => void logged.push(line);
    const clients: TestClient[] = [];
    const socket = io(application.url, {
      transports: ['websocket'],
      auth: { userId: 'zed', communities: ['c'], info: { rank: '2' }, presenceWatch: true },
    });
    const window = createPresenceWindow(socket, 'c', { window: {} });
    const shows = async (expected: string): Promise<void> => {
      const seen = (): string =>
        window
          .getSnapshot()
          .users.map(({ userId }) => userId)
          .join();
      await waitFor(
        () => seen() === expected,
        () => `${expected}; seen: ${seen()}`,
      );
    };
    try {
      application.present({
        sortKey: ({ info }) => (info?.['rank'] ?? fail()) as string,
        logger: { info: note, warn: note, error: note },
      });
      await shows('zed');
      // Diffs are made by a timer, where nobody would catch what is thrown.
      for (const [userId, info] of [
        ['ada', undefined],
        ['eve', { name: '3' }],
        ['bob', { rank: '1' }],
      ] as const) {
        clients.push(await TestClient.join(application.url, { userId, info, communities: ['c'] }));
      }
      await shows('bob,zed,eve,ada');
      const failed = logged.filter(({ event }) => event === 'sort-key-failed');
      expect(failed).toEqual([expect.objectContaining({ error: expect.stringMatching(message) })]);
      expect(logged.filter(({ event }) => event === 'failure')).toEqual([]);
    } finally {
      window.close();
      socket.disconnect();
      for (const client of clients) client.close();
      await application.stop();
    }
  });
});
