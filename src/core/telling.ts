import { ChurnMap, ChurnSet } from './churn.js';
import type { Community, Tracked } from './community.js';
import { foldOwn, foldPublic, isVeiled, saysTheSame, veilOf, type Held } from './roster.js';
import { removeAt } from './small.js';
import type { Audience, Effect, PresenceEvent, UserPresence } from './types.js';

/**
 * Telling this node's own sockets: a flush compares what is held with what was told, and the difference
 * is the events. Snapshot and events for a socket therefore come from one place, in order (rule R8).
 *
 * A flush works in slices, so that ten thousand changes do not stop the event loop.
 */

export interface TellingHost {
  /** True while what remote nodes say of this shard is being found out, not news (priming, healing). */
  isQuiet(shard: number): boolean;
  isComplete(shard: number): boolean;
  /** Whether a user has sockets of this node in the community. */
  isLocal(userId: string, communityId: string): boolean;
  /** Above this many changes at once, or `STORM_SHARE` of the roster, a list replaces the events. Default 50. */
  readonly stormChanges?: number | undefined;
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

export class Telling {
  readonly #host: TellingHost;
  readonly #out: Effect[];
  readonly #work = new ChurnSet<Community>();
  readonly #bulk = new Set<BulkChange>();
  #isPaused = false;
  /** Its lists did not fit into the last slice: the next begins with them. */
  #first: Community | null = null;
  #hasToldList = false;
  /** Users that were to be compared when the flush began and have not been yet. */
  #due = 0;
  /** Communities of which lists are waited for, and perhaps some of which they are not any more. */
  readonly #awaited = new ChurnSet<Community>();
  #versions = 0;
  readonly #online = new ChurnMap<string, Tracked[]>();

  constructor(host: TellingHost, out: Effect[]) {
    this.#host = host;
    this.#out = out;
  }

  /** Users that are online to others, with their records per community. */
  get online(): Pick<ChurnMap<string, readonly Tracked[]>, 'get' | 'has' | 'size'> {
    return this.#online;
  }

  // What is to be told.

  /** What is held of a user of an active community has changed. What is `local` is news, quiet or not. */
  mark(user: Tracked, local: boolean): void {
    const { community } = user;
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

  /** The list of the community goes to this socket with the next flush. */
  await(community: Community, socketId: string): void {
    community.waiting.add(socketId);
    this.#work.add(community);
    this.#awaited.add(community);
  }

  /** A community is folded from now on: what is held already is told by a list, not as a flood of events. */
  start(community: Community): void {
    for (const user of community.users.values()) {
      user.mark = 'heldBack';
      community.heldBack.push(user);
    }
    if (!this.#host.isQuiet(community.shard)) this.#settle(community);
  }

  /** What was found out is known now: what was held back is told, by a list. */
  release(community: Community): void {
    this.#settle(community);
    if (community.servedIncomplete.size > 0 && this.#host.isComplete(community.shard)) {
      for (const socketId of community.servedIncomplete) community.relisting.add(socketId);
    }
    this.#work.add(community);
    this.#awaited.add(community);
  }

  #settle(community: Community): void {
    // Who was told meanwhile is not marked any more and is left out when it is their turn.
    if (community.settling.length === 0) community.settling = community.heldBack;
    else for (const user of community.heldBack) community.settling.push(user);
    community.heldBack = [];
    this.#work.add(community);
    this.#awaited.add(community);
  }

  /** The application is told at once what has changed; nobody else is there. */
  finish(community: Community): void {
    for (const user of [...community.storm, ...community.dirty]) {
      if (user.mark === 'dirty') this.#tell(user, 'server');
    }
  }

  /** A community is not folded any more: it is as if nobody had been told of it. */
  stop(community: Community): void {
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
    this.renew(community);
    this.drop(community);
  }

  /** There is nothing to tell of a community any more. */
  drop(community: Community): void {
    this.#work.delete(community);
    this.#awaited.delete(community);
    if (this.#first === community) this.#first = null;
  }

  /** Steps with each flush until there is no more to do. */
  addBulk(change: BulkChange): void {
    this.#bulk.add(change);
  }

  dropBulk(change: BulkChange): void {
    this.#bulk.delete(change);
  }

  /** While more is due to be dropped than a slice allows, nothing is told before it is gone. */
  pause(isPaused: boolean): void {
    const wasPaused = this.#isPaused;
    this.#isPaused = isPaused;
    // What the flush began with is told together with the rest.
    if (wasPaused && !isPaused) this.open();
  }

  // A flush.

  get hasWork(): boolean {
    return this.#work.size > 0 || this.#bulk.size > 0;
  }

  /** Whether more than single changes is to be told: a list that is waited for, a bulk change. */
  get isAwaited(): boolean {
    if (this.#bulk.size > 0) return true;
    for (const community of this.#awaited) {
      if (community.isAwaited) return true;
      this.#awaited.delete(community);
    }
    return false;
  }

  /**
   * A flush begins: it ends with what has changed by now, so that what follows gathers again. Gives how
   * many users are to be compared.
   */
  open(): number {
    this.#due = 0;
    for (const { dirty, storm, settling } of this.#work) {
      this.#due += dirty.length + storm.length + settling.length;
    }
    return this.#due;
  }

  /** Whether the flush that was opened has more to tell. Sockets that wait for a list prolong it. */
  get isFlushing(): boolean {
    if (this.#bulk.size > 0 || this.#isPaused) return true;
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
    if (this.#isPaused) return;
    const changing =
      this.#bulk.size === 0 ? undefined : new Set(Array.from(this.#bulk, ({ shard }) => shard));
    const first = this.#first;
    this.#first = null;
    for (const community of first === null ? this.#work : new Set([first, ...this.#work])) {
      if (changing?.has(community.shard) === true) continue;
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
      community.startOver();
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
        community.startOver();
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
        else removeAt(records, records.indexOf(user));
      }
    }
    const was = user.told;
    user.told = next;
    if (was === null) community.pages.add(user);
    else if (next === null) community.pages.remove(user);
    else community.pages.change(user);
    this.renew(community);
  }

  /** The list is another than any before. */
  renew(community: Community): void {
    community.version = ++this.#versions;
    community.listed = null;
  }
}

function newestActivity(held: readonly Held[]): number {
  let newest = 0;
  for (const one of held) if (one.entry.lastActiveAt > newest) newest = one.entry.lastActiveAt;
  return newest;
}
