import { isId, type ListInfo, type UserPresence } from '../core/index.js';
import { usersIn } from '../strategy/index.js';
import { Keys } from './keys.js';
import { RedisLastSeen } from './last-seen.js';
import { answered, linkTo } from './link.js';
import { readContents } from './replies.js';
import { READ } from './scripts.js';

/** What `createPresenceReader` takes. */
export interface PresenceReaderOptions {
  /** A connected client of node-redis (4 or later) or ioredis (5 or later), single or Cluster. */
  readonly redis: unknown;
  /** As given to `dualWrite` or `redisOnly`. */
  readonly prefix?: string;
  /** As given to `createPresence`. */
  readonly cluster?: string;
  /** The Socket.IO namespace that presence was added to. Default `/`, the main one. */
  readonly namespace?: string;
}

/** Reads the presence that servers under `dual-write` or `redis` write. Every call asks Redis once. */
export interface PresenceReader {
  /** Who is online in a community. */
  readonly fetchOnlineUsers: (communityId: string) => Promise<readonly UserPresence[]>;
  /**
   * The same, with the number of nodes that serve the community now. `complete` is false while people of
   * nodes are left out whose lease has ended and that nobody has swept: dead, or cut off from Redis.
   */
  readonly fetchCommunity: (
    communityId: string,
  ) => Promise<{ readonly users: readonly UserPresence[]; readonly info: ListInfo }>;
  /** The user in one community, or undefined while offline there. */
  readonly fetchUser: (userId: string, communityId: string) => Promise<UserPresence | undefined>;
  /** When the user was last seen by others, in ms since the epoch; undefined where it is not known. */
  readonly lastSeen: (userId: string) => Promise<number | undefined>;
}

/**
 * Presence for a service that has no Socket.IO server. Nodes that died count no more as soon as their
 * lease has ended, though nobody has swept them yet. Calls reject where Redis does not answer within 2 s.
 *
 * @throws TypeError or RangeError when an option is not what it should be.
 */
export function createPresenceReader(options: PresenceReaderOptions): PresenceReader {
  const link = linkTo(options.redis);
  const keys = new Keys(options.prefix, options.cluster, options.namespace);
  const lastSeen = new RedisLastSeen(link, keys);
  const fetchCommunity: PresenceReader['fetchCommunity'] = async (communityId) => {
    checkId(communityId, 'communityId');
    const reply = await answered(link.run(READ, keys.all(communityId), ['0']));
    const contents = readContents(reply);
    const users = usersIn(communityId, contents);
    // Whether their nodes are dead or cannot renew, only servers find out: they would sweep them.
    const late = usersIn(communityId, { ...contents, entries: contents.orphans });
    const found = new Set(users.map(({ userId }) => userId));
    const complete = late.every(({ userId }) => found.has(userId));
    return { users, info: { communityId, complete, nodes: contents.nodes } };
  };
  return {
    fetchCommunity,
    fetchOnlineUsers: async (communityId) => (await fetchCommunity(communityId)).users,
    fetchUser: async (userId, communityId) => {
      checkId(userId, 'userId');
      const { users } = await fetchCommunity(communityId);
      return users.find((user) => user.userId === userId);
    },
    lastSeen: async (userId) => {
      checkId(userId, 'userId');
      return lastSeen.read(userId);
    },
  };
}

function checkId(id: unknown, name: string): void {
  if (!isId(id)) {
    throw new TypeError(
      `${name} must be a string of 1 to 128 characters without control characters`,
    );
  }
}
