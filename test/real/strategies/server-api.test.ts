import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { lastSeenIn, type Presence, type PresenceOptions } from 'rollcall';
import { createPresenceReader } from 'rollcall/redis';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeProcess } from '../../support/serve.js';
import type { SeenUser } from '../../support/stream.js';
import { pause, waitFor } from '../../support/wait.js';
import { INDEXED, VARIANTS, variantOf } from './variants.js';

/** What the server answers is the same under every strategy, and agrees with what clients are told. */

type Client = ReturnType<typeof createClient>;

/** Online for so long without a change. */
const LONG_MS = 3000;
const TIMINGS = { heartbeatMs: 200, downAfterMs: 1000, lingerMs: 3000 };

interface Node {
  readonly url: string;
  readonly presence: Presence;
  readonly client: Client;
  readonly offline: { userId: string; lastSeenAt: number; reason: string }[];
  readonly up: { nodeId: string; nodeName: string | undefined }[];
  readonly down: { nodeId: string }[];
}

describe.runIf(hasRedis).each(Object.keys(VARIANTS))('%s', (name) => {
  let redis: TestRedis;
  let key = '';
  let keys = 0;
  const ends: (() => Promise<unknown> | void)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
    keys++;
  });
  afterAll(() => redis.stop());

  async function node(options: Partial<PresenceOptions> = {}): Promise<Node> {
    key = `k${keys}`;
    const client = createClient({ url: redis.url });
    const subscriber = client.duplicate();
    for (const each of [client, subscriber]) each.on('error', () => {});
    await Promise.all([client.connect(), subscriber.connect()]);
    // What the adapter still unsubscribes is waited for: Redis may end right after.
    ends.push(() => Promise.all([client, subscriber].map((each) => each.close().catch(() => {}))));
    const application = await Application.start({
      adapter: createAdapter(client, subscriber, { key }),
    });
    ends.push(() => application.stop());
    const given = { redis: client as Client, prefix: key };
    const presence = application.present({
      strategy: variantOf(name, given),
      ...(!INDEXED.includes(name) && { lastSeen: lastSeenIn(given) }),
      ...TIMINGS,
      ...options,
    });
    const made: Node = {
      url: application.url,
      presence,
      client: client as Client,
      offline: [],
      up: [],
      down: [],
    };
    presence.on('userOffline', (event) => made.offline.push(event));
    presence.on('nodeUp', (event) => made.up.push(event));
    presence.on('nodeDown', (event) => made.down.push(event));
    return made;
  }

  async function nodes(count: number, options: Partial<PresenceOptions> = {}): Promise<Node[]> {
    const made: Node[] = [];
    while (made.length < count) made.push(await node(options));
    for (const { presence } of made) await presence.ready();
    await waitFor(
      () => made.every(({ presence }) => presence.nodes().length === count),
      'the nodes to know each other',
    );
    return made;
  }

  async function join(
    at: { url: string },
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
    client.socket.io.reconnection(false);
    ends.push(() => client.close());
    return client;
  }

  /** Bob is on a node that goes on; ada was on one that has left in order, and lingers. */
  async function adaLingers(
    options: Partial<PresenceOptions> = {},
  ): Promise<{ b: Node; bob: TestClient }> {
    const [a, b] = (await nodes(2, options)) as [Node, Node];
    const bob = await join(b, 'bob');
    await join(a, 'ada');
    await bob.sees('c', ['ada', 'bob']);
    await a.presence.close();
    await waitFor(() => b.down.length > 0, 'the leave');
    return { b, bob };
  }

  const ids = (users: readonly { userId: string }[]): string =>
    users
      .map(({ userId }) => userId)
      .sort()
      .join();

  it('fetchUser agrees with what this node tells, while the user of a node that left lingers', async () => {
    const { b, bob } = await adaLingers();
    const { communities, complete } = await b.presence.fetchUser('ada');
    expect(bob.model.present('c')).toEqual(['ada', 'bob']); // shown to clients, for the linger
    if (name !== 'redis') expect(b.presence.isOnline('ada')).toBe(true);
    expect({ communities: communities.length, complete }).toEqual({
      communities: 1,
      complete: true,
    });
  });

  it('fetchCommunity agrees with what this node tells, while the user of a node that left lingers', async () => {
    const { b, bob } = await adaLingers();
    const { users, info } = await b.presence.fetchCommunity('c');
    expect(bob.model.present('c')).toEqual(['ada', 'bob']);
    expect([ids(users), info.complete]).toEqual(['ada,bob', true]);
  });

  it('evict ends at once what lingers of a node that left, and says left', async () => {
    const [a, b, c] = (await nodes(3, { lingerMs: 5000 })) as [Node, Node, Node];
    const bob = await join(b, 'bob');
    const cyd = await join(c, 'cyd');
    await join(a, 'ada');
    await bob.sees('c', ['ada', 'bob', 'cyd']);
    await cyd.sees('c', ['ada', 'bob', 'cyd']);
    await a.presence.close();
    await waitFor(() => b.down.length > 0 && c.down.length > 0, 'the leave');
    expect((await b.presence.evict({ userId: 'ada' })).complete).toBe(true);
    await bob.sees('c', ['bob', 'cyd'], 2000);
    await cyd.sees('c', ['bob', 'cyd'], 2000);
    expect([b.offline[0]?.reason, c.offline[0]?.reason]).toEqual(['left', 'left']);
  });

  it('whom an eviction has ended is found by no read after it', async () => {
    const [a, b] = (await nodes(2)) as [Node, Node];
    const bob = await join(a, 'bob');
    await join(a, 'ada');
    await join(b, 'ada', 'ada-2');
    await bob.sees('c', ['ada', 'bob']);
    await waitFor(
      async () => (await a.presence.fetchUser('ada')).communities[0]?.devices.length === 2,
      'both devices',
    );
    expect(await a.presence.evict({ userId: 'ada', deviceId: 'ada-1' })).toMatchObject({
      complete: true,
    });
    if (name !== 'redis') expect(a.presence.isOnline('ada')).toBe(true);
    expect(await a.presence.evict({ userId: 'bob' })).toMatchObject({ complete: true });
    expect(ids(await a.presence.fetchOnlineUsers('c'))).toBe('ada');
    if (name === 'redis') return;
    expect(a.presence.isOnline('bob')).toBe(false);
    expect(ids(a.presence.onlineUsers('c'))).toBe('ada');
  });

  it('nobody is fetched long after the linger, where this node hosts nobody of the community', async () => {
    const [a, b] = (await nodes(2, { lingerMs: 500 })) as [Node, Node];
    const ada = await join(a, 'ada');
    const fetched = async (): Promise<string> => ids(await b.presence.fetchOnlineUsers('c'));
    await waitFor(async () => (await fetched()) === 'ada', 'ada');
    await a.presence.close();
    ada.close();
    if (INDEXED.includes(name)) {
      const reader = createPresenceReader({ redis: b.client, prefix: key });
      await waitFor(
        async () => (await reader.fetchOnlineUsers('c')).length === 0,
        'the reader to see nobody',
        2000,
      );
    }
    await waitFor(async () => (await fetched()) === '', 'fetchOnlineUsers to give nobody', 4000);
  });

  it('the application hears of the last user of a community, too, however they go', async () => {
    const [a] = (await nodes(2, { lingerMs: 300 })) as [Node, Node];
    const gone: string[] = [];
    a.presence.on('userOffline', ({ communityId, userId, reason }) =>
      gone.push(`${userId} of ${communityId}: ${reason}`),
    );
    const at = (userId: string): Promise<TestClient> =>
      join(a, userId, 'd', { communities: [`of ${userId}`] });
    const [leaving, closing, lost, evicted] = await Promise.all(
      ['leaving', 'closing', 'lost', 'evicted'].map(at),
    );
    await leaving?.send('leaveCommunity', 'of leaving');
    closing?.close();
    lost?.drop();
    await a.presence.evict({ userId: 'evicted' });
    expect(evicted?.violations).toEqual([]);
    await waitFor(
      () => gone.length === 4,
      () => `four to be gone, not ${gone.join(', ')}`,
      5000,
    );
    expect(gone.sort()).toEqual([
      'closing of of closing: left',
      'evicted of of evicted: left',
      'leaving of of leaving: left',
      'lost of of lost: disconnected',
    ]);
    if (name === 'redis') return;
    for (const userId of ['leaving', 'closing', 'lost', 'evicted']) {
      expect(a.presence.isOnline(userId)).toBe(false);
    }
  });

  it('whoever was answered finds it in what they ask next', async () => {
    const limits = { updatesPerSecond: 1000, requestsPerSecond: 1000 };
    const [a] = (await nodes(2, { limits })) as [Node, Node];
    const bob = await join(a, 'bob');
    const missed = new Set<string>();
    const board = (users: readonly SeenUser[] | undefined): unknown =>
      users?.find(({ userId }) => userId === 'ada')?.devices[0]?.boardId;
    for (let i = 0; i < 10; i++) {
      const own = `own ${i}`;
      const ada = await join(a, 'ada', 'd', { communities: [] });
      const isIn = async (communityId: string): Promise<[boolean, boolean]> => {
        const asked = (await ada.send('presenceSync', communityId)).users ?? [];
        const fetched = await a.presence.fetchOnlineUsers(communityId);
        return [ids(asked).includes('ada'), ids(fetched).includes('ada')];
      };
      await ada.send('joinCommunity', own);
      if (!(await isIn(own))[0]) missed.add('joinCommunity → presenceSync');
      await ada.send('joinCommunity', 'c');
      await ada.send('presenceUpdate', { boardId: `b${i}` });
      const { users } = await ada.send('presenceSync', 'c');
      if (board(users) !== `b${i}`) missed.add('presenceUpdate → presenceSync');
      await ada.send('presenceUpdate', { boardId: `c${i}` });
      const fetched = await a.presence.fetchOnlineUsers('c');
      if (board(fetched) !== `c${i}`) missed.add('presenceUpdate → fetchOnlineUsers');
      await ada.send('presenceUpdate', { status: 'invisible' });
      const hidden = (await bob.send('presenceSync', 'c')).users ?? [];
      if (ids(hidden) !== 'bob') missed.add('invisible → presenceSync of another');
      await ada.send('presenceUpdate', { status: 'active' });
      await ada.send('leaveCommunity', 'c');
      const [asked, stillFetched] = await isIn('c');
      if (asked) missed.add('leaveCommunity → presenceSync');
      if (stillFetched) missed.add('leaveCommunity → fetchOnlineUsers');
      ada.close();
    }
    expect([...missed]).toEqual([]);
  });

  it('nobody was active before they came', async () => {
    const [a] = (await nodes(1)) as [Node];
    const ada = await join(a, 'ada', 'd', { communities: ['earlier'] });
    await pause(100);
    await ada.send('joinCommunity', 'c');
    await ada.sees('c', ['ada']);
    for (const communityId of ['earlier', 'c']) {
      const { onlineSince, lastActiveAt, devices } = ada.model.user(communityId, 'ada') as SeenUser;
      expect(lastActiveAt - onlineSince).toBeGreaterThanOrEqual(0);
      expect(devices[0]?.lastActiveAt).toBe(lastActiveAt);
      expect(devices[0]?.connectedAt).toBe(onlineSince);
    }
  });

  it('lastSeenAt is the moment of leaving where the node has left in order', async () => {
    const [a, b] = (await nodes(2, { lingerMs: 500 })) as [Node, Node];
    const bob = await join(b, 'bob');
    await join(a, 'ada');
    await bob.sees('c', ['ada', 'bob']);
    await pause(LONG_MS);
    const leftAt = Date.now();
    await a.presence.close();
    await bob.sees('c', ['bob']);
    expect(b.offline[0]).toMatchObject({ userId: 'ada', reason: 'disconnected' });
    expect(b.offline[0]?.lastSeenAt).toBeGreaterThan(leftAt - LONG_MS / 2);
    expect(b.offline[0]?.lastSeenAt).toBeLessThanOrEqual(Date.now());
  });

  it('lastSeen says what userOffline said', async () => {
    const [a, b] = (await nodes(2)) as [Node, Node];
    const bob = await join(b, 'bob');
    const ada = await join(a, 'ada');
    await bob.sees('c', ['ada', 'bob']);
    ada.drop();
    await bob.sees('c', ['bob']);
    const at = await waitFor(() => b.presence.lastSeen('ada'), 'when she was last seen');
    expect(Math.abs(at - (b.offline[0]?.lastSeenAt ?? 0))).toBeLessThan(TIMINGS.lingerMs / 2);
  });

  it('lastSeen knows who was there when the last node left', async () => {
    const [a] = (await nodes(1)) as [Node];
    await join(a, 'ada');
    await join(a, 'ghost', 'g', { status: 'invisible' });
    const leftAt = Date.now();
    await a.presence.close();
    const b = await node();
    expect(await b.presence.lastSeen('ada')).toBeGreaterThanOrEqual(leftAt);
    expect(await b.presence.lastSeen('ghost')).toBe(undefined);
  });

  it('an eviction, an explanation and reports are not complete before the others were found', async () => {
    const [a] = (await nodes(1)) as [Node];
    const ada = await join(a, 'ada');
    const b = await node();
    expect(b.presence.isReady()).toBe(false);
    const [user, eviction, explanation, reports] = await Promise.all([
      b.presence.fetchUser('ada'),
      b.presence.evict({ userId: 'ada' }),
      b.presence.explain('ada'),
      b.presence.fetchReports(),
    ]);
    expect(user).toMatchObject({ communities: [], complete: false }); // as it should be
    expect([eviction.sockets, ada.socket.connected]).toEqual([0, true]);
    expect([eviction.complete, explanation.complete, reports.complete]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('nodeUp says the name of the node', async () => {
    const a = await node({ nodeName: 'a' });
    const b = await node({ nodeName: 'b' });
    await waitFor(() => a.up.length > 0 && b.up.length > 0, 'nodeUp');
    expect([a.up[0]?.nodeName, b.up[0]?.nodeName]).toEqual(['b', 'a']);
  });

  it('the status that identify gives holds for a device that lingers on this node', async () => {
    const [a] = (await nodes(1)) as [Node];
    const bob = await join(a, 'bob');
    const before = await join(a, 'ada', 'd', { status: 'idle' });
    await waitFor(() => bob.model.user('c', 'ada')?.status === 'idle', 'idle');
    before.drop();
    const after = await join(a, 'ada', 'd', { status: 'busy' });
    expect(after.model.user('c', 'ada')?.status).toBe('busy');
  });

  it('the default name of the cluster may be said', async () => {
    const [a, b] = [await node(), await node({ cluster: 'rollcall' })];
    await Promise.all([a.presence.ready(), b.presence.ready()]);
    await waitFor(() => a.presence.nodes().length === 2, 'one cluster of two nodes');
    await join(b, 'bob');
    const ada = await join(a, 'ada');
    await ada.sees('c', ['ada', 'bob'], 5000);
  });

  it('explain says when the user of a node that left ends', async () => {
    const { b } = await adaLingers({ lingerMs: 4000 });
    const { devices } = await b.presence.explain('ada');
    expect(devices).toHaveLength(1);
    expect(devices[0]?.lingerLeftMs).toBeGreaterThan(2000);
    expect(devices[0]?.endsWhen).not.toContain('0.0 s');
  });

  it('lastSeen settles while Redis stands still', async () => {
    const own = await TestRedis.start();
    const client = createClient({ url: own.url });
    client.on('error', () => {});
    await client.connect();
    const application = await Application.start();
    const given = { redis: client as Client, prefix: 'p' };
    const presence = application.present(
      INDEXED.includes(name)
        ? { strategy: variantOf(name, given) }
        : { lastSeen: lastSeenIn(given) },
    );
    ends.push(async () => {
      process.kill(own.pid, 'SIGCONT');
      await application.stop();
      await client.close().catch(() => {});
      await own.stop();
    });
    const settled = (asked: Promise<unknown>): Promise<string> =>
      Promise.race([
        asked.then(
          () => 'resolved',
          () => 'rejected',
        ),
        pause(6000).then(() => 'still waiting after 6 s'),
      ]);
    process.kill(own.pid, 'SIGSTOP');
    expect(await settled(presence.lastSeen('ada'))).toBe('rejected');
    if (!INDEXED.includes(name)) return;
    const reader = createPresenceReader(given);
    expect(await settled(reader.fetchOnlineUsers('c'))).toBe('rejected');
  });

  it('of the users of a killed node: the moment, as whole ms, and answers that agree', async () => {
    const strategy = name.split('(')[0] as string;
    const start = async (): Promise<ServeProcess> => {
      const served = await ServeProcess.start([
        '--redis',
        redis.url,
        '--strategy',
        strategy,
        '--heartbeat-ms',
        '250',
        '--down-after-ms',
        '1500',
        '--linger-ms',
        '3000',
        ...(name.includes('(') ? ['--transport', 'redis'] : []),
      ]);
      ends.push(() => served.stop());
      return served;
    };
    const [a, b] = await Promise.all([start(), start()]);
    const bob = await join(b, 'bob', 'b', { communities: ['c13'] });
    const events: { lastSeenAt: number; reason: string }[] = [];
    bob.socket.on('userOffline', (event) => events.push(event));
    await join(a, 'ada', 'a', { communities: ['c13'] });
    await bob.sees('c13', ['ada', 'bob']);
    await pause(LONG_MS);
    const killedAt = Date.now();
    await a.stop('SIGKILL');
    await waitFor(async () => (await b.metric('rollcall_nodes{state="down"}')) === 1, 'down');
    const user = await b.get('/api/users/ada');
    const community = await b.get('/api/communities/c13');
    const shown = bob.model.present('c13').join();
    await waitFor(() => events.length > 0, 'userOffline');
    const { lastSeenAt, reason } = events[0] as (typeof events)[0];
    expect.soft(reason).toBe('node-down');
    expect.soft(lastSeenAt).toBeGreaterThan(killedAt - LONG_MS / 2);
    expect.soft(lastSeenAt).toBeLessThan(killedAt + LONG_MS / 2);
    expect.soft(Number.isInteger(lastSeenAt), `${lastSeenAt} is whole`).toBe(true);
    expect.soft(shown, 'what the client sees meanwhile').toBe('ada,bob');
    expect
      .soft(ids(community.body['users'] as { userId: string }[]), '/api/communities')
      .toBe(shown);
    expect.soft(user.status, '/api/users').toBe(200);
  });
});
