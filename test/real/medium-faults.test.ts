import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClusterUnderTest, REDIS_MEDIA } from '../support/cluster-under-test.js';
import { hasRedis } from '../support/redis.js';
import type { ServeProcess } from '../support/serve.js';
import { pause, waitFor } from '../support/wait.js';

describe.runIf(hasRedis).each(REDIS_MEDIA)('over %s', (medium) => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start(medium);
  });
  afterEach(() => cluster.reset());
  afterAll(() => cluster.stop());

  it('outlasts Redis gone for five seconds without one false userOffline', async () => {
    const timings = { heartbeatMs: 500, downAfterMs: 2000, lingerMs: 1000 };
    const [a, b] = [await cluster.node(timings), await cluster.node(timings)];
    const alice = await cluster.join(a, 'alice');
    const bob = await cluster.join(b, 'bob');
    const ann = await cluster.join(a, 'ann');
    const ben = await cluster.join(b, 'ben');
    const all = ['alice', 'ann', 'ben', 'bob'];
    await Promise.all(cluster.clients.map((client) => client.sees('c', all)));

    await cluster.redis.kill();
    const goneAt = performance.now();
    // Local life goes on at once, over the medium or not.
    ann.close();
    await alice.sees('c', ['alice', 'ben', 'bob']);
    ben.close();
    await bob.sees('c', ['alice', 'ann', 'bob']);
    for (const node of [a, b]) {
      await waitFor(
        async () => (await node.metric('rollcall_degraded')) === 1,
        'it to be degraded',
      );
    }
    const newcomer = await cluster.join(b, 'newcomer');
    expect(newcomer.model.infos.get('c')?.complete).toBe(false);
    expect(newcomer.model.present('c')).toEqual(['alice', 'ann', 'bob', 'newcomer']);
    expect(await bob.send('presenceUpdate', { boardId: 'board' })).toMatchObject({ ok: true });
    await bob.sees('c', ['alice', 'ann', 'bob', 'newcomer']);
    const other = await b.get('/api/communities/c');
    expect(other.body['complete']).toBe(false);
    expect((await b.get('/healthz')).body).toMatchObject({ status: 'ready', degraded: true });
    await pause(Math.max(0, 5000 - (performance.now() - goneAt)));
    await cluster.redis.restart();

    const now = ['alice', 'bob', 'newcomer'];
    const converged = (): Promise<unknown> =>
      Promise.all([alice, bob, newcomer].map((client) => client.sees('c', now, 10_000)));
    await converged();
    await waitFor(
      () => newcomer.model.infos.get('c')?.complete === true,
      'a complete list after the incomplete one',
    );
    await waitFor(
      () => alice.model.user('c', 'bob')?.devices[0]?.boardId === 'board',
      'what bob changed meanwhile',
    );
    for (const { model } of [alice, bob, newcomer]) {
      const offline = model.told.filter(({ event }) => event === 'userOffline');
      expect(offline.every(({ userId }) => userId === 'ann' || userId === 'ben')).toBe(true);
    }
    expect(cluster.violations).toEqual([]);
    for (const node of [a, b] as ServeProcess[]) {
      expect(await node.metric('rollcall_divergence_total')).toBe(0);
      expect(await node.metric('rollcall_failures_total')).toBe(0);
      const events = node.log.map(({ event }) => event);
      const degraded = events.filter((event) => event === 'degraded').length;
      expect(degraded).toBeGreaterThan(0);
      expect(degraded).toBeLessThan(3);
      expect(events.filter((event) => event === 'healed')).toHaveLength(degraded);
      expect(events).not.toContain('crash');
    }
  });

  it('race 27: tells local sockets at once while Redis hangs', async () => {
    const a = await cluster.node();
    const alice = await cluster.join(a, 'alice');
    process.kill(cluster.redis.pid, 'SIGSTOP');
    try {
      const startedAt = performance.now();
      const bob = await cluster.join(a, 'bob');
      await alice.sees('c', ['alice', 'bob']);
      expect(await bob.send('presenceUpdate', { status: 'busy' })).toEqual({ ok: true });
      await waitFor(() => alice.model.user('c', 'bob')?.status === 'busy', 'bob to be busy');
      expect(performance.now() - startedAt).toBeLessThan(1000);
    } finally {
      process.kill(cluster.redis.pid, 'SIGCONT');
    }
    expect(cluster.violations).toEqual([]);
  });

  it('pulls what was lost when the subscriber’s connection was cut', async () => {
    const timings = { heartbeatMs: 250, downAfterMs: 1500, lingerMs: 1000 };
    const [a, b] = [await cluster.node(timings), await cluster.node(timings)];
    const alice = await cluster.join(a, 'alice');
    await cluster.join(b, 'bob');
    await alice.sees('c', ['alice', 'bob']);
    for (let round = 0; round < 5; round++) {
      await cluster.redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      const carol = await cluster.join(b, `carol${round}`);
      await alice.sees('c', ['alice', 'bob', `carol${round}`]);
      carol.close();
      await alice.sees('c', ['alice', 'bob']);
    }
    expect(alice.model.count('userOffline', 'bob')).toBe(0);
    expect(await a.metric('rollcall_divergence_total')).toBe(0);
    expect(cluster.violations).toEqual([]);
  });
});
