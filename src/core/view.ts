import { assert } from './assert.js';
import { ChurnMap } from './churn.js';
import { Community, type Tracked } from './community.js';
import { Deadlines, LOOK_AGAIN_MS } from './deadlines.js';
import type { Held, Owner } from './roster.js';
import { removeAt } from './small.js';
import { Telling, type TellingHost } from './telling.js';
import type { Effect, Entry, OfflineReason, UserPresence } from './types.js';

/**
 * The told view: per community, what is held, and what this node has told its own sockets of it.
 * Whatever a strategy learns changes what is held here; `telling` finds the difference to what was told.
 */

export interface ViewHost extends TellingHost {
  /** Fold every community, whether somebody here needs it or not. */
  readonly activateAll: boolean;
  /** Entries that are dropped in one slice where many are due at once. Default: no bound. */
  readonly sliceEntries?: number | undefined;
  /** Whether this node would know if a device that is expected were somewhere. Default: always. */
  readonly hearsAll?: (shard: number) => boolean;
  /** How long beyond its time a device is expected while that is not so. Default 0. */
  readonly deafLingerMs?: number;
}

/** A list as JSON: `'[' + parts.join(',') + ']'`. Unchanged parts are the same strings as before. */
export interface EncodedUsers {
  readonly parts: readonly string[];
  /** Never the same for two lists. */
  readonly version: number;
}

const NO_USERS: readonly UserPresence[] = Object.freeze([]);

export class View {
  readonly telling: Telling;
  readonly #host: ViewHost;
  readonly #communities = new ChurnMap<string, Community>();
  readonly #byShard = new Map<number, Set<Community>>();
  readonly #expiring = new Deadlines<Held>();
  entries = 0;

  constructor(host: ViewHost, out: Effect[]) {
    this.#host = host;
    this.telling = new Telling(host, out);
  }

  // What is held.

  /** Takes an entry of an owner into the view. */
  add(owner: Owner, entry: Entry, shard: number, local: boolean): Held {
    const held = this.#hold(owner, entry, shard);
    this.#arrive(held, local);
    return held;
  }

  /** Takes in an entry that does not count yet: the work of `reveal`, done ahead, piece by piece. */
  stage(staging: Owner, entry: Entry, shard: number): Held {
    assert(staging.hidden, 'what is staged is hidden');
    return this.#hold(staging, entry, shard);
  }

  /** What was staged counts from now on, as its owner's. */
  reveal(held: Held, owner: Owner): void {
    held.owner = owner;
    this.#arrive(held, false);
  }

  /** What was staged is not to come after all. */
  unstage(held: Held): void {
    const user = held.user as Tracked;
    const at = user.held.indexOf(held);
    if (at === -1) return;
    removeAt(user.held, at);
    this.entries--;
    if (user.held.length === 0) this.#mark(user, false);
  }

  #arrive(held: Held, local: boolean): void {
    const user = held.user as Tracked;
    if (user.held.length > 1) {
      // The device that was expected elsewhere is here.
      const { deviceId } = held.entry;
      const expected = user.held.findIndex(
        (other) => other !== held && other.until !== 0 && other.entry.deviceId === deviceId,
      );
      if (expected !== -1) {
        removeAt(user.held, expected);
        this.entries--;
      }
    }
    this.#mark(user, local);
  }

  #hold(owner: Owner, entry: Entry, shard: number): Held {
    const user = this.#open(entry.communityId, shard).track(entry.userId);
    const held: Held = { entry, owner, user, until: 0, untilReason: 'disconnected', seenAt: 0 };
    // Most users have one device: an array that is pushed to has room for many.
    if (user.held.length === 0) user.held = [held];
    else user.held.push(held);
    this.entries++;
    return held;
  }

  replace(held: Held, entry: Entry, local: boolean): void {
    held.entry = entry;
    this.#mark(held.user as Tracked, local);
  }

  drop(held: Held, reason: OfflineReason, seenAt: number, local: boolean): void {
    const user = held.user as Tracked;
    const at = user.held.indexOf(held);
    if (at === -1) return;
    removeAt(user.held, at);
    this.entries--;
    user.reason = reason;
    user.seenAt = seenAt;
    this.#mark(user, local);
  }

  /** Keeps what its owner let go of until the device shows up elsewhere, at most until `until`. */
  expect(held: Held, until: number, reason: OfflineReason, seenAt: number): void {
    const user = held.user as Tracked;
    const deviceId = held.entry.deviceId;
    const elsewhere = user.held.some(
      (other) =>
        other !== held &&
        !other.owner.hidden &&
        other.until === 0 &&
        !other.owner.down &&
        other.entry.deviceId === deviceId,
    );
    if (elsewhere) {
      this.drop(held, reason, seenAt, false);
      return;
    }
    const isExpected = held.until !== 0;
    held.until = until;
    held.untilReason = reason;
    held.seenAt = seenAt;
    if (!isExpected) this.#expiring.push(until, held);
  }

  /** Says that an owner's visibility changed for this entry. */
  touch(held: Held, reason: OfflineReason, seenAt: number): void {
    const user = held.user as Tracked;
    // It may have been dropped since the owner's entries were gathered.
    if (!user.held.includes(held)) return;
    user.reason = reason;
    user.seenAt = seenAt;
    this.#mark(user, false);
  }

  /** Drops what was expected elsewhere and did not come: one slice of it, `nextExpiry` says if there is more. */
  expire(now: number): void {
    const { sliceEntries = Infinity, hearsAll, deafLingerMs = 0 } = this.#host;
    let shard = -1;
    let isDeaf = false;
    for (let i = 0; i < sliceEntries; i++) {
      const held = this.#expiring.pop(now);
      if (held === undefined) break;
      if (held.until > now) {
        // By now it is expected for longer.
        this.#expiring.push(held.until, held);
        continue;
      }
      const { community } = held.user as Tracked;
      if (community.shard !== shard) {
        shard = community.shard;
        isDeaf = hearsAll?.(shard) === false;
      }
      if (isDeaf && now < held.until + deafLingerMs && held.user.held.includes(held)) {
        // It may be elsewhere by now, where nothing is heard from. Unknown is not offline.
        this.#expiring.push(now + LOOK_AGAIN_MS, held);
      } else {
        this.drop(held, held.untilReason, held.seenAt, false);
      }
    }
    this.telling.pause(this.#expiring.next() <= now);
  }

  nextExpiry(): number {
    return this.#expiring.next();
  }

  get expiring(): number {
    return this.#expiring.size;
  }

  #mark(user: Tracked, local: boolean): void {
    const { community } = user;
    if (community.active) {
      this.telling.mark(user, local);
    } else if (user.held.length === 0 && user.told === null) {
      community.erase(user);
      if (community.users.size === 0) this.#close(community);
    }
  }

  // Communities.

  get(communityId: string): Community | undefined {
    return this.#communities.get(communityId);
  }

  get communities(): Iterable<Community> {
    return this.#communities.values();
  }

  #open(communityId: string, shard: number): Community {
    let community = this.#communities.get(communityId);
    if (community === undefined) {
      community = new Community(communityId, shard);
      this.telling.renew(community);
      this.#communities.set(communityId, community);
      let shared = this.#byShard.get(shard);
      if (shared === undefined) this.#byShard.set(shard, (shared = new Set()));
      shared.add(community);
      community.active = this.#host.activateAll;
    }
    return community;
  }

  #close(community: Community): void {
    assert(this.#communities.get(community.id) === community, 'a community is closed once');
    this.#communities.delete(community.id);
    const shared = this.#byShard.get(community.shard);
    shared?.delete(community);
    if (shared?.size === 0) this.#byShard.delete(community.shard);
    this.telling.drop(community);
  }

  /** Starts to fold a community: what is held of it already is told without a flood of events. */
  activate(communityId: string, shard: number): Community {
    const community = this.#open(communityId, shard);
    if (!community.active) {
      community.active = true;
      this.telling.start(community);
    }
    return community;
  }

  /** Stops folding a community that nobody here needs; what is held stays until its shard goes. */
  deactivate(community: Community): void {
    this.telling.finish(community);
    community.active = false;
    this.telling.stop(community);
    if (community.users.size === 0) this.#close(community);
  }

  /** What was found out of a shard is known now: what was held back is told, as lists. */
  release(shard: number): void {
    for (const community of this.#byShard.get(shard) ?? []) this.telling.release(community);
  }

  // Reading: what was told, so that reads, lists and events agree.

  isOnline(userId: string): boolean {
    return this.telling.online.has(userId);
  }

  user(userId: string): readonly UserPresence[] {
    const records = this.telling.online.get(userId);
    return records === undefined ? NO_USERS : records.map((user) => user.told as UserPresence);
  }

  get usersOnline(): number {
    return this.telling.online.size;
  }

  list(communityId: string): readonly UserPresence[] {
    const community = this.#communities.get(communityId);
    if (community === undefined) return NO_USERS;
    if (community.listed === null) {
      const users: UserPresence[] = [];
      for (const user of community.users.values()) if (user.told !== null) users.push(user.told);
      community.listed = Object.freeze(users);
    }
    return community.listed;
  }

  /** Who is online with sockets of this node: in one community, or in all. */
  localUsers(communityId: string | undefined): UserPresence[] {
    const one = communityId === undefined ? undefined : this.#communities.get(communityId);
    const communities =
      communityId === undefined ? this.#communities.values() : one === undefined ? [] : [one];
    const users: UserPresence[] = [];
    for (const community of communities) {
      for (const user of community.users.values()) {
        if (user.told !== null && this.#host.isLocal(user.userId, community.id)) {
          users.push(user.told);
        }
      }
    }
    return users;
  }

  /** The list as JSON; only what changed since the last time is encoded anew. */
  encoded(communityId: string): EncodedUsers {
    const community = this.#communities.get(communityId);
    if (community === undefined) return { parts: [], version: 0 };
    return { parts: community.pages.parts(), version: community.version };
  }

  /** What the user's own sockets see of the user, where it differs from what everybody sees. */
  own(communityId: string, userId: string): UserPresence | null {
    const user = this.#communities.get(communityId)?.users.get(userId);
    return user === undefined || user.toldOwn === user.told ? null : user.toldOwn;
  }
}
