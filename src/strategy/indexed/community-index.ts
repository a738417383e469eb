import type { Entry, EvictionTarget, Instant, RemoveReason } from '../../core/index.js';
import {
  decodeEntries,
  decodeOps,
  encodeEntry,
  encodeOp,
  entryKey,
  type Op,
} from '../../core/entry.js';
import { isVeiled, Owner, type Held } from '../../core/roster.js';
import type { View } from '../../core/view.js';
import type { Told } from '../telling-node.js';
import {
  NOTHING_KNOWN,
  type Contents,
  type IndexChange,
  type Known,
  type Publication,
} from './commands.js';

export interface CommunityIndexHost {
  readonly nodeId: string;
  readonly view: View;
  readonly lingerMs: number;
  /** How long what a healed store does not have is still believed. */
  readonly graceMs: number;
  readonly onEntry: (entry: Entry, owner: Owner) => void;
  readonly onGone: (entry: Entry, reason: RemoveReason) => void;
}

/** Publications that wait for the contents that they follow. */
const BUFFER = 1000;

/**
 * One community as the store has it: at which version this node knows it, the others' entries, and
 * what of this node's own has not been written yet. Versions apply contiguously; a gap is read anew.
 */
export class CommunityIndex {
  readonly id: string;
  readonly #host: CommunityIndexHost;
  /** The community's place in the view; null while only the last writes are waited for. */
  told: Told | null;
  epoch = '';
  version = -1;
  #mark = '';
  /** The contents are known and publications apply. */
  isLive = false;
  isReading = false;
  isWriting = false;
  /** This node has its lease here. */
  isClaimed = false;
  /** The store is away. What changes meanwhile is not queued: it is found and written when it is back. */
  isAway = false;
  /** The contents are read after the store was away: what is missing may only be late. */
  isHealing = false;
  /** The store said that it has this version; since when it is not here, or null. */
  announced = 0;
  behindSince: number | null = null;
  /** Not before may dead nodes be swept: the living need time to renew. */
  sweepFrom = Infinity;
  /** This node's entries as they are. */
  readonly mine = new Map<string, Entry>();
  readonly #pending = new Map<string, Whole>();
  readonly #held = new Map<string, Held>();
  readonly #owners = new Map<string, Owner>();
  /** What the store has of nodes that died before this one looked. */
  readonly #orphans = new Map<string, Entry[]>();
  #buffer: Publication[] = [];

  constructor(told: Told, host: CommunityIndexHost) {
    this.id = told.id;
    this.told = told;
    this.#host = host;
  }

  /** What the store is known to have had, at the least. */
  get known(): Known {
    if (!this.isLive) return NOTHING_KNOWN;
    return { epoch: this.epoch, version: this.version, mark: this.#mark };
  }

  // What this node writes.

  put(entry: Entry): void {
    const key = entry.key;
    this.mine.set(key, entry);
    if (!this.isAway) this.#pending.set(key, { op: 'put', entry });
  }

  remove(entry: Entry, reason: RemoveReason, at: number): void {
    const key = entry.key;
    this.mine.delete(key);
    if (this.isAway) return;
    const { communityId, userId, deviceId } = entry;
    this.#pending.set(key, { op: 'remove', communityId, userId, deviceId, reason, at });
  }

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Everything of this node is to be written again, beside what has gone and waits to be written. */
  reassert(): void {
    this.isClaimed = false;
    for (const [key, entry] of this.mine) this.#pending.set(key, { op: 'put', entry });
  }

  /** The store is away, and whether it has taken in what was written last is not known. */
  lose(): void {
    this.halt();
    this.#pending.clear();
    this.isWriting = false;
    this.isAway = true;
    this.isHealing = true;
  }

  /** The store is back, and its contents are to be read: what has gone meanwhile is found there. */
  startOver(): void {
    this.isAway = false;
    this.#pending.clear();
    this.reassert();
  }

  /** Takes up to so many changes to be written. */
  takePending(most: number): IndexChange[] {
    const changes: IndexChange[] = [];
    for (const [key, op] of this.#pending) {
      if (changes.length >= most) break;
      this.#pending.delete(key);
      changes.push(changeOf(op));
    }
    return changes;
  }

  // What the others write.

  /** True when the contents must be read (again). */
  onPublication(publication: Publication, t: Instant): boolean {
    if (!this.isLive) {
      if (this.isReading && this.#buffer.length < BUFFER) this.#buffer.push(publication);
      return false;
    }
    // Another history than this one, or somebody else's: what is read then shows which.
    if (publication.epoch !== this.epoch) return true;
    return !this.#apply(publication, t);
  }

  #apply({ version, author, previous, mark, changes }: Publication, t: Instant): boolean {
    const last = version + changes.length - 1;
    if (version > this.version + 1) return false;
    // It came while the contents were read, which hold it.
    if (last <= this.version) return true;
    if (version <= this.version || previous !== this.#mark) {
      // It does not follow what is known here: the store has lost that.
      this.isHealing = true;
      return false;
    }
    for (const { nodeId, op } of changes) {
      const [change] = decodeOps(`[${op}]`) ?? [];
      if (change === undefined) continue;
      if (nodeId !== this.#host.nodeId) this.#change(nodeId, change, t);
      else if (author !== this.#host.nodeId) this.#contradict(change);
    }
    this.version = last;
    this.#mark = mark;
    return true;
  }

  /** Somebody took this node for dead. */
  #contradict(op: Op): void {
    if (op.op !== 'remove') return;
    if (this.mine.has(entryKey(op.communityId, op.userId, op.deviceId))) this.reassert();
  }

  #change(nodeId: string, op: Op, t: Instant): void {
    const { view, lingerMs, onGone } = this.#host;
    if (op.op === 'patch') return;
    if (op.op === 'put') {
      this.#put(nodeId, op.entry);
      return;
    }
    const field = fieldOf(nodeId, op.userId, op.deviceId);
    const held = this.#held.get(field);
    if (held === undefined) return;
    this.#held.delete(field);
    if (op.reason === 'moved') view.expect(held, t.now + lingerMs, 'disconnected', op.at);
    else view.drop(held, op.reason, op.at, false);
    onGone(held.entry, op.reason);
  }

  #put(nodeId: string, entry: Entry): void {
    if (entry.communityId !== this.id || this.told === null) return;
    const { view, onEntry } = this.#host;
    const owner = this.#owner(nodeId);
    const field = fieldOf(nodeId, entry.userId, entry.deviceId);
    const held = this.#held.get(field);
    if (held === undefined) this.#held.set(field, view.add(owner, entry, this.told.index, false));
    else if (held.entry.rev === entry.rev) return;
    else view.replace(held, entry, false);
    onEntry(entry, owner);
  }

  #owner(nodeId: string): Owner {
    let owner = this.#owners.get(nodeId);
    if (owner === undefined) this.#owners.set(nodeId, (owner = new Owner(nodeId)));
    return owner;
  }

  /** Takes over what was read. False where publications since then are missing. */
  onContents({ epoch, version, mark, entries, orphans }: Contents, t: Instant): boolean {
    const { view, nodeId: self, graceMs, onGone } = this.#host;
    if (this.epoch !== '' && this.epoch !== epoch) {
      this.isHealing = true;
      this.sweepFrom = Infinity;
      // Not over: who went since a write was asked for that has not been done by then is not found in here.
      this.reassert();
    }
    const own = new Set<string>();
    this.#orphans.clear();
    for (const { nodeId, entry: text } of orphans) {
      const [entry] = decodeEntries(`[${text}]`) ?? [];
      if (entry === undefined) continue;
      if (nodeId === self) {
        // This node's lease has ended there, which the next write claims again, with all that it is of.
        this.#findOwn(entry, own, t);
        continue;
      }
      const found = this.#orphans.get(nodeId) ?? [];
      this.#orphans.set(nodeId, found);
      found.push(entry);
    }
    const present = new Set<string>();
    for (const { nodeId, entry: text } of entries) {
      const [entry] = decodeEntries(`[${text}]`) ?? [];
      if (entry === undefined || entry.communityId !== this.id) continue;
      if (nodeId === self) {
        this.#findOwn(entry, own, t);
        continue;
      }
      present.add(fieldOf(nodeId, entry.userId, entry.deviceId));
      this.#put(nodeId, entry);
    }
    for (const [key, entry] of this.mine) {
      if (!own.has(key) && !this.#pending.has(key)) this.put(entry);
    }
    for (const [field, held] of this.#held) {
      if (present.has(field)) continue;
      this.#held.delete(field);
      if (this.isHealing) view.expect(held, t.now + graceMs, 'disconnected', t.wall);
      else view.drop(held, 'disconnected', t.wall, false);
      onGone(held.entry, 'disconnected');
    }
    this.epoch = epoch;
    this.version = version;
    this.#mark = mark;
    this.isLive = true;
    this.isReading = false;
    this.isHealing = false;
    this.behindSince = null;
    const buffer = this.#buffer;
    this.#buffer = [];
    return buffer.every((each) => each.epoch !== epoch || this.#apply(each, t));
  }

  /** The store has an entry of this node: notes it in `own` where it is there as it should be. */
  #findOwn(entry: Entry, own: Set<string>, t: Instant): void {
    if (entry.communityId !== this.id) return;
    const { key } = entry;
    const mine = this.mine.get(key);
    if (mine === undefined) {
      // It went while the store could not be told, or the store has lost that it was.
      if (!this.#pending.has(key)) this.remove(entry, 'disconnected', t.wall);
    } else if (mine.rev === entry.rev) {
      // Of another revision it is from before something that the store has lost.
      own.add(key);
    }
  }

  /** Nodes of which there are entries and that are not among the living. */
  dead(living: ReadonlySet<string>): Set<string> {
    const dead = new Set<string>();
    for (const nodeId of this.#orphans.keys()) if (!living.has(nodeId)) dead.add(nodeId);
    for (const { owner } of this.#held.values()) {
      if (!living.has(owner.nodeId)) dead.add(owner.nodeId);
    }
    return dead;
  }

  /** Up to so many removals of a dead node's entries, which were last seen `at`, and whether these are all. */
  removals(
    nodeId: string,
    reason: RemoveReason,
    at: number,
    most: number,
  ): { changes: IndexChange[]; isAll: boolean } {
    const changes: IndexChange[] = [];
    for (const { entry, owner } of this.#held.values()) {
      if (owner.nodeId !== nodeId) continue;
      if (changes.length >= most) return { changes, isAll: false };
      changes.push(removalOf(entry, reason, at));
    }
    const orphans = this.#orphans.get(nodeId) ?? [];
    while (orphans.length > 0) {
      if (changes.length >= most) return { changes, isAll: false };
      const entry = orphans.pop() as Entry;
      // Nobody knows when that was.
      changes.push(removalOf(entry, reason, entry.lastActiveAt));
    }
    this.#orphans.delete(nodeId);
    return { changes, isAll: true };
  }

  /** Removals of what of a user's is held of nodes that have left, by node. */
  removalsOf(
    { userId, deviceId }: EvictionTarget,
    hasLeft: (nodeId: string) => boolean,
    at: number,
  ): Map<string, IndexChange[]> {
    const removals = new Map<string, IndexChange[]>();
    for (const { entry, owner } of this.#held.values()) {
      if (entry.userId !== userId || (deviceId ?? entry.deviceId) !== entry.deviceId) continue;
      const { nodeId } = owner;
      if (!hasLeft(nodeId)) continue;
      const changes = removals.get(nodeId) ?? [];
      removals.set(nodeId, changes);
      changes.push(removalOf(entry, 'left', at));
    }
    return removals;
  }

  /** Publications may have been missed: nothing applies until the contents have been read. */
  halt(): void {
    this.isLive = false;
    this.isReading = false;
    this.#buffer = [];
  }

  /** Lets go of what the others have. */
  release(): void {
    this.halt();
    this.told = null;
    this.epoch = '';
    this.version = -1;
    this.#mark = '';
    for (const held of this.#held.values()) this.#host.view.drop(held, 'left', 0, false);
    this.#held.clear();
    this.#owners.clear();
    this.#orphans.clear();
  }
}

/** What stands by itself, whatever was there before. */
type Whole = Exclude<Op, { op: 'patch' }>;

function fieldOf(nodeId: string, userId: string, deviceId: string): string {
  return `${nodeId}\0${userId}\0${deviceId}`;
}

function removalOf(
  { communityId, userId, deviceId }: Entry,
  reason: RemoveReason,
  at: number,
): IndexChange {
  return changeOf({ op: 'remove', communityId, userId, deviceId, reason, at });
}

function changeOf(op: Whole): IndexChange {
  const isPut = op.op === 'put';
  const { userId, deviceId } = isPut ? op.entry : op;
  return {
    userId,
    deviceId,
    entry: isPut ? JSON.stringify(encodeEntry(op.entry)) : null,
    isVisible: isPut && !isVeiled(op.entry.veil),
    op: JSON.stringify(encodeOp(op)),
    seenAt: isPut ? op.entry.lastActiveAt : op.at,
  };
}
