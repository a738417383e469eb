import { afterAll, describe, expect, it } from 'vitest';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeProcess } from '../../support/serve.js';
import { TestClient } from '../../support/client.js';
import { waitFor } from '../../support/wait.js';

/** The order of moving: each pair is one deploy, node by node, under connected clients. */
const MOVES = [
  ['on-demand', 'replicated'],
  ['replicated', 'on-demand'],
  ['dual-write', 'redis'],
] as const;

describe.runIf(hasRedis)('a rolling deploy', { concurrent: true }, () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterAll(() => Promise.all(ends.map((end) => end())));

  it.each(MOVES)('from %s to %s makes nobody flicker', async (from, to) => {
    const redis = await TestRedis.start();
    ends.push(() => redis.stop());
    const start = async (strategy: string, port = 0): Promise<ServeProcess> => {
      const flags = {
        strategy,
        redis: redis.url,
        port,
        'linger-ms': 8000,
        'heartbeat-ms': 250,
        'down-after-ms': 2000,
      };
      const node = await ServeProcess.start(
        Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
      );

      ends.push(() => node.stop());
      return node;
    };
    const nodes = [await start(from), await start(from)];
    const users = ['a', 'b', 'c', 'd'];
    const clients = await Promise.all(
      users.map((userId, i) =>
        TestClient.join(
          nodes[i % 2]!.url,
          { userId, deviceId: userId, communities: ['c'] },
          { reconnectionDelay: 50, reconnectionDelayMax: 200 },
        ),
      ),
    );
    await Promise.all(clients.map((client) => client.sees('c', users)));
    for (const [i, node] of nodes.entries()) {
      const { port } = node;
      await node.stop('SIGTERM');
      nodes[i] = await start(to, port);
      await waitFor(() => clients.every(({ socket }) => socket.connected), 'everybody back');
      await Promise.all(clients.map((client) => client.sees('c', users)));
      // A new client on either node sees the mixed fleet whole.
      for (const at of nodes) {
        const late = await TestClient.join(at.url, {
          userId: 'a',
          deviceId: 'x',
          communities: ['c'],
        });
        await late.sees('c', users);
        late.close();
      }
    }
    for (const { model, violations } of clients) {
      expect(model.count('userOffline')).toBe(0);
      expect(violations).toEqual([]);
    }
    for (const client of clients) client.close();
  });
});
