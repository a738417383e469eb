import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { ClusterUnderTest, MEDIA } from '../support/cluster-under-test.js';
import type { TestNode } from '../support/node.js';
import { waitFor } from '../support/wait.js';

const TIMINGS = { heartbeatMs: 250, downAfterMs: 1500, lingerMs: 1500 };
/** What the judgement of a busy machine may take longer. */
const SLACK_MS = 4000;

describe.each(MEDIA)('over %s', (medium) => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start(medium);
  });
  afterEach(() => cluster.reset());
  afterAll(() => cluster.stop());

  it('race 16: tells the users of a killed node offline once; who comes back never flickers', async () => {
    const [a, b, c] = [
      await cluster.node(TIMINGS),
      await cluster.node(TIMINGS),
      await cluster.node(TIMINGS),
    ];
    const watchers = [await cluster.join(a, 'wa'), await cluster.join(c, 'wc')];
    const staying = ['ada', 'bea'];
    const going = ['cid', 'dan'];
    for (const user of [...staying, ...going]) await cluster.join(b, user);
    await Promise.all(
      watchers.map((watcher) => watcher.sees('c', [...staying, ...going, 'wa', 'wc'])),
    );
    const killedAt = performance.now();
    await b.stop('SIGKILL');
    await Promise.all(staying.map((user, i) => cluster.join([a, c][i] as TestNode, user)));
    await Promise.all(watchers.map((watcher) => watcher.sees('c', [...staying, 'wa', 'wc'])));
    for (const { model } of watchers) {
      for (const user of going) {
        const gone = model.told.filter((t) => t.event === 'userOffline' && t.userId === user);
        expect(gone).toMatchObject([{ reason: 'node-down' }]);
        const tookMs = (gone[0] as { atMs: number }).atMs - killedAt;
        const dueMs = TIMINGS.downAfterMs + TIMINGS.lingerMs;
        expect(tookMs).toBeGreaterThan(dueMs - TIMINGS.heartbeatMs - 50);
        expect(tookMs).toBeLessThan(dueMs + SLACK_MS);
      }
      for (const user of staying) {
        expect(model.count('userOffline', user)).toBe(0);
        expect(model.count('userOnline', user)).toBe(1);
      }
    }
    expect(cluster.violations).toEqual([]);
  });

  it('races 14, 22: outlasts a node that hangs for longer than down-after and goes on', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const alice = await cluster.join(a, 'alice');
    const bob = await cluster.join(b, 'bob');
    await alice.sees('c', ['alice', 'bob']);
    b.signal('SIGSTOP');
    const startedAt = performance.now();
    const quick = await cluster.join(a, 'quick');
    expect(performance.now() - startedAt).toBeLessThan(1000);
    await alice.sees('c', ['alice', 'quick']);
    expect(alice.model.told.at(-1)).toMatchObject({ userId: 'bob', reason: 'node-down' });
    quick.close();
    await alice.sees('c', ['alice']);
    b.signal('SIGCONT');
    await alice.sees('c', ['alice', 'bob']);
    await bob.sees('c', ['alice', 'bob']);
    expect(bob.model.count('userOffline', 'alice')).toBe(0);
    expect(alice.model.count('userOffline', 'bob')).toBe(1);
    // It is whole again, in both directions.
    const late = await cluster.join(b, 'late');
    expect(late.model.present('c')).toEqual(['alice', 'bob', 'late']);
    expect(late.model.infos.get('c')?.complete).toBe(true);
    await alice.sees('c', ['alice', 'bob', 'late']);
    expect(cluster.violations).toEqual([]);
  });

  it('race 28: keeps the users of a node that leaves for the linger, and fences what is left of it', async () => {
    const [a, b] = [await cluster.node(TIMINGS), await cluster.node(TIMINGS)];
    const alice = await cluster.join(a, 'alice');
    await cluster.join(b, 'bob');
    const cleo = await cluster.join(b, 'cleo');
    await alice.sees('c', ['alice', 'bob', 'cleo']);
    cleo.socket.io.reconnection(false);
    const leftAt = performance.now();
    await b.stop('SIGTERM');
    const bob = await cluster.join(a, 'bob');
    await alice.sees('c', ['alice', 'bob']);
    expect(performance.now() - leftAt).toBeGreaterThan(TIMINGS.lingerMs - 100);
    expect(alice.model.count('userOffline')).toBe(1);
    expect(alice.model.told.at(-1)).toMatchObject({ event: 'userOffline', userId: 'cleo' });
    expect(bob.model.count('userOffline', 'bob')).toBe(0);
    expect(cluster.violations).toEqual([]);
  });

  it('race 3: lets two living nodes of one name both live', async () => {
    const [a, b] = [
      await cluster.node(TIMINGS, undefined, 'twin'),
      await cluster.node(TIMINGS, undefined, 'twin'),
    ];
    const alice = await cluster.join(a, 'alice');
    const bob = await cluster.join(b, 'bob');
    await alice.sees('c', ['alice', 'bob']);
    // Long enough for many judgements.
    const beats = async (): Promise<number> => a.metric('rollcall_messages_received_total');
    const before = await beats();
    await waitFor(async () => (await beats()) > before + 15, 'a few seconds of heartbeats');
    await bob.sees('c', ['alice', 'bob']);
    expect(alice.model.count('userOffline') + bob.model.count('userOffline')).toBe(0);
    expect(cluster.violations).toEqual([]);
  });

  it('restarts every node, one after the other, under connected clients without one userOffline', async () => {
    const timings = { heartbeatMs: 500, downAfterMs: 3000, lingerMs: 6000 };
    const ports = [await cluster.freePort(), await cluster.freePort(), await cluster.freePort()];
    const nodes: TestNode[] = [];
    for (const [i, port] of ports.entries()) {
      nodes.push(await cluster.node(timings, port, `node-${i}`));
    }
    const users = Array.from({ length: 24 }, (_, i) => `u${i}`);
    const clients = await Promise.all(
      users.map((user, i) => cluster.join(nodes[i % 3] as TestNode, user)),
    );
    for (const [i, client] of clients.entries()) {
      let at = i % 3;
      // Half of them come back to another node, as a load balancer would have it.
      if (i % 2 === 0) {
        client.socket.on('disconnect', () => {
          at = (at + 1) % 3;
          (client.socket.io as unknown as { uri: string }).uri = `http://127.0.0.1:${ports[at]}`;
        });
      }
    }
    const allSeeAll = (): Promise<unknown> =>
      Promise.all(clients.map((client: TestClient) => client.sees('c', users, 40_000)));
    await allSeeAll();
    for (const [i, port] of ports.entries()) {
      await (nodes[i] as TestNode).stop('SIGTERM');
      nodes[i] = await cluster.node(timings, port, `node-${i}`);
      await waitFor(() => clients.every((client) => client.socket.connected), 'all to be back');
      await allSeeAll();
    }
    for (const { model } of clients)
      expect(model.told.filter((t) => t.event === 'userOffline')).toEqual([]);
    expect(cluster.violations).toEqual([]);
  });
});
