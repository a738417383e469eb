import { Keys } from './keys.js';
import { answered, linkTo, type RedisLink } from './link.js';

/** What `lastSeenIn` takes. */
export interface LastSeenOptions {
  /** A connected client of node-redis (4 or later) or ioredis (5 or later), single or Cluster. */
  readonly redis: unknown;
  /** Starts all keys. Default `rollcall`. */
  readonly prefix?: string;
  /** As given to `createPresence`. */
  readonly cluster?: string;
  /** The Socket.IO namespace that presence was added to. Default `/`, the main one. */
  readonly namespace?: string;
  /** How long it is kept, in ms. Default 30 days. */
  readonly keepForMs?: number;
}

/** Remembers when users were last seen by others. */
export interface LastSeen {
  /** Never rejects: what cannot be written now is not known later. */
  readonly record: (userId: string, at: number) => Promise<void>;
  /** In ms since the epoch, or undefined where it is not known (any more). */
  readonly read: (userId: string) => Promise<number | undefined>;
}

const KEEP_FOR_MS = 30 * 24 * 3600 * 1000;

/**
 * Keeps in Redis when users were last seen, for `lastSeen` of `createPresence` under any strategy.
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function lastSeenIn(options: LastSeenOptions): LastSeen {
  const { redis, prefix, cluster, namespace, keepForMs = KEEP_FOR_MS } = options;
  if (!(keepForMs >= 1000)) throw new RangeError('keepForMs must be at least 1000 ms');
  return new RedisLastSeen(linkTo(redis), new Keys(prefix, cluster, namespace), keepForMs);
}

export class RedisLastSeen implements LastSeen {
  readonly #link: RedisLink;
  readonly #keys: Keys;
  readonly #keepForMs: number;

  constructor(link: RedisLink, keys: Keys, keepForMs = KEEP_FOR_MS) {
    this.#link = link;
    this.#keys = keys;
    this.#keepForMs = keepForMs;
  }

  async record(userId: string, at: number): Promise<void> {
    if (!this.#link.isUp) return;
    const key = this.#keys.seen(userId);
    const kept = this.#link.setFor(key, String(Math.round(at)), this.#keepForMs);
    await answered(kept).catch(() => {});
  }

  async read(userId: string): Promise<number | undefined> {
    const at = await answered(this.#link.get(this.#keys.seen(userId)));
    return at === null ? undefined : Number(at);
  }
}
