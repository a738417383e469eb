import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClusterUnderTest, MEDIA } from '../support/cluster-under-test.js';
import type { TestClient } from '../support/client.js';
import type { TestNode } from '../support/node.js';
import { waitFor } from '../support/wait.js';

/** Numbers in [0, 1) that are the same at every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe.each(MEDIA)('over %s', (medium) => {
  let cluster: ClusterUnderTest;
  beforeAll(async () => {
    cluster = await ClusterUnderTest.start(medium);
  });
  // A second try would otherwise meet the clients of the first.
  afterEach(() => cluster.reset());
  afterAll(() => cluster.stop());

  it('race 17: after a storm of joins and leaves every client’s view is the truth', async () => {
    const random = chance(17);
    const timings = { heartbeatMs: 500, downAfterMs: 3000, lingerMs: 1000 };
    const nodes = [
      await cluster.node(timings),
      await cluster.node(timings),
      await cluster.node(timings),
    ];
    const present = new Map<string, TestClient>();
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const join = async (user: string, device: string): Promise<void> => {
      present.set(`${user}/${device}`, await cluster.join(pick(nodes) as TestNode, user, device));
    };
    // All at once, as after an outage.
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => join(`u${i % 120}`, `d${Math.floor(i / 120)}`)),
    );
    for (let step = 0; step < 400; step++) {
      const dice = random();
      const devices = [...present.keys()];
      const key = pick(devices);
      const client = present.get(key) as TestClient;
      if (dice < 0.3) {
        present.delete(key);
        client.close();
      } else if (dice < 0.4) {
        client.drop();
      } else if (dice < 0.7) {
        const device = `u${Math.floor(random() * 120)}/d${Math.floor(random() * 2)}`;
        const [user, name] = device.split('/') as [string, string];
        if (!present.has(device)) await join(user, name);
      } else {
        void client.send('presenceUpdate', { boardId: `b${step}` }).catch(() => {});
      }
    }
    const expected = [...new Set([...present.keys()].map((key) => key.split('/')[0] as string))];
    const away = (): string[] =>
      [...present].flatMap(([device, { socket }]) =>
        socket.connected ? [] : `${device} (${socket.io._readyState})`,
      );
    await waitFor(
      () => away().length === 0,
      () => `everybody to be connected: ${away().join()}`,
    );
    await Promise.all([...present.values()].map((client) => client.sees('c', expected, 30_000)));
    const devicesOf = (client: TestClient): string =>
      [...(client.model.rosters.get('c')?.values() ?? [])]
        .flatMap((user) => user.devices.map((device) => `${user.userId}/${device.deviceId}`))
        .sort()
        .join();
    const truth = [...present.keys()].sort().join();
    await waitFor(
      () => [...present.values()].every((client) => devicesOf(client) === truth),
      () => `every client to see every device: ${truth}`,
    );
    for (const node of nodes) {
      const { body } = await node.get('/api/communities/c');
      expect(body['users']).toHaveLength(expected.length);
      expect(await node.metric('rollcall_divergence_total')).toBe(0);
      expect(await node.metric('rollcall_failures_total')).toBe(0);
    }
    expect(cluster.violations).toEqual([]);
  });
});
