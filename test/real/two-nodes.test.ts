import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

describe.runIf(hasRedis).each(['redis', 'redis-sharded', 'redis-streams'])('over %s', (adapter) => {
  let redis: TestRedis;
  const nodes: ServeProcess[] = [];
  const clients: TestClient[] = [];

  async function node(...args: string[]): Promise<ServeProcess> {
    const started = await ServeProcess.start(['--redis', redis.url, '--adapter', adapter, ...args]);
    nodes.push(started);
    return started;
  }

  async function join(
    at: ServeProcess,
    userId: string,
    deviceId = `${userId}-1`,
  ): Promise<TestClient> {
    const client = await TestClient.join(at.url, { userId, deviceId, communities: ['c'] });
    clients.push(client);
    return client;
  }

  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(nodes.splice(0).map((each) => each.stop()));
  });
  afterAll(() => redis.stop());

  it('shows both directions, the own user included', async () => {
    const [a, b] = [await node(), await node()];
    const alice = await join(a, 'alice');
    expect(alice.model.present('c')).toEqual(['alice']);
    const bob = await join(b, 'bob');
    expect(bob.model.present('c')).toEqual(['alice', 'bob']);
    expect(bob.model.infos.get('c')).toEqual({ communityId: 'c', complete: true, nodes: 2 });
    await alice.sees('c', ['alice', 'bob']);
    expect(alice.model.count('userOnline', 'bob')).toBe(1);
    bob.close();
    await alice.sees('c', ['alice']);
    expect(alice.model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    expect([...alice.violations, ...bob.violations]).toEqual([]);
  });

  it('gives a node that starts late the whole list', async () => {
    const a = await node();
    const early = await Promise.all(Array.from({ length: 20 }, (_, i) => join(a, `u${i}`)));
    const b = await node();
    const late = await join(b, 'late');
    expect(late.model.present('c')).toHaveLength(21);
    await Promise.all(early.map((client) => client.sees('c', late.model.present('c'))));
    const { body } = await b.get('/api/communities/c');
    expect(body).toMatchObject({ communityId: 'c', complete: true });
    expect(body['users']).toHaveLength(21);
  });

  it('folds one user on two nodes into one, with one edge each way', async () => {
    const [a, b] = [await node(), await node()];
    const watcher = await join(a, 'watcher');
    const phone = await join(a, 'alice', 'phone');
    const laptop = await join(b, 'alice', 'laptop');
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
    expect(watcher.violations).toEqual([]);
  });
});
