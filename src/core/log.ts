import { ChurnMap } from './churn.js';
import { Digest } from './digest.js';
import { encodeEntry, encodeOp, hashKey, patchBetween, type Op } from './entry.js';
import type { Entry, RemoveReason } from './types.js';
import type { ShardState } from './wire.js';

/**
 * The owner's log of one shard: what this node recorded itself, under one sequence number.
 * Changes gather until they are sealed into a delta, so a put and a remove within one flush window
 * cancel, and many updates of one device travel as one.
 */

/** How much of its past an owner keeps for those who missed something; beyond it they get a snapshot. */
export interface LogLimits {
  readonly deltas: number;
  readonly bytes: number;
  readonly ageMs: number;
  /** Most operations in one delta. */
  readonly opsPerDelta: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = {
  deltas: 1000,
  bytes: 1024 * 1024,
  ageMs: 60_000,
  opsPerDelta: 100,
};

export interface Delta {
  readonly seq: number;
  /** The encoded operations, made once. */
  readonly body: string;
  readonly ops: number;
  readonly sealedAt: number;
}

interface Removal {
  readonly reason: RemoveReason;
  readonly at: number;
  /** Nobody has heard of it yet, and it is to be heard of all the same. */
  readonly unheard: Entry | undefined;
}

/** What an entry is to become: another, or none. */
type Change = Entry | Removal;

/** Stands where a delta was that is not kept any more. */
const FORGOTTEN: Delta = { seq: 0, body: '', ops: 0, sealedAt: 0 };

/** What is recorded under one key. */
class Recorded {
  /** What has been sealed, or null. */
  sealed: Entry | null = null;
  /** What it is to become, or null where nothing has changed. */
  change: Change | null = null;
  /** It is in the queue of what is to be sealed. */
  isQueued = false;
  keyHash = 0;
}

export class ShardLog {
  readonly shard: number;
  readonly #limits: LogLimits;
  readonly #recorded = new ChurnMap<string, Recorded>();
  /** What is to be sealed, in order, and what has been taken back since. */
  #queue: Recorded[] = [];
  #pending = 0;
  #size = 0;
  readonly #digest = new Digest();
  /** The past, from `#oldest` on; what is before that is forgotten. */
  #ring: Delta[] = [];
  #oldest = 0;
  #ringBytes = 0;
  #seq = 0;

  constructor(shard: number, limits: LogLimits) {
    this.shard = shard;
    this.#limits = limits;
  }

  get seq(): number {
    return this.#seq;
  }

  /** Entries that are sealed. */
  get size(): number {
    return this.#size;
  }

  /** Changes that are not sealed yet. */
  get pending(): number {
    return this.#pending;
  }

  get ringSize(): number {
    return this.#ring.length - this.#oldest;
  }

  /** Sequence number and digest of what has been sealed. */
  state(): ShardState {
    return { shard: this.shard, seq: this.#seq, a: this.#digest.a, b: this.#digest.b };
  }

  put(entry: Entry): void {
    let recorded = this.#recorded.get(entry.key);
    if (recorded === undefined) this.#recorded.set(entry.key, (recorded = new Recorded()));
    this.#change(recorded, entry);
  }

  /** What has not been sealed yet leaves nothing to say, unless it `isNews` that it was here. */
  remove(entry: Entry, reason: RemoveReason, at: number, isNews = false): void {
    let recorded = this.#recorded.get(entry.key);
    if (recorded !== undefined && recorded.sealed !== null) {
      this.#change(recorded, { reason, at, unheard: undefined });
    } else if (isNews) {
      if (recorded === undefined) this.#recorded.set(entry.key, (recorded = new Recorded()));
      this.#change(recorded, { reason, at, unheard: entry });
    } else if (recorded !== undefined) {
      this.#recorded.delete(entry.key);
      recorded.change = null;
      // What follows must not wait behind what will never be sealed.
      if (--this.#pending === 0) this.#queue = [];
    }
  }

  #change(recorded: Recorded, change: Change): void {
    if (recorded.change === null) this.#pending++;
    recorded.change = change;
    if (recorded.isQueued) return;
    recorded.isQueued = true;
    this.#queue.push(recorded);
  }

  /** Seals what has gathered, at most one delta's worth; undefined when nothing is left. */
  seal(now: number): Delta | undefined {
    if (this.#pending === 0) return undefined;
    const queue = this.#queue;
    const ops: unknown[] = [];
    let done = 0;
    while (done < queue.length && ops.length < this.#limits.opsPerDelta) {
      const recorded = queue[done++] as Recorded;
      const { change } = recorded;
      recorded.isQueued = false;
      if (change === null) continue;
      recorded.change = null;
      this.#pending--;
      if ('reason' in change && change.unheard !== undefined) {
        // It comes and goes with one delta, so that what is sealed stays as it is.
        const { unheard } = change;
        this.#recorded.delete(unheard.key);
        ops.push(encodeOp({ op: 'put', entry: unheard }), encodeOp(removalOf(unheard, change)));
      } else {
        const op = this.#apply(recorded, change);
        if (op !== undefined) ops.push(encodeOp(op));
      }
    }
    this.#queue = done === queue.length ? [] : queue.slice(done);
    if (ops.length === 0) return undefined;
    const body = JSON.stringify(ops);
    const delta: Delta = { seq: ++this.#seq, body, ops: ops.length, sealedAt: now };
    this.#ring.push(delta);
    this.#ringBytes += delta.body.length;
    this.trim(now);
    return delta;
  }

  #apply(recorded: Recorded, change: Change): Op | undefined {
    const base = recorded.sealed;
    if ('reason' in change) {
      if (base === null) return undefined;
      recorded.sealed = null;
      this.#size--;
      this.#recorded.delete(base.key);
      this.#digest.fold(recorded.keyHash, base.rev, -1);
      return removalOf(base, change);
    }
    const next = change;
    if (base !== null && base.rev === next.rev) return undefined;
    recorded.sealed = next;
    if (base === null) {
      this.#size++;
      recorded.keyHash = hashKey(next.key);
      this.#digest.fold(recorded.keyHash, next.rev, 1);
      return { op: 'put', entry: next };
    }
    const patch = patchBetween(base, next);
    const baseRev = base.rev;
    this.#digest.fold(recorded.keyHash, baseRev, -1);
    this.#digest.fold(recorded.keyHash, next.rev, 1);
    if (patch === undefined) return { op: 'put', entry: next };
    const { communityId, userId, deviceId, rev } = next;
    return { op: 'patch', communityId, userId, deviceId, rev, baseRev, patch };
  }

  /** Forgets deltas beyond the limits. */
  trim(now: number): void {
    const { deltas, bytes, ageMs } = this.#limits;
    const ring = this.#ring;
    while (this.#oldest < ring.length) {
      const oldest = ring[this.#oldest] as Delta;
      if (this.ringSize <= deltas && this.#ringBytes <= bytes && now - oldest.sealedAt <= ageMs) {
        break;
      }
      this.#ringBytes -= oldest.body.length;
      ring[this.#oldest++] = FORGOTTEN;
    }
    // Not with each seal: moving a thousand deltas costs more than sealing one.
    if (2 * this.#oldest <= ring.length) return;
    this.#ring = ring.slice(this.#oldest);
    this.#oldest = 0;
  }

  /** The deltas after `have`, or undefined where the log no longer reaches back that far. */
  since(have: number): readonly Delta[] | undefined {
    const missing = this.#seq - have;
    if (have < 0 || missing < 0 || missing > this.ringSize) return undefined;
    return missing === 0 ? [] : this.#ring.slice(-missing);
  }

  /** References to all sealed entries. They are immutable, so they may be encoded later. */
  entries(): Entry[] {
    const entries: Entry[] = [];
    for (const { sealed } of this.#recorded.values()) if (sealed !== null) entries.push(sealed);
    return entries;
  }
}

function removalOf({ communityId, userId, deviceId }: Entry, { reason, at }: Removal): Op {
  return { op: 'remove', communityId, userId, deviceId, reason, at };
}

/** Encodes entries from `from` on until the piece is full. */
export function encodePiece(
  entries: readonly Entry[],
  from: number,
  maxEntries: number,
  maxBytes: number,
): { readonly body: string; readonly next: number } {
  let body = '[';
  let i = from;
  while (i < entries.length && i - from < maxEntries && body.length < maxBytes) {
    body += (i === from ? '' : ',') + JSON.stringify(encodeEntry(entries[i] as Entry));
    i++;
  }
  return { body: body + ']', next: i };
}
