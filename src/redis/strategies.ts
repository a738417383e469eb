import { IndexedNode, type Strategy, type StrategyName } from '../strategy/index.js';
import { Keys } from './keys.js';
import { linkTo } from './link.js';
import { RedisStore } from './store.js';

/** What `dualWrite` and `redisOnly` take. */
export interface IndexOptions {
  /** A connected client of node-redis (4 or later) or ioredis (5 or later), single or Cluster. */
  readonly redis: unknown;
  /** Starts all keys and channels. Default `rollcall`. */
  readonly prefix?: string;
  /** How long it is known when a user was last seen, in ms. Default 30 days. */
  readonly lastSeenForMs?: number;
}

/**
 * Every node keeps what it tells its own sockets; beside that an index in Redis has everything, written
 * with each change, read for a first list and by other services (`createPresenceReader`).
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function dualWrite(options: IndexOptions): Strategy {
  return indexed('dual-write', options);
}

/**
 * As `dualWrite`, but nothing is kept for reads: `isOnline`, `onlineUsers` and `user` throw an error
 * that names the asynchronous call, and every `fetch…` reads Redis.
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function redisOnly(options: IndexOptions): Strategy {
  return indexed('redis', options);
}

function indexed(name: StrategyName, { redis, prefix, lastSeenForMs }: IndexOptions): Strategy {
  if (lastSeenForMs !== undefined && !(lastSeenForMs >= 1000)) {
    throw new RangeError('lastSeenForMs must be at least 1000 ms');
  }
  const readsLocally = name === 'dual-write';
  // What is wrong with them is told at once.
  linkTo(redis);
  void new Keys(prefix);
  return {
    name,
    readsLocally,
    createEngine: (engineOptions) => new IndexedNode(engineOptions, readsLocally),
    createStore: (engine, host) => {
      const keys = new Keys(prefix, host.cluster);
      return new RedisStore(linkTo(redis), keys, engine as IndexedNode, host, lastSeenForMs);
    },
  };
}
