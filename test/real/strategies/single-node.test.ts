import { afterAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../support/client.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeProcess } from '../../support/serve.js';

describe('one node alone', () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterAll(() => Promise.all(ends.map((end) => end())));

  /** Two users who see each other, all of them and at once; one of them goes. Gives the other. */
  async function meet(node: ServeProcess): Promise<TestClient> {
    const join = (userId: string): Promise<TestClient> =>
      TestClient.join(node.url, { userId, deviceId: 'd', communities: ['c'] });
    const alice = await join('alice');
    expect(alice.model.infos.get('c')).toEqual({ communityId: 'c', complete: true, nodes: 1 });
    const bob = await join('bob');
    expect(bob.model.present('c')).toEqual(['alice', 'bob']);
    bob.close();
    await alice.sees('c', ['alice']);
    return alice;
  }

  // The adapter in memory never calls an acknowledgement back.
  it.each(['replicated', 'on-demand'])('under %s needs no medium', async (strategy) => {
    const node = await ServeProcess.start(['--strategy', strategy]);
    ends.push(() => node.stop());
    const alice = await meet(node);
    expect((await node.get('/api/communities/c')).body).toMatchObject({ complete: true });
    expect((await node.get('/api/users/alice')).status).toBe(200);
    alice.close();
  });

  it.each(['dual-write', 'redis'])('under %s says that it needs --redis', async (strategy) => {
    const { process } = ServeProcess.spawn(['serve', '--auth', 'insecure', '--strategy', strategy]);
    expect(await process.exited()).toBe(2);
    expect(process.stderr).toContain(`--strategy ${strategy}`);
    expect(process.stderr).toContain('--redis');
  });

  it.runIf(hasRedis).each(['dual-write', 'redis'])(
    'under %s needs no adapter beside its index',
    async (strategy) => {
      const redis = await TestRedis.start();
      ends.push(() => redis.stop());
      const flags = ['--strategy', strategy, '--adapter', 'memory', '--redis', redis.url];
      const node = await ServeProcess.start(flags);
      ends.unshift(() => node.stop());
      const alice = await meet(node);
      alice.close();
    },
  );

  it.runIf(hasRedis)('under redis answers the HTTP API from Redis', async () => {
    const redis = await TestRedis.start();
    const node = await ServeProcess.start(['--strategy', 'redis', '--redis', redis.url]);
    ends.push(
      () => node.stop(),
      () => redis.stop(),
    );
    const alice = await TestClient.join(node.url, {
      userId: 'alice',
      deviceId: 'd',
      communities: ['c'],
    });
    const { body } = await node.get('/api/communities/c');
    expect(body).toMatchObject({ complete: true, users: [{ userId: 'alice' }] });
    expect((await node.get('/api/users/alice')).body).toMatchObject({ userId: 'alice' });
    expect((await node.get('/api/users/nobody')).status).toBe(404);
    expect((await alice.send('presenceSync', 'c')).users).toHaveLength(1);
    alice.close();
  });
});
