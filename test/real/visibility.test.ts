import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { ClusterUnderTest } from '../support/cluster-under-test.js';
import type { SeenUser } from '../support/stream.js';
import { waitFor } from '../support/wait.js';

const TIMINGS = { heartbeatMs: 250, downAfterMs: 2000, lingerMs: 500, typingTimeoutMs: 700 };

describe('what a device says of itself, on two nodes', () => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start('cluster');
  });
  afterEach(() => cluster.reset());
  afterAll(() => cluster.stop());

  it('is merged field by field, cleared by null, and is of this device only', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const watcher = await cluster.join(b, 'watcher');
    const phone = await cluster.join(a, 'ada', 'phone', { info: { name: 'Ada' } });
    await cluster.join(b, 'ada', 'laptop', { info: { name: 'Ada' } });
    const device = (id: string): unknown =>
      watcher.model.user('c', 'ada')?.devices.find(({ deviceId }) => deviceId === id);
    await waitFor(() => device('phone') !== undefined && device('laptop') !== undefined, 'both');
    const laptop = device('laptop');
    expect(await phone.send('presenceUpdate', { boardId: 'b1', meta: { x: 1 } })).toEqual({
      ok: true,
    });
    await waitFor(() => (device('phone') as { boardId?: string }).boardId === 'b1', 'the board');
    expect(await phone.send('presenceUpdate', { status: 'busy' })).toEqual({ ok: true });
    await waitFor(() => watcher.model.user('c', 'ada')?.status === 'busy', 'busy');
    expect(device('phone')).toMatchObject({ boardId: 'b1', meta: { x: 1 }, status: 'busy' });
    await phone.send('presenceUpdate', { boardId: null, status: null });
    await waitFor(() => watcher.model.user('c', 'ada')?.status === 'active', 'active');
    expect(device('phone')).not.toHaveProperty('boardId');
    expect(device('phone')).toMatchObject({ meta: { x: 1 } });
    await phone.send('presenceUpdate', { meta: null });
    await waitFor(() => (device('phone') as { meta?: object }).meta === undefined, 'no meta');
    expect(device('laptop')).toEqual(laptop);
    expect(watcher.model.user('c', 'ada')?.info).toEqual({ name: 'Ada' });
    // The same again is no news.
    const told = watcher.model.told.length;
    await phone.send('presenceUpdate', { meta: null, typing: false, status: 'active' });
    await phone.send('presenceUpdate', { boardId: 'end' });
    await waitFor(() => (device('phone') as { boardId?: string }).boardId === 'end', 'the end');
    expect(watcher.model.told).toHaveLength(told + 1);
    expect(cluster.violations).toEqual([]);
  });

  it('typing ends by itself, and goes on while it is said again', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const watcher = await cluster.join(b, 'watcher');
    const ada = await cluster.join(a, 'ada');
    // Else the news that she is there may say that she types.
    await watcher.sees('c', ['ada', 'watcher']);
    const isTyping = (): boolean => watcher.model.user('c', 'ada')?.devices[0]?.typing === true;
    const startedAt = performance.now();
    await ada.send('presenceUpdate', { typing: true });
    await waitFor(isTyping, 'typing');
    await waitFor(() => performance.now() > startedAt + 400, 'some time');
    await ada.send('presenceUpdate', { typing: true });
    await waitFor(() => !isTyping(), 'the end of typing');
    expect(performance.now() - startedAt).toBeGreaterThan(400 + TIMINGS.typingTimeoutMs - 50);
    await ada.send('presenceUpdate', { typing: true });
    await waitFor(isTyping, 'typing');
    await ada.send('presenceUpdate', { typing: null });
    await waitFor(() => !isTyping(), 'no typing');
    expect(watcher.model.count('userUpdated', 'ada')).toBe(4);
    expect(cluster.violations).toEqual([]);
  });

  it('joins and leaves communities while connected', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const bob = await cluster.join(b, 'bob', 'bob-1', { communities: ['c', 'd'] });
    const ada = await cluster.join(a, 'ada');
    expect(await ada.send('joinCommunity', 'd')).toMatchObject({ ok: true, communityId: 'd' });
    await ada.sees('d', ['ada', 'bob']);
    await bob.sees('d', ['ada', 'bob']);
    const answer = await ada.send('presenceSync', 'd');
    expect(answer).toMatchObject({
      ok: true,
      info: { communityId: 'd', complete: true, nodes: 2 },
    });
    expect(answer.users?.map(({ userId }) => userId).sort()).toEqual(['ada', 'bob']);
    expect(await ada.send('leaveCommunity', 'd')).toEqual({ ok: true, communityId: 'd' });
    await bob.sees('d', ['bob']);
    expect(bob.model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    expect(bob.model.present('c')).toEqual(['ada', 'bob']);
    // What happens there is no longer its business.
    const told = ada.model.told.filter(({ communityId }) => communityId === 'd').length;
    await bob.send('presenceUpdate', { status: 'busy' });
    await waitFor(() => ada.model.user('c', 'bob')?.status === 'busy', 'the change, in c');
    expect(ada.model.told.filter(({ communityId }) => communityId === 'd')).toHaveLength(told);
    expect(await ada.send('leaveCommunity', 'd')).toEqual({ ok: true, communityId: 'd' });
    expect(cluster.violations).toEqual([]);
  });

  it('invisible means offline to everybody else in every respect, and not to oneself', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const watchers = [await cluster.join(a, 'wa'), await cluster.join(b, 'wb')];
    const phone = await cluster.join(a, 'ada', 'phone');
    const laptop = await cluster.join(b, 'ada', 'laptop');
    await Promise.all(
      watchers.map((watcher) =>
        waitFor(() => watcher.model.user('c', 'ada')?.devices.length === 2, 'both devices'),
      ),
    );
    const seenBefore = watchers[0]?.model.user('c', 'ada');
    expect(await phone.send('presenceUpdate', { status: 'invisible' })).toEqual({ ok: true });
    await Promise.all(watchers.map((watcher) => watcher.sees('c', ['wa', 'wb'])));
    for (const { model } of watchers) {
      expect(model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    }
    // Its own sockets, on both nodes, still see the user with both devices.
    for (const own of [phone, laptop]) {
      expect(own.model.present('c')).toEqual(['ada', 'wa', 'wb']);
      expect(own.model.user('c', 'ada')?.devices).toHaveLength(2);
      const { users } = await own.send('presenceSync', 'c');
      expect(users?.map(({ userId }) => userId)).toContain('ada');
    }
    // Nothing else gives it away: events, lists, reads, counts.
    const told = watchers.map(({ model }) => model.told.length);
    for (const patch of [{ typing: true }, { boardId: 'b' }, { meta: { x: 1 } }]) {
      expect(await phone.send('presenceUpdate', patch)).toEqual({ ok: true });
      expect(await laptop.send('presenceUpdate', patch)).toEqual({ ok: true });
    }
    await waitFor(
      () => laptop.model.user('c', 'ada')?.devices[1]?.boardId === 'b',
      'its own change',
    );
    const tablet = await cluster.join(b, 'ada', 'tablet');
    expect(tablet.model.user('c', 'ada')).toBeDefined();
    tablet.close();
    for (const [i, node] of [a, b].entries()) {
      const list = await node.get('/api/communities/c');
      expect(list.body['users']).toHaveLength(2);
      expect(JSON.stringify(list.body)).not.toContain('ada');
      expect((await node.get('/api/users/ada')).status).toBe(404);
      const { users } = (await watchers[i]?.send('presenceSync', 'c')) ?? {};
      expect(users?.map(({ userId }) => userId).sort()).toEqual(['wa', 'wb']);
    }
    const late = await cluster.join(a, 'late');
    expect(late.model.present('c')).toEqual(['late', 'wa', 'wb']);
    late.close();
    await Promise.all(watchers.map((watcher) => watcher.sees('c', ['wa', 'wb'])));
    for (const [i, { model }] of watchers.entries()) {
      expect(model.told.slice(told[i]).every(({ userId }) => userId === 'late')).toBe(true);
    }
    // Seen again: one userOnline, with times that tell nothing of before.
    await phone.send('presenceUpdate', { status: 'active' });
    await Promise.all(watchers.map((watcher) => watcher.sees('c', ['ada', 'wa', 'wb'])));
    for (const { model } of watchers) {
      expect(model.count('userOnline', 'ada')).toBeLessThanOrEqual(2);
      const again = model.user('c', 'ada');
      expect(again?.onlineSince).toBeGreaterThan(seenBefore?.onlineSince ?? Infinity);
      for (const { connectedAt } of again?.devices ?? []) {
        expect(connectedAt).toBeGreaterThanOrEqual(again?.onlineSince ?? Infinity);
      }
    }
    expect(cluster.violations).toEqual([]);
  });

  it('whoever connects invisible is never seen', async () => {
    const a = await cluster.node(TIMINGS);
    const watcher = await cluster.join(a, 'watcher');
    const ghost = await cluster.join(a, 'ghost', 'g', { status: 'invisible' });
    expect(ghost.model.present('c')).toEqual(['ghost', 'watcher']);
    expect(await watcher.send('presenceUpdate', { status: 'busy' })).toEqual({ ok: true });
    await waitFor(() => ghost.model.user('c', 'watcher')?.status === 'busy', 'an event');
    ghost.close();
    await watcher.send('presenceUpdate', { status: null });
    await waitFor(() => watcher.model.user('c', 'watcher')?.status === 'active', 'the end');
    expect(watcher.model.told.every(({ userId }) => userId !== 'ghost')).toBe(true);
    expect(cluster.violations).toEqual([]);
  });

  it('race 20: a device that moves between nodes does not flicker on any', async () => {
    const nodes = [
      await cluster.node(TIMINGS),
      await cluster.node(TIMINGS),
      await cluster.node(TIMINGS),
    ] as const;
    const watchers = await Promise.all(nodes.map((node, i) => cluster.join(node, `w${i}`)));
    let device = await cluster.join(nodes[0], 'ada', 'phone');
    await Promise.all(watchers.map((w) => w.sees('c', ['ada', 'w0', 'w1', 'w2'])));
    for (let move = 1; move <= 20; move++) {
      const before = device;
      before.socket.io.reconnection(false);
      // Sometimes the new connection is there before the old one is gone.
      if (move % 2 === 0) before.drop();
      device = await cluster.join(nodes[move % 3] as (typeof nodes)[0], 'ada', 'phone');
      if (move % 2 === 1) before.drop();
    }
    await device.send('presenceUpdate', { boardId: 'end' });
    await Promise.all(
      watchers.map((w) =>
        waitFor(() => w.model.user('c', 'ada')?.devices[0]?.boardId === 'end', 'the last word'),
      ),
    );
    for (const { model } of watchers) {
      expect(model.count('userOffline')).toBe(0);
      expect(model.count('userOnline', 'ada')).toBeLessThanOrEqual(1);
      expect(model.user('c', 'ada')?.devices).toHaveLength(1);
    }
    expect(cluster.violations).toEqual([]);
  });

  it('race 21: a half-open socket does not keep a device present that left elsewhere', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const watcher = await cluster.join(a, 'watcher');
    const zombie = await cluster.join(a, 'ada', 'phone');
    zombie.hang();
    const phone = await cluster.join(b, 'ada', 'phone');
    await waitFor(() => watcher.model.user('c', 'ada')?.devices.length === 1, 'one device');
    phone.close();
    await watcher.sees('c', ['watcher'], 3000);
    expect(watcher.model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    expect(watcher.model.count('userOffline', 'ada')).toBe(1);
    expect(cluster.violations).toEqual([]);
  });

  it('stays what the application gave, whatever a client that does not know of it says of its use', async () => {
    const application = await Application.start();
    const given = { ada: 'invisible', bea: 'busy', cleo: 'invisible' } as const;
    application.present({
      identify: (socket) => {
        const { userId } = socket.handshake.auth as { userId: keyof typeof given };
        return { userId, communities: ['c'], status: given[userId] ?? 'active' };
      },
    });
    const clients: TestClient[] = [];
    const join = async (userId: string, more = {}): Promise<TestClient> => {
      const client = await TestClient.join(application.url, {
        userId,
        communities: ['c'],
        ...more,
      });
      clients.push(client);
      return client;
    };
    try {
      const watcher = await join('watcher');
      const [ada, bea] = [await join('ada'), await join('bea')];
      const cleo = await join('cleo', { status: 'invisible' });
      const says = (client: TestClient, patch: object): Promise<unknown> =>
        client.send('presenceUpdate', patch);
      for (const client of [ada, bea]) {
        expect(await says(client, { status: 'idle', boardId: 'b' })).toEqual({ ok: true });
        expect(await says(client, { status: 'active' })).toEqual({ ok: true });
      }
      const bea2 = (): unknown => watcher.model.user('c', 'bea');
      await waitFor(() => (bea2() as SeenUser).devices[0]?.boardId === 'b', 'the board');
      expect(bea2()).toMatchObject({ status: 'busy' });
      expect(watcher.model.present('c')).toEqual(['bea', 'watcher']);
      // Who knows of it means what it says, and so does who says it out of the blue.
      await says(cleo, { status: 'idle' });
      await watcher.sees('c', ['bea', 'cleo', 'watcher']);
      await says(ada, { status: 'active' });
      await watcher.sees('c', ['ada', 'bea', 'cleo', 'watcher']);
      await says(ada, { status: 'idle' });
      await waitFor(() => watcher.model.user('c', 'ada')?.status === 'idle', 'idle');
      expect(clients.flatMap(({ violations }) => violations)).toEqual([]);
    } finally {
      for (const client of clients) client.close();
      await application.stop();
    }
  });
});
