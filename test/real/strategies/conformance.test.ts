import { afterAll, beforeAll, describe, it } from 'vitest';
import { conformance, type ConformanceCluster } from 'rollcall/testing';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeCluster, WorkerCluster } from './serve-cluster.js';

const ADAPTERS = ['cluster', 'redis', 'redis-sharded', 'redis-streams'];
const INDEXED = ['dual-write', 'redis'];
const MATRIX = ['replicated', 'on-demand', ...INDEXED]
  .flatMap((strategy) => ADAPTERS.map((adapter) => [strategy, adapter] as const))
  .filter(
    ([strategy, adapter]) => hasRedis || (adapter === 'cluster' && !INDEXED.includes(strategy)),
  );

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

  describe('all at once', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => !harmsNodes)) {
      it(each.name, () => each.run(cluster));
    }
  });
  describe('with nodes that come and go', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => harmsNodes)) {
      it(each.name, () => each.run(cluster));
    }
  });
});
