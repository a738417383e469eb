import {
  IndexedNode,
  onDemand as onDemandOverAdapter,
  replicated as replicatedOverAdapter,
  type OnDemandOptions as RollCallOptions,
  type Strategy,
  type StrategyName,
} from '../strategy/index.js';
import { Channels } from './channels.js';
import { channelLinkTo } from './channel-link.js';
import { Keys } from './keys.js';
import { linkTo } from './link.js';
import { RedisStore } from './store.js';
import { RedisTransport } from './transport.js';

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
      const keys = new Keys(prefix, host.cluster, host.namespace);
      return new RedisStore(linkTo(redis), keys, engine as IndexedNode, host, lastSeenForMs);
    },
  };
}

/** How messages between nodes travel, under the strategies that keep nothing in Redis. */
export interface MediumOptions {
  /**
   * A connected client of node-redis (4 or later) or ioredis (5 or later), single, Cluster or Sentinel:
   * messages then travel on channels of their own in Redis. Default: the Socket.IO adapter carries them.
   */
  readonly redis?: unknown;
  /** Starts all channels. Default `rollcall`. */
  readonly prefix?: string;
}

/** What `onDemand` takes. */
export interface OnDemandOptions extends RollCallOptions, MediumOptions {}

/**
 * Every interested node holds the entries of the others in memory, kept right by sequenced deltas of
 * each owner. The first list is read locally. The default.
 *
 * With `redis`, a node hears only of the shards that it takes part in, answers reach only who asked, and
 * a node that dies is known to be dead within a second. The server's adapter may then be any.
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function replicated(options: MediumOptions = {}): Strategy {
  return over(options, replicatedOverAdapter());
}

/**
 * Nothing of the other nodes is kept but what this node has told its sockets: a client's first list
 * comes from a roll call of all nodes. Costs a round trip at connect and least memory.
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function onDemand(options: OnDemandOptions = {}): Strategy {
  return over(options, onDemandOverAdapter(options));
}

function over(options: MediumOptions, strategy: Strategy): Strategy {
  // A client that is there but undefined is a mistake that must not go unseen.
  if (!('redis' in options)) return strategy;
  const { redis, prefix } = options;
  channelLinkTo(redis);
  void new Channels(prefix);
  return {
    ...strategy,
    createTransport: (host) =>
      new RedisTransport(
        channelLinkTo(redis),
        new Channels(prefix, host.cluster, host.namespace),
        host,
      ),
  };
}
