import type { Entry, Instant, RemoveReason } from '../../core/index.js';
import { applyPatch, entryKey, type Op } from '../../core/entry.js';
import type { Held, Owner } from '../../core/roster.js';
import type { View } from '../../core/view.js';

export interface CopyHost {
  readonly view: View;
  readonly lingerMs: number;
  /** How long an owner may take to say why somebody went of whom its answer knows nothing any more. */
  readonly explainMs: number;
  readonly onEntry: (entry: Entry, owner: Owner) => void;
  readonly onGone: (entry: Entry, reason: RemoveReason) => void;
}

interface Known {
  readonly held: Held;
  seq: number;
  /** It was patched while something before was missing, so part of it may be old. */
  isDoubtful: boolean;
}

type Removal = Extract<Op, { op: 'remove' }>;

/** Somebody who is in an owner's answer no more. */
interface Unexplained {
  readonly held: Held;
  /** The owner's word is after the one and not after the other. */
  readonly after: number;
  readonly until: number;
}

/** Longer than any answer that is still taken may be late. */
const REMEMBER_GONE_MS = 15_000;

/**
 * One owner's entries of one community, as its answers to roll calls and its deltas tell. Every entry
 * knows the sequence number it stands at, and so does what is gone: whatever is older than what is
 * known changes nothing, so a late answer brings nobody back.
 */
export class Copy {
  readonly owner: Owner;
  readonly #host: CopyHost;
  /** The community's number in the view. */
  readonly #index: number;
  readonly #held = new Map<string, Known>();
  readonly #gone = new Map<string, { readonly seq: number; readonly until: number }>();
  /** An answer may be faster than the delta that says why somebody went, and when. */
  readonly #unexplained = new Map<string, Unexplained>();
  /** Deltas that came before one that is still missing. */
  readonly #ahead = new Set<number>();
  #isDisposed = false;
  /** Everything up to this sequence number is in here; -1 before the first answer. */
  have = -1;
  /** Since when something is known to be missing, or null. */
  behindSince: number | null = null;

  constructor(owner: Owner, index: number, host: CopyHost) {
    this.owner = owner;
    this.#index = index;
    this.#host = host;
  }

  get isKnown(): boolean {
    return this.have >= 0;
  }

  get held(): Iterable<Held> {
    return [...this.#held.values()].map(({ held }) => held);
  }

  /** A delta of the owner; `ops` are those of this community. False when it is known already. */
  onDelta(seq: number, ops: readonly Op[], t: Instant): boolean {
    if (this.#unexplained.size > 0) for (const op of ops) this.#explain(seq, op, t);
    if (seq <= this.have || this.#ahead.has(seq)) return false;
    let isWhole = true;
    for (const op of ops) if (!this.#change(seq, op, t)) isWhole = false;
    if (this.isKnown) {
      if (isWhole) this.#ahead.add(seq);
      this.#advance();
      if (!isWhole || this.#ahead.size > 0) this.behindSince ??= t.now;
    }
    return true;
  }

  #advance(): void {
    for (const seq of this.#ahead) if (seq <= this.have) this.#ahead.delete(seq);
    while (this.#ahead.delete(this.have + 1)) this.have++;
  }

  /** The owner says where its log stands; a newborn's is empty. */
  onState(seq: number, now: number): void {
    if (seq === 0 && !this.isKnown) this.have = 0;
    if (!this.isKnown || seq > this.have) this.behindSince ??= now;
  }

  /** An answer to a roll call, of all users or of some. */
  onAnswer(
    seq: number,
    entries: readonly Entry[],
    userIds: readonly string[] | undefined,
    t: Instant,
  ): void {
    if (seq < this.have) return;
    const present = new Set<string>();
    for (const entry of entries) {
      present.add(entry.key);
      this.#put(seq, entry, true);
    }
    for (const [key, { held, seq: known }] of this.#held) {
      if (present.has(key) || known > seq) continue;
      if (userIds !== undefined && !userIds.includes(held.entry.userId)) continue;
      const until = t.now + this.#host.explainMs;
      this.#forget(key, seq, t.now);
      this.#unexplained.set(key, { held, after: known, until: seq });
      this.#host.view.expect(held, until, 'disconnected', t.wall);
      this.#host.onGone(held.entry, 'disconnected');
    }
    if (userIds !== undefined) return;
    this.have = seq;
    this.behindSince = null;
    this.#advance();
    if (this.#ahead.size > 0) this.behindSince = t.now;
  }

  /** False where it changes what is not here, or not as it was: an older answer does not make up for that. */
  #change(seq: number, op: Op, t: Instant): boolean {
    if (op.op === 'put') {
      this.#put(seq, op.entry, false);
      return true;
    }
    const key = entryKey(op.communityId, op.userId, op.deviceId);
    const known = this.#held.get(key);
    if (known === undefined) {
      if (op.op === 'remove') this.#forget(key, seq, t.now);
      return op.op === 'remove';
    }
    if (seq <= known.seq) return true;
    const { view, onEntry } = this.#host;
    const { held } = known;
    if (op.op === 'patch') {
      known.seq = seq;
      known.isDoubtful ||= seq !== this.have + 1;
      view.replace(held, applyPatch(held.entry, op.rev, op.patch), false);
      onEntry(held.entry, this.owner);
      return !known.isDoubtful;
    }
    this.#forget(key, seq, t.now);
    this.#part(held, op, t);
    return true;
  }

  /** The owner says how somebody went. */
  #part(held: Held, { reason, at }: Removal, t: Instant): void {
    const { view, lingerMs, onGone } = this.#host;
    if (reason === 'moved') view.expect(held, t.now + lingerMs, 'disconnected', at);
    else view.drop(held, reason, at, false);
    onGone(held.entry, reason);
  }

  #explain(seq: number, op: Op, t: Instant): void {
    if (op.op !== 'remove') return;
    const key = entryKey(op.communityId, op.userId, op.deviceId);
    const gone = this.#unexplained.get(key);
    if (gone === undefined || seq <= gone.after || seq > gone.until) return;
    this.#unexplained.delete(key);
    this.#part(gone.held, op, t);
  }

  #put(seq: number, entry: Entry, isAnswer: boolean): void {
    const { view, onEntry } = this.#host;
    const key = entry.key;
    const known = this.#held.get(key);
    // Taking in one entry may have ended the need of all: a device has moved away from here.
    if (this.#isDisposed) return;
    const newest = known?.seq ?? this.#gone.get(key)?.seq ?? -1;
    if (seq < newest || (seq === newest && !(isAnswer && known?.isDoubtful === true))) return;
    if (known === undefined) {
      this.#held.set(key, {
        held: view.add(this.owner, entry, this.#index, false),
        seq,
        isDoubtful: false,
      });
      this.#gone.delete(key);
      this.#unexplained.delete(key);
    } else {
      const isSame = known.held.entry.rev === entry.rev && !known.isDoubtful;
      known.seq = seq;
      known.isDoubtful = false;
      if (isSame) return;
      view.replace(known.held, entry, false);
    }
    onEntry(entry, this.owner);
  }

  #forget(key: string, seq: number, now: number): void {
    this.#held.delete(key);
    this.#gone.set(key, { seq, until: now + REMEMBER_GONE_MS });
  }

  /** Forgets who went long ago; true where nobody is left to forget. */
  trim(now: number): boolean {
    for (const [key, { until }] of this.#gone) {
      if (until > now) return false;
      this.#gone.delete(key);
      this.#unexplained.delete(key);
    }
    return true;
  }

  /** Lets go of everything. */
  dispose(each: (held: Held) => void): void {
    this.#isDisposed = true;
    for (const { held } of this.#held.values()) each(held);
    this.#held.clear();
    this.#gone.clear();
    this.#unexplained.clear();
    this.#ahead.clear();
  }
}
