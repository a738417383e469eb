import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { ClusterUnderTest, MEDIA } from '../support/cluster-under-test.js';
import { waitFor } from '../support/wait.js';

describe.each(MEDIA)('over %s', (medium) => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start(medium);
  });
  afterEach(() => cluster.reset());
  afterAll(() => cluster.stop());

  it('shows both directions, the own user included', async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const alice = await cluster.join(a, 'alice');
    expect(alice.model.present('c')).toEqual(['alice']);
    const bob = await cluster.join(b, 'bob');
    expect(bob.model.present('c')).toEqual(['alice', 'bob']);
    expect(bob.model.infos.get('c')).toEqual({ communityId: 'c', complete: true, nodes: 2 });
    await alice.sees('c', ['alice', 'bob']);
    expect(alice.model.count('userOnline', 'bob')).toBe(1);
    bob.close();
    await alice.sees('c', ['alice']);
    expect(alice.model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    expect(cluster.violations).toEqual([]);
  });

  it('gives a node that starts late the whole list', async () => {
    const a = await cluster.node();
    const early = await Promise.all(Array.from({ length: 20 }, (_, i) => cluster.join(a, `u${i}`)));
    const b = await cluster.node();
    const late = await cluster.join(b, 'late');
    expect(late.model.present('c')).toHaveLength(21);
    await Promise.all(early.map((client) => client.sees('c', late.model.present('c'))));
    const { body } = await b.get('/api/communities/c');
    expect(body).toMatchObject({ communityId: 'c', complete: true });
    expect(body['users']).toHaveLength(21);
    expect(cluster.violations).toEqual([]);
  });

  it('race 15: announces nobody who was there all along to a node that starts late', async () => {
    const a = await cluster.node();
    for (const user of ['ada', 'bea', 'cid']) await cluster.join(a, user);
    const port = await cluster.freePort();
    const starting = cluster.node({}, port);
    // A client that is there before the node has asked around.
    const impatient = await cluster.join({ url: `http://127.0.0.1:${port}` }, 'dan');
    await starting;
    await impatient.sees('c', ['ada', 'bea', 'cid', 'dan']);
    expect(impatient.model.infos.get('c')?.complete).toBe(true);
    for (const user of ['ada', 'bea', 'cid']) {
      expect(impatient.model.count('userOnline', user)).toBe(0);
    }
    expect(cluster.violations).toEqual([]);
  });

  it('tells nothing of a device that comes back on another node, whatever it says of itself at once', async () => {
    const [a, b, c] = [await cluster.node(), await cluster.node(), await cluster.node()];
    const watcher = await cluster.join(a, 'watcher');
    let session = 1;
    const connect = (at: { readonly url: string }): TestClient => {
      const who = { userId: 'ada', deviceId: 'ada-1', communities: ['c'] };
      const ada = new TestClient(at.url, { ...who, status: 'active', session: session++ });
      ada.socket.io.reconnection(false);
      cluster.clients.push(ada);
      return ada;
    };
    let ada = connect(b);
    await ada.sees('c', ['ada', 'watcher']);
    await ada.send('presenceUpdate', { boardId: 'roadmap', meta: { page: 3 } });
    const shown = (): unknown => watcher.model.user('c', 'ada')?.devices[0];
    const meta = { page: 3 };
    await waitFor(() => watcher.model.user('c', 'ada')?.devices[0]?.meta, 'what ada set');
    const before = shown();
    expect(before).toMatchObject({ boardId: 'roadmap', meta });
    const { length } = watcher.model.told;
    // To a node that knows nothing of the community yet, and to one that does.
    for (const node of [c, a]) {
      ada.drop();
      ada = connect(node);
      // It is sent as soon as there is a connection.
      await ada.send('presenceUpdate', { boardId: 'roadmap' });
      await ada.sees('c', ['ada', 'watcher']);
    }
    await ada.send('presenceUpdate', { boardId: 'budget' });
    await waitFor(() => watcher.model.told.length > length, 'the news');
    expect(watcher.model.told.slice(length).map(({ event }) => event)).toEqual(['userUpdated']);
    expect(shown()).toMatchObject({ boardId: 'budget', meta });
    expect(cluster.violations).toEqual([]);
  });

  it('folds one user on two nodes into one, with one edge each way', async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const watcher = await cluster.join(a, 'watcher');
    const phone = await cluster.join(a, 'alice', 'phone');
    const laptop = await cluster.join(b, 'alice', 'laptop');
    await waitFor(
      () => watcher.model.user('c', 'alice')?.devices.length === 2,
      'both devices of alice',
    );
    phone.close();
    await waitFor(
      () => watcher.model.user('c', 'alice')?.devices.length === 1,
      'one device of alice left',
    );
    laptop.close();
    await watcher.sees('c', ['watcher']);
    expect(watcher.model.count('userOnline', 'alice')).toBe(1);
    expect(watcher.model.count('userOffline', 'alice')).toBe(1);
    expect(cluster.violations).toEqual([]);
  });

  // Two tabs of one device: where the client counts its connections, the later one is the device.
  it.each([
    ['', {}, {}, 'true true'],
    [' whose client counts them', { session: 1 }, { session: 2 }, 'false true'],
  ])(
    'counts a device with two live connections%s, on two nodes, once for as long as either lives',
    async (_name, older, newer, expected) => {
      const [a, b] = [await cluster.node(), await cluster.node()];
      const watchers = [await cluster.join(a, 'wa'), await cluster.join(b, 'wb')];
      const first = await cluster.join(a, 'alice', 'tab', older);
      const second = await cluster.join(b, 'alice', 'tab', newer);
      /** Whether what each node holds of the device counts. */
      const counting = async (): Promise<string> => {
        const { body } = await b.get('/api/users/alice/explain');
        const { devices } = body as { devices: { counts: boolean }[] };
        return devices.map(({ counts }) => counts).join(' ');
      };
      const areSeen = (): boolean =>
        watchers.every(({ model }) => model.user('c', 'alice')?.devices.length === 1);
      await waitFor(
        async () => (await counting()).split(' ').sort().join(' ') === expected,
        'both connections to be known',
      );
      await waitFor(areSeen, 'one device of alice');
      second.close();
      await waitFor(async () => (await counting()) === 'true' && areSeen(), 'the older to go on');
      for (const { model } of watchers) {
        // The later connection has left: only where clients do not count is that not the device's leaving.
        if (expected === 'true true') expect(model.count('userOffline', 'alice')).toBe(0);
      }
      first.close();
      await Promise.all(watchers.map((watcher) => watcher.sees('c', ['wa', 'wb'])));
      expect(cluster.violations).toEqual([]);
    },
  );

  it('race 1: leaves no ghost when both devices leave at once on two nodes, 100 of 100 times', async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const watchers = [await cluster.join(a, 'wa'), await cluster.join(b, 'wb')];
    for (let round = 0; round < 10; round++) {
      const users = Array.from({ length: 10 }, (_, i) => `u${round * 10 + i}`);
      const devices = await Promise.all(
        users.flatMap((user) => [cluster.join(a, user, 'phone'), cluster.join(b, user, 'laptop')]),
      );
      await Promise.all(watchers.map((watcher) => watcher.sees('c', [...users, 'wa', 'wb'])));
      // Whoever leaves before the other device is known everywhere rightly goes offline there.
      await waitFor(
        () =>
          watchers.every(({ model }) =>
            users.every((user) => model.user('c', user)?.devices.length === 2),
          ),
        'both devices of each on both nodes',
      );
      for (const device of devices) device.close();
      await Promise.all(watchers.map((watcher) => watcher.sees('c', ['wa', 'wb'])));
    }
    for (const watcher of watchers) {
      for (let i = 0; i < 100; i++) expect(watcher.model.count('userOffline', `u${i}`)).toBe(1);
    }
    for (const node of [a, b]) {
      const { body } = await node.get('/api/communities/c');
      expect(body['users']).toHaveLength(2);
    }
    expect(cluster.violations).toEqual([]);
  });
});
