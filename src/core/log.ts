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

interface Recorded {
  entry: Entry;
  readonly keyHash: number;
}

export class ShardLog {
  readonly shard: number;
  readonly #limits: LogLimits;
  readonly #sealed = new Map<string, Recorded>();
  readonly #pending = new Map<string, Change>();
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

  get size(): number {
    return this.#sealed.size;
  }

  /** Changes that are not sealed yet. */
  get pending(): number {
    return this.#pending.size;
  }

  get ringSize(): number {
    return this.#ring.length - this.#oldest;
  }

  /** Sequence number and digest of what has been sealed. */
  state(): ShardState {
    return { shard: this.shard, seq: this.#seq, a: this.#digest.a, b: this.#digest.b };
  }

  put(entry: Entry): void {
    this.#pending.set(entry.key, entry);
  }

  /** What has not been sealed yet leaves nothing to say, unless it `isNews` that it was here. */
  remove(entry: Entry, reason: RemoveReason, at: number, isNews = false): void {
    const { key } = entry;
    if (this.#sealed.has(key)) this.#pending.set(key, { reason, at, unheard: undefined });
    else if (isNews) this.#pending.set(key, { reason, at, unheard: entry });
    else this.#pending.delete(key);
  }

  /** Seals what has gathered, at most one delta's worth; undefined when nothing is left. */
  seal(now: number): Delta | undefined {
    if (this.#pending.size === 0) return undefined;
    const ops: unknown[] = [];
    for (const [key, change] of this.#pending) {
      this.#pending.delete(key);
      if ('reason' in change && change.unheard !== undefined) {
        // It comes and goes with one delta, so that what is sealed stays as it is.
        const { unheard } = change;
        ops.push(encodeOp({ op: 'put', entry: unheard }), encodeOp(removalOf(unheard, change)));
      } else {
        const op = this.#apply(key, change);
        if (op === undefined) continue;
        ops.push(encodeOp(op));
      }
      if (ops.length >= this.#limits.opsPerDelta) break;
    }
    if (ops.length === 0) return undefined;
    const body = JSON.stringify(ops);
    const delta: Delta = { seq: ++this.#seq, body, ops: ops.length, sealedAt: now };
    this.#ring.push(delta);
    this.#ringBytes += delta.body.length;
    this.trim(now);
    return delta;
  }

  #apply(key: string, change: Change): Op | undefined {
    const base = this.#sealed.get(key);
    if ('reason' in change) {
      if (base === undefined) return undefined;
      this.#sealed.delete(key);
      this.#digest.fold(base.keyHash, base.entry.rev, -1);
      return removalOf(base.entry, change);
    }
    const next = change;
    if (base === undefined) {
      const keyHash = hashKey(key);
      this.#sealed.set(key, { entry: next, keyHash });
      this.#digest.fold(keyHash, next.rev, 1);
      return { op: 'put', entry: next };
    }
    if (base.entry.rev === next.rev) return undefined;
    const patch = patchBetween(base.entry, next);
    const baseRev = base.entry.rev;
    this.#digest.fold(base.keyHash, base.entry.rev, -1);
    this.#digest.fold(base.keyHash, next.rev, 1);
    base.entry = next;
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
    for (const recorded of this.#sealed.values()) entries.push(recorded.entry);
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
