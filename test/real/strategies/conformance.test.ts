import { afterAll, beforeAll, describe, it } from 'vitest';
import { conformance, type ConformanceCluster } from '../../../src/testing/index.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { ServeCluster } from './serve-cluster.js';

const STRATEGIES = ['replicated', 'on-demand', 'dual-write', 'redis'];
const ADAPTERS = ['redis', 'redis-sharded', 'redis-streams'];
const MATRIX = STRATEGIES.flatMap((strategy) =>
  ADAPTERS.map((adapter) => [strategy, adapter] as const),
);

describe.runIf(hasRedis).each(MATRIX)('%s over %s', (strategy, adapter) => {
  let redis: TestRedis;
  let cluster: ServeCluster;

  beforeAll(async () => {
    redis = await TestRedis.start();
    cluster = await ServeCluster.start(2, [
      '--strategy',
      strategy,
      '--adapter',
      adapter,
      '--redis',
      redis.url,
    ]);
  });
  afterAll(async () => {
    await cluster.stop();
    await redis.stop();
  });

  describe('all at once', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => !harmsNodes)) {
      it(each.name, () => each.run(cluster satisfies ConformanceCluster));
    }
  });
  describe('with nodes that come and go', { concurrent: true }, () => {
    for (const each of conformance.filter(({ harmsNodes }) => harmsNodes)) {
      it(each.name, () => each.run(cluster));
    }
  });
});
