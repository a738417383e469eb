import { afterAll, beforeAll, describe, it } from 'vitest';
import { conformance, type ConformanceCluster } from 'rollcall/testing';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { TestRedisCluster } from '../../support/redis-cluster.js';
import { ServeCluster, WorkerCluster } from './serve-cluster.js';

const ADAPTERS = ['cluster', 'redis', 'redis-sharded', 'redis-streams'];
const INDEXED = ['dual-write', 'redis'];
const MATRIX = ['replicated', 'on-demand', ...INDEXED]
  .flatMap((strategy) => ADAPTERS.map((adapter) => [strategy, adapter] as const))
  .filter(
    ([strategy, adapter]) => hasRedis || (adapter === 'cluster' && !INDEXED.includes(strategy)),
  );

/** Presence on channels of its own in Redis, while the adapter is another. */
const CHANNELS: readonly (readonly [string, string])[] = hasRedis
  ? [
      ['replicated', 'node-redis'],
      ['replicated', 'ioredis'],
      ['replicated', 'node-redis Cluster'],
      ['replicated', 'ioredis Cluster'],
      ['on-demand', 'node-redis'],
    ]
  : [];

describe.each(CHANNELS)('%s over channels of Redis by %s', (strategy, client) => {
  let redis: TestRedis | TestRedisCluster;
  let cluster: ConformanceCluster & { stop(): Promise<void> };

  beforeAll(async () => {
    redis = await (client.endsWith('Cluster') ? TestRedisCluster.start() : TestRedis.start());
    const url = redis instanceof TestRedis ? redis.url : redis.addresses.map((each) => each.url);
    cluster = await WorkerCluster.start(2, { strategy, client, redis: url });
  });
  afterAll(async () => {
    await cluster.stop();
    await redis.stop();
  });
  cases(() => cluster);
});

describe.each(MATRIX)('%s over %s', (strategy, adapter) => {
  let redis: TestRedis | undefined;
  let cluster: ConformanceCluster & { stop(): Promise<void> };

  beforeAll(async () => {
    const needsRedis = adapter !== 'cluster' || INDEXED.includes(strategy);
    redis = needsRedis ? await TestRedis.start() : undefined;
    const url = redis?.url;
    cluster =
      adapter === 'cluster'
        ? await WorkerCluster.start(2, {
            strategy,
            ...(INDEXED.includes(strategy) && { redis: url }),
          })
        : await ServeCluster.start(2, [
            '--strategy',
            strategy,
            '--adapter',
            adapter,
            '--redis',
            url ?? '',
          ]);
  });
  afterAll(async () => {
    await cluster.stop();
    await redis?.stop();
  });

  cases(() => cluster);
});

function cases(cluster: () => ConformanceCluster): void {
  describe('all at once', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => !harmsNodes)) {
      it(each.name, () => each.run(cluster()));
    }
  });
  describe('with nodes that come and go', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => harmsNodes)) {
      it(each.name, () => each.run(cluster()));
    }
  });
}
