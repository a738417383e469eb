import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import { expect, it } from 'vitest';
import { channelLinkTo } from '../../../src/redis/channel-link.js';

it.each([
  ['node-redis', () => createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] })],
  ['ioredis', () => new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })],
])('a Cluster client of %s that knows no master now may know one later', async (_name, make) => {
  await expect(channelLinkTo(make()).openWatch(0)).rejects.toThrow('no master');
});
