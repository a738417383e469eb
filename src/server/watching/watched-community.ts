import type { OfflineReason, PresenceEvent, UserPresence } from '../../core/index.js';
import { Order } from './order.js';
import type { WatchQuery, WatchSort } from './watch-query.js';

/**
 * A community as its watchers are told of it: what is online, the changes since the last flush, and who
 * watches which part. Sockets that watch the same are a group, whose diff is made once. A change costs
 * by who watches it: the watchers of the whole list, of the windows in which it shows, of the user.
 */

/** Somebody who was watched and is offline now. When and why is not known of everybody. */
export interface GoneUser {
  readonly userId: string;
  readonly lastSeenAt?: number;
  readonly reason?: OfflineReason;
}

/** What watched users are now, and what changed in a flush. */
export interface WatchedChanges {
  /** Distinct users online in the whole community. */
  readonly total: number;
  /** Watched users that are new to the watcher or have changed. */
  readonly users?: readonly UserPresence[];
  readonly gone?: readonly GoneUser[];
  /** The ids in the window, in order, where that has changed. Whoever is not in it has left the window. */
  readonly order?: readonly string[];
}

interface Group {
  readonly key: string;
  readonly query: WatchQuery;
  readonly sockets: Set<string>;
  /** What the window has shown last. */
  order: readonly string[];
}

interface Change {
  readonly before: UserPresence | undefined;
  gone?: GoneUser;
}

export interface GroupDiff {
  readonly sockets: ReadonlySet<string>;
  readonly changes: WatchedChanges;
}

export class WatchedCommunity {
  readonly #users = new Map<string, UserPresence>();
  readonly #nameOf: (user: UserPresence) => string;
  readonly #changes = new Map<string, Change>();
  readonly #groups = new Map<string, Group>();
  readonly #groupOf = new Map<string, Group>();
  /** Groups that watch users by name. */
  readonly #named = new Map<string, Set<Group>>();
  readonly #orders = new Map<WatchSort, Order>();
  /** Users who are not in an order yet, which is therefore not to be shown. */
  readonly #unsorted = new Map<WatchSort, string[]>();
  #total: number;
  #checked: readonly UserPresence[];

  constructor(users: readonly UserPresence[], nameOf: (user: UserPresence) => string) {
    this.#nameOf = nameOf;
    for (const user of users) this.#users.set(user.userId, user);
    this.#total = users.length;
    this.#checked = users;
  }

  get isWatched(): boolean {
    return this.#groupOf.size > 0;
  }

  get total(): number {
    return this.#users.size;
  }

  get hasChanges(): boolean {
    return this.#changes.size > 0;
  }

  /** What everybody is told of one user. */
  apply(event: PresenceEvent): void {
    if (event.type === 'userOffline') {
      const { userId, lastSeenAt, reason } = event;
      this.#set(userId, undefined, { userId, lastSeenAt, reason });
    } else {
      this.#set(event.userId, event.userPresence);
    }
  }

  /** The list as it is, where changes came without events. Unchanged users are the same objects. */
  sync(users: readonly UserPresence[]): void {
    if (users === this.#checked) return;
    this.#checked = users;
    for (const user of users) {
      if (this.#users.get(user.userId) !== user) this.#set(user.userId, user);
    }
    if (this.#users.size === users.length) return;
    const online = new Set(users.map((user) => user.userId));
    for (const userId of this.#users.keys()) if (!online.has(userId)) this.#set(userId, undefined);
  }

  #set(userId: string, next: UserPresence | undefined, gone?: GoneUser): void {
    let change = this.#changes.get(userId);
    if (change === undefined) {
      change = { before: this.#users.get(userId) };
      this.#changes.set(userId, change);
    }
    if (next === undefined) {
      this.#users.delete(userId);
      change.gone = gone ?? { userId };
    } else {
      this.#users.set(userId, next);
    }
  }

  /**
   * Sorts some more of the users for this query. True when it can be watched; while it is false, call
   * it again in another turn of the event loop.
   */
  prepare({ window }: WatchQuery, most = SORTED_AT_ONCE): boolean {
    if (window === undefined) return true;
    const { sort } = window;
    let order = this.#orders.get(sort);
    if (order === undefined) {
      order = new Order();
      this.#orders.set(sort, order);
      this.#unsorted.set(sort, [...this.#users.keys()]);
    }
    const unsorted = this.#unsorted.get(sort);
    if (unsorted === undefined) return true;
    order.update(this.#keysOf(unsorted.splice(-most), sort));
    if (unsorted.length > 0) return false;
    this.#unsorted.delete(sort);
    return true;
  }

  /** Takes a watcher in. Flush first: what is watched here begins where all others stand. */
  watch(socketId: string, query: WatchQuery): WatchedChanges {
    this.unwatch(socketId);
    const key = JSON.stringify([query.window, query.users, query.countOnly]);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { key, query, sockets: new Set(), order: this.#slice(query) };
      this.#groups.set(key, group);
      for (const userId of query.users ?? []) {
        const groups = this.#named.get(userId);
        if (groups === undefined) this.#named.set(userId, new Set([group]));
        else groups.add(group);
      }
    }
    group.sockets.add(socketId);
    this.#groupOf.set(socketId, group);
    const shown = new Set([...group.order, ...(query.users ?? [])]);
    const users = isWhole(query)
      ? [...this.#users.values()]
      : [...shown].map((id) => this.#users.get(id)).filter((user) => user !== undefined);
    return {
      total: this.total,
      ...(query.countOnly !== true && { users }),
      ...(query.window && { order: group.order }),
    };
  }

  unwatch(socketId: string): void {
    const group = this.#groupOf.get(socketId);
    if (group === undefined) return;
    this.#groupOf.delete(socketId);
    group.sockets.delete(socketId);
    if (group.sockets.size > 0) return;
    this.#groups.delete(group.key);
    for (const userId of group.query.users ?? []) {
      const groups = this.#named.get(userId);
      groups?.delete(group);
      if (groups?.size === 0) this.#named.delete(userId);
    }
    const { window } = group.query;
    if (window === undefined) return;
    for (const { query } of this.#groups.values()) if (query.window?.sort === window.sort) return;
    this.#orders.delete(window.sort);
    this.#unsorted.delete(window.sort);
  }

  /** What each group is to be told of the changes since the last flush; with `all`, every group. */
  flush(all: boolean): GroupDiff[] {
    for (const [userId, { before }] of this.#changes) {
      // Who came and went is nobody's news.
      if (this.#users.get(userId) === before) this.#changes.delete(userId);
    }
    for (const [sort, order] of this.#orders) {
      order.update(this.#keysOf(this.#changes.keys(), sort));
    }
    const { total } = this;
    const tellAll = all || total !== this.#total;
    this.#total = total;
    const diffs: GroupDiff[] = [];
    if (this.#changes.size > 0 || tellAll) {
      const named = this.#changedByName();
      for (const group of this.#groups.values()) {
        const changes = { total, ...this.#changesFor(group, named.get(group)) };
        if (tellAll || Object.keys(changes).length > 1) {
          diffs.push({ sockets: group.sockets, changes });
        }
      }
    }
    this.#changes.clear();
    return diffs;
  }

  #changedByName(): Map<Group, string[]> {
    const changed = new Map<Group, string[]>();
    if (this.#named.size === 0) return changed;
    for (const userId of this.#changes.keys()) {
      for (const group of this.#named.get(userId) ?? []) {
        const ids = changed.get(group);
        if (ids === undefined) changed.set(group, [userId]);
        else ids.push(userId);
      }
    }
    return changed;
  }

  #changesFor(group: Group, named: readonly string[] = []): Omit<WatchedChanges, 'total'> {
    const { query } = group;
    const ids = new Set(isWhole(query) ? this.#changes.keys() : named);
    let order: readonly string[] | undefined;
    if (query.window !== undefined) {
      const was = new Set(group.order);
      const now = this.#slice(query);
      if (now.length !== was.size || now.some((id, i) => id !== group.order[i])) order = now;
      group.order = now;
      for (const id of now) if (!was.has(id) || this.#changes.has(id)) ids.add(id);
    }
    const users: UserPresence[] = [];
    const gone: GoneUser[] = [];
    for (const id of ids) {
      const user = this.#users.get(id);
      if (user !== undefined) users.push(user);
      else gone.push(this.#changes.get(id)?.gone ?? { userId: id });
    }
    return {
      ...(users.length > 0 && { users }),
      ...(gone.length > 0 && { gone }),
      ...(order !== undefined && { order }),
    };
  }

  #slice(query: WatchQuery): readonly string[] {
    const { window } = query;
    if (window === undefined) return [];
    this.prepare(query, Infinity);
    return this.#orders.get(window.sort)?.slice(window.offset, window.limit) ?? [];
  }

  *#keysOf(userIds: Iterable<string>, sort: WatchSort): Iterable<[string, string | undefined]> {
    for (const userId of userIds) {
      const user = this.#users.get(userId);
      const rank = user === undefined || sort === 'name' ? '' : RANKS[user.status];
      yield [userId, user && rank + this.#nameOf(user)];
    }
  }
}

/** So many take one to three milliseconds. */
const SORTED_AT_ONCE = 500;

const RANKS = { active: '0', busy: '1', idle: '2' } as const;

function isWhole({ window, users, countOnly }: WatchQuery): boolean {
  return window === undefined && users === undefined && countOnly !== true;
}
