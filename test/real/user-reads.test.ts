import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { afterEach, describe, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';

describe.runIf(hasRedis)('reads on an instance that has none of the sockets', () => {
  const ends: (() => Promise<unknown> | void)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  it('are right after the first, follow changes, and cost nothing where nobody reads', async () => {
    const redis = await TestRedis.start();
    ends.push(() => redis.stop());
    const start = async (): Promise<Application> => {
      const publisher = createClient({ url: redis.url });
      const subscriber = publisher.duplicate();
      await Promise.all([publisher.connect(), subscriber.connect()]);
      ends.push(() => Promise.all([publisher.close(), subscriber.close()]));
      const application = await Application.start({
        adapter: createAdapter(publisher, subscriber),
      });
      ends.push(() => application.stop());
      return application;
    };
    const [a, b] = [await start(), await start()];
    const [onA, onB] = [a.present(), b.present()];
    await Promise.all([onA.ready(), onB.ready()]);
    const ada = await TestClient.join(a.url, { userId: 'ada', deviceId: 'd', communities: ['c'] });
    ends.push(() => ada.close());

    // Nothing of the community is known where nobody needs it.
    const shards = async (): Promise<number> => {
      const metric = await onB.metrics.getSingleMetric('rollcall_shards')?.get();
      return metric?.values[0]?.value ?? Number.NaN;
    };
    expect(await shards()).toBe(0);
    expect(onB.isOnline('ada')).toBe(false);
    await waitFor(() => onB.isOnline('ada'), 'ada, once she was looked for');
    expect(onB.user('ada')?.communities.map(({ communityId }) => communityId)).toEqual(['c']);
    expect(await shards()).toBe(1);

    const told: unknown[] = [];
    onB.on('userOffline', ({ userId, reason }) => told.push([userId, reason]));
    ada.close();
    await waitFor(() => !onB.isOnline('ada'), 'that she left');
    expect(told).toEqual([['ada', 'left']]);
    expect(() => onB.isOnline('\u0000')).toThrow('control characters');
  });
});
