import type { Strategy } from '../../strategy/index.js';
import type { Driver } from '../driver.js';
import { PresenceError } from '../errors.js';
import { checkId, type PresenceLimits } from '../limits.js';
import type { Presence } from '../presence.js';
import { UserInterest } from './user-interest.js';

/**
 * What the application reads without waiting. This node knows only what it takes part in, so each read
 * also says what it should take part in from now on.
 */

export interface LocalReadsHost {
  readonly driver: Driver;
  readonly strategy: Strategy;
  readonly limits: PresenceLimits;
  /** Whether other nodes may know of users that this one does not. */
  readonly othersMayKnow: () => boolean;
  readonly fetchUser: Presence['fetchUser'];
}

export class LocalReads {
  readonly #host: LocalReadsHost;
  /** Communities that were read since the last sweep. */
  readonly #read = new Set<string>();
  readonly #users: UserInterest;

  constructor(host: LocalReadsHost) {
    const { driver } = host;
    this.#host = host;
    this.#users = new UserInterest({
      find: async (userId) =>
        (await host.fetchUser(userId)).communities.map(({ communityId }) => communityId),
      touch: (communityId) => driver.input((node, t) => node.touch(communityId, t)),
      communitiesOf: (userId) => driver.node.user(userId).map(({ communityId }) => communityId),
    });
  }

  readonly isOnline: Presence['isOnline'] = (userId) => {
    this.#checkLocal('isOnline', 'fetchUser(userId)');
    const isOnline = this.#host.driver.node.isOnline(userId);
    this.#noteUser(userId, isOnline);
    return isOnline;
  };

  readonly user: Presence['user'] = (userId) => {
    this.#checkLocal('user', 'fetchUser(userId)');
    const communities = this.#host.driver.node.user(userId);
    this.#noteUser(userId, communities.length > 0);
    return communities.length === 0 ? undefined : { userId, communities };
  };

  readonly onlineUsers: Presence['onlineUsers'] = (communityId) => {
    this.#checkLocal('onlineUsers', 'fetchOnlineUsers(communityId)');
    const { driver, limits } = this.#host;
    // A read of a community that nobody here is in makes this node take part in it for a while.
    if (driver.node.community(communityId)?.active === true) {
      this.#read.add(communityId);
    } else {
      const id = checkId(communityId, 'communityId', limits);
      driver.input((node, t) => node.touch(id, t));
    }
    return driver.node.onlineUsers(communityId);
  };

  /** Under a strategy that keeps nothing, an answer without waiting would be wrong. */
  #checkLocal(call: string, instead: string): void {
    const { strategy } = this.#host;
    if (strategy.readsLocally) return;
    throw new PresenceError(
      'UNAVAILABLE',
      `${call} reads locally, and the strategy ${strategy.name} keeps nothing; use await ${instead}`,
    );
  }

  #noteUser(userId: string, isKnown: boolean): void {
    if (!this.#host.othersMayKnow()) return;
    if (isKnown) this.#users.known(userId);
    else if (this.#users.wants(userId)) {
      this.#users.seek(checkId(userId, 'userId', this.#host.limits), performance.now());
    }
  }

  /** What is read goes on being of interest; call it about every second. */
  sweep(): void {
    const { driver } = this.#host;
    for (const communityId of this.#read) driver.input((node, t) => node.touch(communityId, t));
    this.#read.clear();
    this.#users.sweep(performance.now());
  }
}
