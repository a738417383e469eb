import { afterAll, describe, expect, it } from 'vitest';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { waitFor } from '../../support/wait.js';
import { ServeCluster } from './serve-cluster.js';

const STRATEGIES = ['replicated', 'on-demand', 'dual-write', 'redis'];

/** Each strategy has a Redis of its own, so the cases can wait side by side. */
describe.runIf(hasRedis)('while Redis is away', { concurrent: true }, () => {
  const running: (() => Promise<unknown>)[] = [];
  afterAll(() => Promise.all(running.map((stop) => stop())));

  async function clusterOver(strategy: string): Promise<[TestRedis, ServeCluster]> {
    const redis = await TestRedis.start();
    running.push(() => redis.stop());
    const cluster = await ServeCluster.start(2, ['--strategy', strategy, '--redis', redis.url]);
    running.push(() => cluster.stop());
    return [redis, cluster];
  }

  it.each(STRATEGIES)(
    '%s: local presence goes on, nobody is falsely gone, and all agree again afterwards',
    async (strategy) => {
      const [redis, cluster] = await clusterOver(strategy);
      const [a, b] = [cluster.nodes[0]!, cluster.nodes[1]!];
      const communityId = 'c';
      const join = (node: typeof a, userId: string) =>
        cluster.join(node, { userId, deviceId: `${userId}-1`, communityId });
      const [onA, onB, leaver] = [await join(a, 'a'), await join(b, 'b'), await join(a, 'leaver')];
      await Promise.all([onA, onB].map((client) => client.sees('c', ['a', 'b', 'leaver'])));

      await redis.kill();
      for (const node of [a, b]) {
        await waitFor(async () => (await node.metric('rollcall_degraded')) === 1, 'degraded');
      }
      const late = await join(a, 'late');
      expect(late.model.present('c')).toEqual(['a', 'b', 'late', 'leaver']);
      expect(late.model.infos.get('c')?.complete).toBe(false);
      await onA.sees('c', ['a', 'b', 'late', 'leaver']);
      expect((await onA.send('presenceUpdate', { status: 'busy' })).ok).toBe(true);
      leaver.close();
      await onA.sees('c', ['a', 'b', 'late']);

      await redis.restart();
      for (const node of [a, b]) {
        await waitFor(async () => (await node.metric('rollcall_degraded')) === 0, 'healed');
      }
      await Promise.all([onA, onB, late].map((client) => client.sees('c', ['a', 'b', 'late'])));
      await waitFor(() => onB.model.user('c', 'a')?.status === 'busy', 'what changed meanwhile');
      const after = await join(b, 'after');
      expect(after.model.present('c')).toEqual(['a', 'after', 'b', 'late']);
      await waitFor(
        () => [late, after, onB].every(({ model }) => model.infos.get('c')?.complete === true),
        'complete lists',
      );
      for (const { model, violations } of [onA, onB, late]) {
        expect(violations).toEqual([]);
        for (const userId of ['a', 'b', 'late']) expect(model.count('userOffline', userId)).toBe(0);
      }
    },
  );

  it.each(STRATEGIES)('%s: a Redis that hangs and goes on makes nobody leave', async (strategy) => {
    const [redis, cluster] = await clusterOver(strategy);
    const [a, b] = [cluster.nodes[0]!, cluster.nodes[1]!];
    const join = (node: typeof a, userId: string) =>
      cluster.join(node, { userId, deviceId: `${userId}-1`, communityId: 'c' });
    const clients = [await join(a, 'a'), await join(b, 'b')];
    await clients[0]!.sees('c', ['a', 'b']);
    process.kill(redis.pid, 'SIGSTOP');
    for (const node of [a, b]) {
      await waitFor(async () => (await node.metric('rollcall_degraded')) === 1, 'degraded');
    }
    // Longer than every lease: by Redis' clock all have ended when it goes on.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    process.kill(redis.pid, 'SIGCONT');
    for (const node of [a, b]) {
      await waitFor(async () => (await node.metric('rollcall_degraded')) === 0, 'healed');
    }
    clients.push(await join(a, 'late'));
    await Promise.all(clients.map((client) => client.sees('c', ['a', 'b', 'late'])));
    // Leases that ended meanwhile would have been swept by now.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    for (const { model, violations } of clients) {
      expect(model.present('c')).toEqual(['a', 'b', 'late']);
      expect(model.count('userOffline')).toBe(0);
      expect(violations).toEqual([]);
    }
  });
});
