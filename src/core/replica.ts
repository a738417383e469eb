import { assert } from './assert.js';
import { ChurnMap } from './churn.js';
import { Digest } from './digest.js';
import { applyPatch, decodeEntries, decodeOps, entryKey, hashKey, type Op } from './entry.js';
import { Owner, type Held } from './roster.js';
import type { BulkChange } from './telling.js';
import type { Entry, Instant, RemoveReason } from './types.js';
import type { View } from './view.js';
import type { ShardState } from './wire.js';

/**
 * What one node holds of one shard of one owner: a copy of the owner's log at sequence number `have`,
 * learnt from that owner and from nobody else.
 *
 * An incarnation is born empty, so sequence number 0 is a base. A delta applies to `have + 1` (R1), a
 * snapshot replaces the whole when it is newer (R2), and whatever arrives out of order waits a little
 * before the owner is asked (an adapter may reorder).
 */

export interface ReplicaLimits {
  /** How long a gap may last before the owner is asked. Adapters reorder for a moment. */
  readonly gapGraceMs: number;
  /** First time-out of a pull; it doubles up to `pullTimeoutMaxMs`. */
  readonly pullTimeoutMs: number;
  readonly pullTimeoutMaxMs: number;
  readonly bufferedDeltas: number;
  readonly snapshotEntries: number;
  /** Entries of a bulk change that are worked on in one slice of the event loop. */
  readonly sliceEntries: number;
}

export const DEFAULT_REPLICA_LIMITS: ReplicaLimits = {
  gapGraceMs: 250,
  pullTimeoutMs: 1000,
  pullTimeoutMaxMs: 8000,
  bufferedDeltas: 32,
  snapshotEntries: 1_000_000,
  sliceEntries: 100,
};

export interface ReplicaHost {
  readonly view: View;
  readonly limits: ReplicaLimits;
  /** How long a device that moved is counted before it shows up elsewhere. */
  readonly lingerMs: number;
  /**
   * How long a device is still counted whose loss is learnt late, by a repair: it may have come back
   * elsewhere in what has not been repaired yet.
   */
  readonly repairGraceMs: number;
  readonly random: () => number;
  readonly stats: ReplicaStats;
  /**
   * Called for every entry that came or changed, for what this node's own devices must learn of it; `isNews`:
   * nothing had been missed before it.
   */
  readonly onEntry: (entry: Entry, owner: Owner, isNews: boolean) => void;
  readonly onGone: (entry: Entry, reason: RemoveReason) => void;
  /** Called when a snapshot that was revealed in slices counts as a whole. */
  readonly onRevealed: (replica: Replica) => void;
  /** The time of the input that is being worked on. */
  readonly instant: () => Instant;
}

export interface ReplicaStats {
  deltasApplied: number;
  deltasIgnored: number;
  deltasBuffered: number;
  deltasDropped: number;
  snapshotsApplied: number;
  gaps: number;
  repairs: number;
  repairMsTotal: number;
  repairMsMax: number;
  divergences: number;
  malformed: number;
}

/**
 * A snapshot on its way. What can be done before the swap is done as its pieces come: entries that are
 * new here are in the view already, under an owner of whom nothing is shown.
 */
interface Staging {
  readonly state: ShardState;
  readonly id: number;
  readonly owner: Owner;
  readonly parts: Set<number>;
  readonly entries: ChurnMap<string, Entry | Held>;
  readonly digest: Digest;
  /** Every entry of it was new here and is staged in the view. */
  isNew: boolean;
  last: number;
}

/** Ids of snapshot parts are small numbers; a larger one is not from rollcall. */
const MAX_PARTS = 100_000;

export class Replica {
  readonly owner: Owner;
  readonly shard: number;
  readonly #host: ReplicaHost;
  #held = new ChurnMap<string, Held>();
  #digest = new Digest();
  readonly #buffer = new Map<number, string>();
  #have = 0;
  #target = 0;
  #gapSince: number | null = null;
  #urgent = false;
  #diverged = false;
  #pullUntil: number | null = null;
  #attempts = 0;
  #staging: Staging | null = null;
  /** Set while the staged snapshot is whole and comes to count, slice by slice. */
  #revealing: BulkChange | null = null;

  constructor(owner: Owner, shard: number, host: ReplicaHost) {
    this.owner = owner;
    this.shard = shard;
    this.#host = host;
  }

  get have(): number {
    return this.#have;
  }

  get size(): number {
    return this.#held.size;
  }

  get digest(): Digest {
    return this.#digest;
  }

  get buffered(): number {
    return this.#buffer.size;
  }

  get held(): Iterable<Held> {
    return this.#held.values();
  }

  get isBehind(): boolean {
    return this.#target > this.#have || this.#diverged;
  }

  /** Since when something is missing, or null. */
  get gapSince(): number | null {
    return this.#gapSince;
  }

  onDelta(seq: number, body: string, t: Instant): void {
    const stats = this.#host.stats;
    if (seq <= this.#have) {
      stats.deltasIgnored++;
      return;
    }
    if (seq > this.#target) this.#target = seq;
    if (seq === this.#have + 1 && this.#revealing === null) {
      this.#apply(seq, body, t);
      this.#drain(t);
    } else if (this.#buffer.size < this.#host.limits.bufferedDeltas) {
      stats.deltasBuffered++;
      this.#buffer.set(seq, body);
    } else {
      stats.deltasDropped++;
    }
    this.#note(t.now);
  }

  /** The owner says where its log stands. */
  onState(state: ShardState, t: Instant): void {
    if (state.seq > this.#target) this.#target = state.seq;
    if (state.seq === this.#have && !this.#diverged && !this.#digest.equals(state.a, state.b)) {
      // The same sequence number and another content: a wrong merge. Start over from the owner.
      this.#host.stats.divergences++;
      this.#diverged = true;
    }
    this.#note(t.now);
  }

  onSnapshot(
    state: ShardState,
    id: number,
    part: number,
    last: boolean,
    body: string,
    t: Instant,
  ): void {
    if (state.seq > this.#target) this.#target = state.seq;
    const newer = state.seq > this.#have || (this.#diverged && state.seq === this.#have);
    if (!newer || part >= MAX_PARTS || this.#revealing !== null) {
      this.#note(t.now);
      return;
    }
    let staging = this.#staging;
    if (staging !== null && staging.id !== id) {
      // Another snapshot begins: the newer one counts, a straggler of the older does not.
      if (state.seq < staging.state.seq || id < staging.id) return;
      this.#unstage();
      staging = null;
    }
    if (staging !== null && staging.state.seq !== state.seq) {
      // One snapshot stands at one sequence number.
      this.#host.stats.malformed++;
      this.#unstage();
      this.#note(t.now);
      return;
    }
    if (staging === null) {
      const owner = new Owner(this.owner.nodeId);
      owner.hidden = true;
      const digest = new Digest();
      const [parts, entries] = [new Set<number>(), new ChurnMap<string, Entry | Held>()];
      staging = { state, id, owner, parts, entries, digest, isNew: true, last: -1 };
      this.#staging = staging;
    }
    if (!staging.parts.has(part)) {
      const entries = decodeEntries(body);
      if (entries === undefined) {
        this.#host.stats.malformed++;
        this.#unstage();
        return;
      }
      staging.parts.add(part);
      for (const entry of entries) {
        const key = entry.key;
        if (staging.entries.has(key)) continue;
        const isNew = !this.#held.has(key);
        if (!isNew) staging.isNew = false;
        const { view } = this.#host;
        staging.entries.set(key, isNew ? view.stage(staging.owner, entry, this.shard) : entry);
        staging.digest.fold(hashKey(key), entry.rev, 1);
      }
    }
    if (last) staging.last = part;
    if (this.#pullUntil !== null) this.#pullUntil = t.now + this.#host.limits.pullTimeoutMs;
    if (staging.entries.size > this.#host.limits.snapshotEntries) {
      this.#host.stats.malformed++;
      this.#unstage();
    } else if (staging.last !== -1 && staging.parts.size === staging.last + 1) {
      const isFirst = staging.isNew && this.#held.size === 0;
      if (isFirst && staging.entries.size > this.#host.limits.sliceEntries) {
        this.#reveal(staging);
      } else {
        this.#swap(staging, t);
        this.#drain(t);
      }
    }
    this.#note(t.now);
  }

  /**
   * Where nothing was held, what was staged is what is held. Its entries come to count in slices, while
   * the view tells nothing of the shard; the replica stays at what it had until all of them do.
   */
  #reveal(staging: Staging): void {
    const { view, limits } = this.#host;
    const entries = staging.entries.values() as MapIterator<Held>;
    const step = (): boolean => {
      for (let i = 0; i < limits.sliceEntries; i++) {
        const { value: held } = entries.next();
        if (held === undefined) {
          this.#revealed(staging);
          return false;
        }
        view.reveal(held, this.owner);
        this.#host.onEntry(held.entry, this.owner, false);
      }
      return true;
    };
    this.#revealing = { shard: this.shard, step };
    view.telling.addBulk(this.#revealing);
  }

  #revealed(staging: Staging): void {
    const t = this.#host.instant();
    this.#revealing = null;
    this.#become(staging, staging.entries as ChurnMap<string, Held>);
    this.#drain(t);
    this.#note(t.now);
    this.#host.onRevealed(this);
  }

  #become({ digest, state }: Staging, held: ChurnMap<string, Held>): void {
    const { stats } = this.#host;
    this.#held = held;
    this.#digest = digest;
    this.#have = state.seq;
    this.#staging = null;
    this.#diverged = false;
    stats.snapshotsApplied++;
    if (!this.#digest.equals(state.a, state.b)) {
      stats.divergences++;
      this.#diverged = true;
    }
  }

  #swap(staging: Staging, t: Instant): void {
    const { view } = this.#host;
    const { state } = staging;
    assert(state.seq >= this.#have, 'a snapshot never takes a replica back');
    const old = this.#held;
    const next = new ChurnMap<string, Held>();
    for (const [key, staged] of staging.entries) {
      const entry = 'owner' in staged ? staged.entry : staged;
      let held = old.get(key);
      if (held !== undefined) {
        // Deltas may have brought in meanwhile what was new when its piece came.
        if ('owner' in staged) view.unstage(staged);
        old.delete(key);
        if (held.entry.rev !== entry.rev || this.#diverged) {
          view.replace(held, entry, false);
          this.#host.onEntry(entry, this.owner, false);
        }
      } else {
        if ('owner' in staged) view.reveal((held = staged), this.owner);
        else held = view.add(this.owner, entry, this.shard, false);
        this.#host.onEntry(entry, this.owner, false);
      }
      next.set(key, held);
    }
    const until = t.now + this.#host.repairGraceMs;
    for (const held of old.values()) {
      view.expect(held, until, 'disconnected', t.wall);
      this.#host.onGone(held.entry, 'disconnected');
    }
    this.#become(staging, next);
  }

  #drain(t: Instant): void {
    if (this.#buffer.size === 0) return;
    for (const seq of this.#buffer.keys()) if (seq <= this.#have) this.#buffer.delete(seq);
    for (;;) {
      const body = this.#buffer.get(this.#have + 1);
      if (body === undefined) return;
      this.#buffer.delete(this.#have + 1);
      this.#apply(this.#have + 1, body, t);
      if (this.#diverged) return;
    }
  }

  #apply(seq: number, body: string, t: Instant): void {
    assert(seq === this.#have + 1, 'a delta applies only to its predecessor');
    const ops = decodeOps(body);
    if (ops === undefined) {
      // Nothing of it is applied; the gap that it leaves is pulled as a snapshot.
      this.#host.stats.malformed++;
      this.#diverged = true;
      return;
    }
    for (const op of ops) this.#change(op, t);
    this.#have = seq;
    this.#host.stats.deltasApplied++;
  }

  #change(op: Op, t: Instant): void {
    const { view, onEntry, onGone } = this.#host;
    if (op.op === 'put') {
      const key = op.entry.key;
      const keyHash = hashKey(key);
      const held = this.#held.get(key);
      if (held === undefined) {
        this.#held.set(key, view.add(this.owner, op.entry, this.shard, false));
      } else {
        this.#digest.fold(keyHash, held.entry.rev, -1);
        view.replace(held, op.entry, false);
      }
      this.#digest.fold(keyHash, op.entry.rev, 1);
      onEntry(op.entry, this.owner, this.#gapSince === null);
      return;
    }
    const key = entryKey(op.communityId, op.userId, op.deviceId);
    const held = this.#held.get(key);
    if (held === undefined) {
      this.#diverged = true;
      this.#host.stats.divergences++;
      return;
    }
    this.#digest.fold(hashKey(key), held.entry.rev, -1);
    if (op.op === 'remove') {
      this.#held.delete(key);
      if (op.reason === 'moved') {
        view.expect(held, t.now + this.#host.lingerMs, 'disconnected', op.at);
      } else if (op.reason !== 'left' && this.#attempts > 0) {
        view.expect(held, t.now + this.#host.repairGraceMs, op.reason, op.at);
      } else {
        view.drop(held, op.reason, op.at, false);
      }
      onGone(held.entry, op.reason);
      return;
    }
    if (held.entry.rev !== op.baseRev) {
      this.#diverged = true;
      this.#host.stats.divergences++;
    }
    const entry = applyPatch(held.entry, op.rev, op.patch);
    this.#digest.fold(hashKey(key), entry.rev, 1);
    view.replace(held, entry, false);
    onEntry(entry, this.owner, this.#gapSince === null);
  }

  /** Keeps account of whether something is missing, and since when. */
  #note(now: number): void {
    if (!this.isBehind) {
      // Nothing was missing: nearly always.
      if (this.#gapSince === null) return;
      if (this.#attempts > 0) {
        const stats = this.#host.stats;
        const took = now - this.#gapSince;
        stats.repairs++;
        stats.repairMsTotal += took;
        if (took > stats.repairMsMax) stats.repairMsMax = took;
      }
      this.#gapSince = null;
      this.#pullUntil = null;
      this.#attempts = 0;
      this.#urgent = false;
      this.#buffer.clear();
      this.#unstage();
    } else if (this.#gapSince === null) {
      this.#gapSince = now;
    }
  }

  /** The owner has answered a request that covers this shard: what is missing is on its way. */
  asked(now: number): void {
    if (!this.isBehind) return;
    this.#attempts = Math.max(1, this.#attempts);
    this.#pullUntil = now + this.#host.limits.pullTimeoutMs;
  }

  /** Do not wait out the grace: what is missing is known to be missing. */
  hurry(): void {
    this.#urgent = this.isBehind;
  }

  /** When `wants` may have something to say, or Infinity. */
  dueAt(): number {
    if (this.#gapSince === null) return Infinity;
    if (this.#pullUntil !== null) return this.#pullUntil;
    return this.#urgent ? this.#gapSince : this.#gapSince + this.#host.limits.gapGraceMs;
  }

  /** What to ask the owner for now (a `have`, or -1 for a snapshot), or undefined. */
  wants(now: number): number | undefined {
    if (now < this.dueAt()) return undefined;
    const { limits, random, stats } = this.#host;
    if (this.#attempts === 0) stats.gaps++;
    const timeout = Math.min(limits.pullTimeoutMs * 2 ** this.#attempts, limits.pullTimeoutMaxMs);
    this.#attempts++;
    this.#pullUntil = now + timeout * (0.75 + random() / 2);
    return this.#diverged ? -1 : this.#have;
  }

  /** The owner is hidden or shown from now on: its users are compared again with what was told. */
  touch(seenAt: number): void {
    const { view, limits, onEntry, onGone } = this.#host;
    // A copy: a snapshot that comes meanwhile takes what it keeps over into another map.
    const all = [...this.#held.values()].values();
    const step = (): boolean => {
      for (let i = 0; i < limits.sliceEntries; i++) {
        const { value: held } = all.next();
        if (held === undefined) return false;
        view.touch(held, 'node-down', seenAt);
        if (this.owner.hidden) onGone(held.entry, 'node-down');
        // What is here of the user may have changed since it was last heard.
        else onEntry(held.entry, this.owner, false);
      }
      return true;
    };
    if (step()) view.telling.addBulk({ shard: this.shard, step });
  }

  /** Lets go of everything, for instance when nobody here needs the shard any more. */
  dispose(each: (held: Held) => void): void {
    if (this.#revealing !== null) {
      // What of it counts already goes like what is held.
      this.#host.view.telling.dropBulk(this.#revealing);
      this.#revealing = null;
      for (const held of (this.#staging as Staging).entries.values() as MapIterator<Held>) {
        if (held.owner === this.owner) each(held);
        else this.#host.view.unstage(held);
      }
      this.#staging = null;
    }
    for (const held of this.#held.values()) each(held);
    this.#held.clear();
    this.#digest.reset();
    this.#buffer.clear();
    this.#unstage();
  }

  /** Gives up a snapshot that is not whole. */
  #unstage(): void {
    const { view } = this.#host;
    for (const staged of this.#staging?.entries.values() ?? []) {
      if ('owner' in staged) view.unstage(staged);
    }
    this.#staging = null;
  }
}
