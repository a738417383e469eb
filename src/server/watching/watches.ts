import type { Audience, PresenceEvent, UserPresence } from '../../core/index.js';
import type { Engine } from '../../strategy/index.js';
import type { PresenceDiff, WatchedState } from '../events.js';
import { WatchedCommunity } from './watched-community.js';
import type { WatchQuery } from './watch-query.js';

/**
 * The sockets that asked for diffs of what they watch (`presenceWatch`) instead of lists and one event
 * for each user. They are in the community and its room like all others; only what rollcall itself sends
 * of the community is another.
 */

export interface WatchesHost {
  readonly engine: Engine;
  readonly send: (socketIds: readonly string[], diff: PresenceDiff) => void;
  /** Changes within this time are one diff. */
  readonly flushMs: number;
  /** What users are sorted by. */
  readonly nameOf: (user: UserPresence) => string;
}

interface Watching {
  /** Null where the socket has not said yet what it wants: it is told nothing. */
  query: WatchQuery | null;
  /** The socket has what its diffs build on. */
  isListed: boolean;
  /** It has been told that its user sees itself otherwise than the others do. */
  hasSelf: boolean;
  /** Answers the request that waits for the list. */
  settle: ((state: WatchedState | undefined) => void) | undefined;
}

interface Watched {
  community: WatchedCommunity | undefined;
  readonly sockets: Map<string, Watching>;
  /** Sockets whose users see themselves otherwise than the others do, or no longer. */
  readonly selves: Set<string>;
  wasComplete: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Sockets that wait until what they watch is sorted. */
  readonly sorting: Set<string>;
}

export class Watches {
  readonly #host: WatchesHost;
  readonly #watched = new Map<string, Watched>();

  constructor(host: WatchesHost) {
    this.#host = host;
  }

  /** The sockets that get no lists and events of a community. */
  socketsOf(communityId: string): ReadonlyMap<string, unknown> | undefined {
    return this.#watched.get(communityId)?.sockets;
  }

  /** From now on the socket gets no lists and events of the community; nor diffs, before `watch`. */
  mute(socketId: string, communityId: string): Watching {
    let watched = this.#watched.get(communityId);
    if (watched === undefined) {
      watched = {
        community: undefined,
        sockets: new Map(),
        selves: new Set(),
        wasComplete: false,
        timer: undefined,
        sorting: new Set(),
      };
      this.#watched.set(communityId, watched);
    }
    let watching = watched.sockets.get(socketId);
    if (watching === undefined) {
      watching = { query: null, isListed: false, hasSelf: false, settle: undefined };
      watched.sockets.set(socketId, watching);
    }
    return watching;
  }

  /**
   * What the socket watches from now on. Resolves with how that is, when the community is known;
   * undefined where the socket went before. Call `engine.join` after it where the socket is not in the
   * community yet.
   */
  watch(
    socketId: string,
    communityId: string,
    query: WatchQuery,
  ): Promise<WatchedState | undefined> {
    const watching = this.mute(socketId, communityId);
    watching.query = query;
    watching.isListed = false;
    watching.settle?.(undefined);
    return new Promise((resolve) => {
      watching.settle = resolve;
      if (this.#host.engine.community(communityId)?.sockets.has(socketId) === true) {
        this.onList(communityId, [socketId]);
      }
    });
  }

  /** The socket gets lists and events again, from the next list on. */
  unwatch(socketId: string, communityId: string): void {
    const watched = this.#watched.get(communityId);
    watched?.sockets.get(socketId)?.settle?.(undefined);
    if (watched?.sockets.delete(socketId) !== true) return;
    watched.selves.delete(socketId);
    watched.sorting.delete(socketId);
    watched.community?.unwatch(socketId);
    if (watched.community?.isWatched === false) watched.community = undefined;
    if (watched.sockets.size > 0) return;
    clearTimeout(watched.timer);
    this.#watched.delete(communityId);
  }

  /** The socket cannot keep up: it gets nothing before its next list. */
  suspend(socketId: string): void {
    for (const { sockets, community, sorting } of this.#watched.values()) {
      const watching = sockets.get(socketId);
      if (watching === undefined) continue;
      watching.isListed = false;
      sorting.delete(socketId);
      community?.unwatch(socketId);
    }
  }

  onEvent(event: PresenceEvent, audience: Audience): void {
    const watched = this.#watched.get(event.communityId);
    if (watched === undefined) return;
    const { communityId, userId } = event;
    if (audience === 'own' || audience === 'others') {
      for (const socketId of this.#host.engine.socketsOf(userId, communityId)) {
        if (watched.sockets.get(socketId)?.isListed === true) watched.selves.add(socketId);
      }
    }
    if (audience !== 'own') watched.community?.apply(event);
    this.#schedule(communityId, watched);
  }

  /** These sockets are to have the list; those of them that watch get what they watch. */
  onList(communityId: string, socketIds: readonly string[]): void {
    const watched = this.#watched.get(communityId);
    if (watched === undefined) return;
    const { engine, nameOf, send } = this.#host;
    const watchers = socketIds.filter((id) => watched.sockets.get(id)?.query !== null);
    if (watchers.length === 0) return;
    const users = engine.onlineUsers(communityId);
    watched.community?.sync(users);
    for (const socketId of watchers) {
      const watching = watched.sockets.get(socketId);
      if (watching === undefined || watching.query === null) continue;
      if (watching.isListed) {
        if (watching.hasSelf || this.#own(communityId, socketId) !== null) {
          watched.selves.add(socketId);
        }
        continue;
      }
      watched.community ??= new WatchedCommunity(users, nameOf);
      const { sorting, community } = watched;
      const mustWait = sorting.size > 0 && watching.query.window !== undefined;
      if (mustWait || !community.prepare(watching.query)) {
        if (sorting.add(socketId).size === 1) setImmediate(() => this.#sort(communityId));
        continue;
      }
      // All others must stand where the newcomer begins.
      this.#flush(communityId, watched);
      watching.isListed = true;
      const own = this.#own(communityId, socketId);
      watching.hasSelf = own !== null;
      const { complete } = engine.info(communityId);
      watched.wasComplete = complete;
      const { users: shown = [], ...changes } = watched.community.watch(socketId, watching.query);
      const state = {
        communityId,
        complete,
        ...changes,
        users: shown,
        ...(own !== null && { self: own }),
      };
      if (watching.settle === undefined) send([socketId], { ...state, reset: true });
      else watching.settle(state);
      watching.settle = undefined;
    }
    this.#schedule(communityId, watched);
  }

  /** Lists those who wait for what they watch to be sorted, or sorts some more of it. */
  #sort(communityId: string): void {
    const { sorting } = this.#watched.get(communityId) ?? {};
    const waiting = [...(sorting ?? [])];
    sorting?.clear();
    this.onList(communityId, waiting);
  }

  #own(communityId: string, socketId: string): UserPresence | null {
    const userId = this.#host.engine.userOf(socketId);
    return userId === undefined ? null : this.#host.engine.own(communityId, userId);
  }

  #schedule(communityId: string, watched: Watched): void {
    watched.timer ??= setTimeout(() => this.#flush(communityId, watched), this.#host.flushMs);
  }

  #flush(communityId: string, watched: Watched): void {
    clearTimeout(watched.timer);
    watched.timer = undefined;
    const { community, selves } = watched;
    if (community === undefined) return;
    const { send, engine } = this.#host;
    const { complete } = engine.info(communityId);
    const isOther = complete !== watched.wasComplete;
    watched.wasComplete = complete;
    for (const { sockets, changes } of community.flush(isOther)) {
      send([...sockets], { communityId, complete, ...changes });
    }
    for (const socketId of selves) {
      const self = this.#own(communityId, socketId);
      const watching = watched.sockets.get(socketId);
      if (watching !== undefined) watching.hasSelf = self !== null;
      send([socketId], { communityId, complete, total: community.total, self });
    }
    selves.clear();
  }

  /** Nothing tells when a list becomes complete, or is so no more. Who watches it hears of that all the same. */
  sweep(): void {
    for (const [communityId, watched] of this.#watched) {
      if (watched.community === undefined) continue;
      const { complete } = this.#host.engine.info(communityId);
      if (complete !== watched.wasComplete) this.#schedule(communityId, watched);
    }
  }

  close(): void {
    for (const { timer, sockets } of this.#watched.values()) {
      clearTimeout(timer);
      for (const { settle } of sockets.values()) settle?.(undefined);
    }
    this.#watched.clear();
  }
}

/** What a user is called: `info.name` where there is one, without regard to case. */
function nameOf({ info, userId }: UserPresence): string {
  const name = info?.['name'];
  return (typeof name === 'string' ? name : userId).toLowerCase();
}

/** Users are sorted from bare timers, too, where what the application throws would end the process. */
export function sortedBy(
  sortKey: ((user: UserPresence) => string) | undefined,
  onFailed: (error: unknown) => void,
): (user: UserPresence) => string {
  return (user) => {
    try {
      const key: unknown = (sortKey ?? nameOf)(user);
      if (typeof key === 'string') return key;
      onFailed(new TypeError(`sortKey must give a string, not ${typeof key}`));
    } catch (error) {
      onFailed(error);
    }
    return nameOf(user);
  };
}
