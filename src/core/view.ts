import { assert } from './assert.js';
import { Community, type Tracked } from './community.js';
import { Deadlines, LOOK_AGAIN_MS } from './deadlines.js';
import {
  foldOwn,
  foldPublic,
  isVeiled,
  saysTheSame,
  veilOf,
  type Held,
  type Owner,
} from './roster.js';
import type {
  Audience,
  Effect,
  Entry,
  OfflineReason,
  PresenceEvent,
  UserPresence,
} from './types.js';

/**
 * The told view: per community, what this node has told its own sockets. Whatever a strategy learns
 * changes what is held; a flush compares it with what was told, and the difference is the events.
 * Snapshot and events for a socket therefore come from one place, in order (rule R8).
 *
 * A flush works in slices, so that ten thousand changes do not stop the event loop.
 */

export interface ViewHost {
  /** True while what remote nodes say of this shard is being found out, not news (priming, healing). */
  isQuiet(shard: number): boolean;
  isComplete(shard: number): boolean;
  /** Whether a user has sockets of this node in the community. */
  isLocal(userId: string, communityId: string): boolean;
  /** Fold every community, whether somebody here needs it or not. */
  readonly activateAll: boolean;
  /** Above this many changes at once, or `STORM_SHARE` of the roster, a list replaces the events. Default 50. */
  readonly stormChanges?: number | undefined;
  /** Entries that are dropped in one slice where many are due at once. Default: no bound. */
  readonly sliceEntries?: number | undefined;
  /** Whether this node would know if a device that is expected were somewhere. Default: always. */
  readonly hearsAll?: (shard: number) => boolean;
  /** How long beyond its time a device is expected while that is not so. Default 0. */
  readonly deafLingerMs?: number;
}

const STORM_CHANGES = 50;
const STORM_SHARE = 0.2;

/** Work units of one slice: a fold is 1, an event 4 and 1/4 for each socket. About half a millisecond. */
const SLICE_UNITS = 300;
/** Units of a slice that are left for the rest beside a step of a bulk change. */
const UNITS_BESIDE_BULK = 150;
/** Units to encode one user. */
const ENCODE_UNITS = 1;
/** Bytes of lists handed to sockets in one slice; a longer list has a slice of its own. */
const SLICE_LIST_BYTES = 1024 * 1024;

/**
 * A change of very many entries of a shard, made in slices: a snapshot that comes to count, an owner that
 * is hidden. Nothing of its shard is told before it is whole.
 */
export interface BulkChange {
  readonly shard: number;
  /** Does a slice of the work. True when there is more to do. */
  readonly step: () => boolean;
}

/** A list as JSON: `'[' + parts.join(',') + ']'`. Unchanged parts are the same strings as before. */
export interface EncodedUsers {
  readonly parts: readonly string[];
  /** Never the same for two lists. */
  readonly version: number;
}

const NO_USERS: readonly UserPresence[] = Object.freeze([]);

export class View {
  readonly #host: ViewHost;
  readonly #out: Effect[];
  readonly #communities = new Map<string, Community>();
  readonly #byShard = new Map<number, Set<Community>>();
  readonly #work = new Set<Community>();
  readonly #bulk = new Set<BulkChange>();
  readonly #expiring = new Deadlines<Held>();
  /** More is due to be dropped than a slice allows: nothing is told before it is gone. */
  #isExpiring = false;
  /** Its lists did not fit into the last slice: the next begins with them. */
  #first: Community | null = null;
  #hasToldList = false;
  /** Users that were to be compared when the flush began and have not been yet. */
  #due = 0;
  #versions = 0;
  /** Users that are online to others, with their records per community. */
  readonly #online = new Map<string, Tracked[]>();
  entries = 0;

  constructor(host: ViewHost, out: Effect[]) {
    this.#host = host;
    this.#out = out;
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

  /** Steps with each flush until there is no more to do. */
  addBulk(change: BulkChange): void {
    this.#bulk.add(change);
  }

  dropBulk(change: BulkChange): void {
    this.#bulk.delete(change);
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
    user.held.splice(at, 1);
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
        user.held.splice(expected, 1);
        this.entries--;
      }
    }
    this.#mark(user, local);
  }

  #hold(owner: Owner, entry: Entry, shard: number): Held {
    const user = this.#open(entry.communityId, shard).track(entry.userId);
    const held: Held = { entry, owner, user, until: 0, untilReason: 'disconnected' };
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
    user.held.splice(at, 1);
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
    held.until = until;
    held.untilReason = reason;
    this.#expiring.push(until, held);
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
      const { community } = held.user as Tracked;
      if (community.shard !== shard) {
        shard = community.shard;
        isDeaf = hearsAll?.(shard) === false;
      }
      if (isDeaf && now < held.until + deafLingerMs && held.user.held.includes(held)) {
        // It may be elsewhere by now, where nothing is heard from. Unknown is not offline.
        this.#expiring.push(now + LOOK_AGAIN_MS, held);
      } else {
        this.drop(held, held.untilReason, held.entry.lastActiveAt, false);
      }
    }
    const wasExpiring = this.#isExpiring;
    this.#isExpiring = this.#expiring.next() <= now;
    // What the flush began with is told together with the rest.
    if (wasExpiring && !this.#isExpiring) this.open();
  }

  nextExpiry(): number {
    return this.#expiring.next();
  }

  get expiring(): number {
    return this.#expiring.size;
  }

  #mark(user: Tracked, local: boolean): void {
    const community = user.community;
    if (!community.active) {
      if (user.held.length === 0 && user.told === null) this.#forget(user);
      return;
    }
    if (user.mark === 'dirty') return;
    if (!local && this.#host.isQuiet(community.shard)) {
      if (user.mark === 'clean') {
        user.mark = 'heldBack';
        community.heldBack.push(user);
      }
      return;
    }
    user.mark = 'dirty';
    community.dirty.push(user);
    this.#work.add(community);
  }

  #forget(user: Tracked): void {
    user.community.erase(user);
    if (user.community.users.size === 0 && !user.community.active) this.#close(user.community);
  }

  // Communities and their sockets.

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
      community.version = ++this.#versions;
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
    this.#work.delete(community);
    if (this.#first === community) this.#first = null;
  }

  /** Starts to fold a community: what is held of it already is told without a flood of events. */
  activate(communityId: string, shard: number): Community {
    const community = this.#open(communityId, shard);
    if (!community.active) {
      community.active = true;
      for (const user of community.users.values()) {
        user.mark = 'heldBack';
        community.heldBack.push(user);
      }
      if (!this.#host.isQuiet(shard)) this.#settle(community);
    }
    return community;
  }

  #settle(community: Community): void {
    // Who was told meanwhile is not marked any more and is left out when it is their turn.
    if (community.settling.length === 0) community.settling = community.heldBack;
    else for (const user of community.heldBack) community.settling.push(user);
    community.heldBack = [];
    this.#work.add(community);
  }

  /** Stops folding a community that nobody here needs; what is held stays until its shard goes. */
  deactivate(community: Community): void {
    community.active = false;
    community.dirty = [];
    community.heldBack = [];
    community.settling = [];
    community.storm = [];
    community.toldSilently = false;
    for (const user of community.users.values()) {
      user.mark = 'clean';
      if (user.told !== null) this.#setTold(user, null);
      user.toldOwn = null;
      if (user.held.length === 0) community.users.delete(user.userId);
    }
    this.#changed(community);
    this.#work.delete(community);
    if (this.#first === community) this.#first = null;
    if (community.users.size === 0) this.#close(community);
  }

  /** The list of the community goes to this socket with the next flush. */
  await(community: Community, socketId: string): void {
    community.waiting.add(socketId);
    this.#work.add(community);
  }

  /** What was found out is known now: tell what was held back, as lists. */
  release(shard: number): void {
    for (const community of this.#byShard.get(shard) ?? []) {
      this.#settle(community);
      if (community.servedIncomplete.size > 0 && this.#host.isComplete(shard)) {
        for (const socketId of community.servedIncomplete) community.relisting.add(socketId);
      }
      this.#work.add(community);
    }
  }

  // Telling.

  get hasWork(): boolean {
    return this.#work.size > 0 || this.#bulk.size > 0;
  }

  /** A flush begins: it ends with what has changed by now, so that what follows gathers again. */
  open(): void {
    this.#due = 0;
    for (const { dirty, storm, settling } of this.#work) {
      this.#due += dirty.length + storm.length + settling.length;
    }
  }

  /** Whether the flush that was opened has more to tell. Sockets that wait for a list prolong it. */
  get isFlushing(): boolean {
    if (this.#bulk.size > 0 || this.#isExpiring) return true;
    if (this.#due > 0 && this.#work.size > 0) return true;
    for (const { relisting, waiting } of this.#work) {
      if (relisting.size + waiting.size > 0) return true;
    }
    return false;
  }

  /** Whether the last slice told a list, or the next one begins with one. */
  get hasListInHand(): boolean {
    return this.#hasToldList || this.#first !== null;
  }

  /** Tells one slice of what has changed; `hasWork` says whether there is more. */
  flush(): void {
    let units = SLICE_UNITS;
    let bytes = SLICE_LIST_BYTES;
    this.#hasToldList = false;
    for (const change of this.#bulk) {
      if (!change.step()) this.#bulk.delete(change);
      units = UNITS_BESIDE_BULK;
      break;
    }
    if (this.#isExpiring) return;
    const changing = new Set<number>();
    for (const { shard } of this.#bulk) changing.add(shard);
    const first = this.#first;
    this.#first = null;
    for (const community of first === null ? this.#work : new Set([first, ...this.#work])) {
      if (changing.has(community.shard)) continue;
      units = this.#tellChanges(community, units);
      if (units > 0 && community.hasListsToTell) {
        units -= ENCODE_UNITS * community.pages.encode(units);
      }
      if (community.hasListsToTell) {
        const fits = community.pages.length <= (bytes * units) / SLICE_UNITS;
        const isOwnSlice = bytes === SLICE_LIST_BYTES && units > SLICE_UNITS / 2;
        if (units <= 0 || (!fits && !isOwnSlice && community !== first)) {
          this.#first = community;
          return;
        }
        bytes = this.#tellLists(community, bytes);
      }
      const idle = community.isIdle;
      if (idle) this.#work.delete(community);
      if (units > 0 && bytes > 0) continue;
      if (!idle) {
        // The next slice begins with the others: one busy community must not keep them waiting.
        this.#work.delete(community);
        this.#work.add(community);
      }
      return;
    }
  }

  #tellChanges(community: Community, budget: number): number {
    let units = budget;
    const { settling, sockets, relisting } = community;
    if (settling.length > 0) {
      while (settling.length > 0) {
        if (units <= 0) return units;
        const user = settling.pop() as Tracked;
        this.#due--;
        if (user.mark !== 'heldBack') continue;
        units -= 2;
        this.#tell(user, null);
      }
      for (const socketId of sockets) relisting.add(socketId);
      community.toldSilently = true;
      // What is known goes into those lists, too, or they would miss it and say that they are complete.
      community.storm = community.storm.concat(community.dirty);
      community.dirty = [];
    }
    if (relisting.size === 0) community.toldSilently = false;
    if (community.storm.length === 0) {
      // Sockets that must start over from a list have no base for events.
      if (community.toldSilently || community.dirty.length === 0) return units;
      const many = Math.max(
        this.#host.stormChanges ?? STORM_CHANGES,
        community.online * STORM_SHARE,
      );
      if (community.dirty.length > many) {
        community.storm = community.dirty;
        community.dirty = [];
      }
    }
    if (community.storm.length > 0) {
      const storm = community.storm;
      while (storm.length > 0) {
        if (units <= 0) return units;
        const user = storm.pop() as Tracked;
        this.#due--;
        if (user.mark !== 'dirty') continue;
        units -= 2;
        this.#tell(user, 'server');
      }
      for (const socketId of sockets) relisting.add(socketId);
      community.toldSilently = true;
      return units;
    }
    const cost = 4 + sockets.size / 4;
    const dirty = community.dirty;
    let done = 0;
    while (done < dirty.length && units > 0) {
      const user = dirty[done++] as Tracked;
      if (user.mark !== 'dirty') continue;
      units -= this.#tell(user, 'all') ? cost : 1;
    }
    community.dirty = done === dirty.length ? [] : dirty.slice(done);
    this.#due -= done;
    return units;
  }

  #tellLists(community: Community, budget: number): number {
    let bytes = budget;
    const { relisting, waiting } = community;
    const complete = this.#host.isComplete(community.shard);
    const size = community.pages.length;
    const to: string[] = [];
    // A list must hold what is known, the newcomer itself above all: it waits for what is not told yet,
    // unless that waits for the lists.
    const queues =
      community.dirty.length === 0
        ? [relisting, waiting]
        : community.toldSilently
          ? [relisting]
          : [];
    for (const queue of queues) {
      for (const socketId of queue) {
        if (bytes <= 0) break;
        bytes -= size;
        queue.delete(socketId);
        to.push(socketId);
        community.sockets.add(socketId);
        if (complete) community.servedIncomplete.delete(socketId);
        else community.servedIncomplete.add(socketId);
      }
    }
    if (to.length > 0) {
      this.#hasToldList = true;
      this.#out.push({ kind: 'list', communityId: community.id, to });
    }
    return bytes;
  }

  /** Compares one user with what was told. True when an event went out. */
  #tell(user: Tracked, audience: Audience | null): boolean {
    user.mark = 'clean';
    const was = user.told;
    const wasOwn = user.toldOwn;
    let next = foldPublic(user);
    if (next !== null && was !== null && saysTheSame(was, next)) next = was;
    let nextOwn = next;
    if (next === null && user.held.length > 0 && isVeiled(veilOf(user.held))) {
      user.reason = 'left';
      user.seenAt = newestActivity(user.held);
      if (this.#host.isLocal(user.userId, user.communityId)) {
        nextOwn = foldOwn(user);
        if (nextOwn !== null && wasOwn !== null && saysTheSame(wasOwn, nextOwn)) nextOwn = wasOwn;
      }
    }
    if (next !== was) this.#setTold(user, next);
    user.toldOwn = nextOwn;
    if (user.held.length === 0 && next === null) user.community.erase(user);
    if (next === was && nextOwn === wasOwn) return false;
    if (audience === null) return true;
    if (was === wasOwn && next === nextOwn) {
      this.#emit(user, was, next, audience);
    } else {
      this.#emit(user, was, next, audience === 'all' ? 'others' : audience);
      if (audience === 'all') this.#emit(user, wasOwn, nextOwn, 'own');
    }
    return true;
  }

  #emit(
    user: Tracked,
    was: UserPresence | null,
    next: UserPresence | null,
    audience: Audience,
  ): void {
    if (was === next) return;
    const { communityId, userId } = user;
    let event: PresenceEvent;
    if (next === null) {
      const { reason, seenAt: lastSeenAt } = user;
      event = { type: 'userOffline', communityId, userId, lastSeenAt, reason };
    } else {
      const type = was === null ? 'userOnline' : 'userUpdated';
      event = { type, communityId, userId, userPresence: next };
    }
    this.#out.push({ kind: 'event', event, audience });
  }

  #setTold(user: Tracked, next: UserPresence | null): void {
    const community = user.community;
    if (user.told === null && next !== null) {
      community.online++;
      const records = this.#online.get(user.userId);
      if (records === undefined) this.#online.set(user.userId, [user]);
      else records.push(user);
    } else if (user.told !== null && next === null) {
      community.online--;
      const records = this.#online.get(user.userId);
      if (records !== undefined) {
        if (records.length <= 1) this.#online.delete(user.userId);
        else records.splice(records.indexOf(user), 1);
      }
    }
    const was = user.told;
    user.told = next;
    if (was === null) community.pages.add(user);
    else if (next === null) community.pages.remove(user);
    else community.pages.change(user);
    this.#changed(community);
  }

  #changed(community: Community): void {
    community.version = ++this.#versions;
    community.listed = null;
  }

  // Reading: what was told, so that reads, lists and events agree.

  isOnline(userId: string): boolean {
    return this.#online.has(userId);
  }

  user(userId: string): readonly UserPresence[] {
    const records = this.#online.get(userId);
    return records === undefined ? NO_USERS : records.map((user) => user.told as UserPresence);
  }

  get usersOnline(): number {
    return this.#online.size;
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

function newestActivity(held: readonly Held[]): number {
  let newest = 0;
  for (const one of held) if (one.entry.lastActiveAt > newest) newest = one.entry.lastActiveAt;
  return newest;
}
