import { ChurnSet } from './churn.js';
import { encodePiece, ShardLog, type LogLimits } from './log.js';
import { keyOf, type Route } from './route.js';
import type { NodeStats } from './stats.js';
import type { Entry } from './types.js';
import type { Answered, DeltaItem, Message, ShardState } from './wire.js';

/**
 * The owner's side of the protocol: the logs of this node's own entries, and what the others get of
 * them. Deltas when something has changed, snapshots and kept deltas when somebody asks.
 *
 * On most media a message reaches every node, so what changed in all shards travels as one, and answers
 * of a moment go out together. On a medium that delivers by address (`isRouted`) each shard's deltas go
 * to those who take part in it, and each asker gets what it asked for; what several ask for at once
 * goes to the shard.
 */

export interface PublisherHost {
  readonly limits: LogLimits;
  /** Bounds of one piece of a snapshot. */
  readonly pieces: { readonly entries: number; readonly bytes: number };
  readonly stats: NodeStats;
  readonly isRouted?: boolean;
  readonly send: (message: Message, route?: Route) => void;
  /** Sends a heartbeat that says these states and answers these requests; for `answer`. */
  readonly beat?: (
    full: boolean,
    states: readonly ShardState[],
    answers: readonly Answered[],
    route: Route,
  ) => void;
}

/** What those who have asked lately are owed: one asker's share, or that of all together. */
interface Owed {
  readonly answers: Answered[];
  /** The answer says where every shard stands. */
  all: boolean;
  readonly shards: Set<number>;
  /** Shards that were pulled, and what the askers have at least. */
  readonly pulled: Map<number, number>;
}

/** A snapshot on its way, piece by piece. */
interface Snapshot {
  readonly state: ShardState;
  readonly id: number;
  readonly entries: readonly Entry[];
  next: number;
  part: number;
  readonly route: Route;
  /** For whom it is needed once more: somebody asked while it was under way. */
  again: Route | null;
}

/** Small enough to be decoded within a slice. */
export const SNAPSHOT_PIECES = { entries: 100, bytes: 32 * 1024 } as const;

/** Shards in a heartbeat beyond those that changed since the last. */
const ROLLING_STATES = 8;
/** Answers to requests within this time go out together. */
const ANSWER_WINDOW_MS = 100;
/** Messages of deltas are cut at this size. */
const DELTA_MESSAGE_BYTES = 64 * 1024;

export class Publisher {
  readonly logs = new Map<number, ShardLog>();
  readonly #host: PublisherHost;
  readonly #unsealed = new ChurnSet<ShardLog>();
  /** Changes that were there when the flush began and have not been sealed yet. */
  #due = 0;
  /** Shards that changed since the last heartbeat. */
  readonly #changed = new Set<number>();
  #rolling = 0;
  readonly #owed = new Map<string, Owed>();
  readonly #snapshots = new Map<number, Snapshot>();
  #snapshotIds = 0;
  #lastAnswerAt = -Infinity;
  /** When the answers that are owed go out, or Infinity. */
  answerAt = Infinity;

  constructor(host: PublisherHost) {
    this.#host = host;
  }

  log(index: number): ShardLog {
    let log = this.logs.get(index);
    if (log === undefined) {
      log = new ShardLog(index, this.#host.limits);
      this.logs.set(index, log);
    }
    return log;
  }

  /** The log of a shard that is about to be changed. */
  change(index: number): ShardLog {
    const log = this.log(index);
    this.#unsealed.add(log);
    return log;
  }

  get hasWork(): boolean {
    return this.#unsealed.size > 0 || this.#snapshots.size > 0;
  }

  /** Whether a snapshot that was asked for is under way. */
  get isAwaited(): boolean {
    return this.#snapshots.size > 0;
  }

  /** A flush begins: it ends with what is recorded by now, so that what follows gathers again. */
  open(): void {
    this.#due = 0;
    for (const log of this.#unsealed) {
      // What came and went again within the window leaves nothing to send.
      if (log.pending === 0) this.#unsealed.delete(log);
      this.#due += log.pending;
    }
  }

  /** Whether the flush that was opened has more to send. */
  get isFlushing(): boolean {
    return (this.#due > 0 && this.#unsealed.size > 0) || this.#snapshots.size > 0;
  }

  allStates(): ShardState[] {
    const states: ShardState[] = [];
    for (const log of this.logs.values()) if (log.seq > 0) states.push(log.state());
    return states;
  }

  /** The states for a heartbeat: of what has changed, and a rolling part of the rest. */
  statesToSay(now: number): ShardState[] {
    const states: ShardState[] = [];
    for (const index of this.#changed) states.push(this.log(index).state());
    const logs = [...this.logs.values()];
    for (let i = 0; i < Math.min(ROLLING_STATES, logs.length); i++) {
      const log = logs[this.#rolling++ % logs.length] as ShardLog;
      log.trim(now);
      if (log.seq > 0 && !this.#changed.has(log.shard)) states.push(log.state());
    }
    this.#changed.clear();
    return states;
  }

  /** Seals at most one delta of each shard that has changes. */
  #seal(now: number): DeltaItem[] {
    const { stats } = this.#host;
    const items: DeltaItem[] = [];
    let ops = 0;
    for (const log of this.#unsealed) {
      this.#due -= log.pending;
      const delta = log.seal(now);
      this.#due += log.pending;
      if (log.pending === 0) this.#unsealed.delete(log);
      if (delta === undefined) continue;
      this.#changed.add(log.shard);
      ops += delta.ops;
      items.push({ shard: log.shard, seq: delta.seq, body: delta.body });
    }
    if (items.length === 0) return items;
    stats.opsSent += ops;
    stats.flushes++;
    stats.lastFlushOps = ops;
    return items;
  }

  /** Sends one slice of what had changed when the flush began: at most one delta of each shard. */
  flush(now: number): void {
    if (this.#due > 0) this.announce(this.#seal(now));
  }

  /** Seals everything that is recorded; what it gives is to be announced in order. */
  seal(now: number): DeltaItem[] {
    const items: DeltaItem[] = [];
    while (this.#unsealed.size > 0) items.push(...this.#seal(now));
    return items;
  }

  /**
   * Gives what a node's last message is to carry of these deltas: what came after it would count no more.
   * What is too much for one message is sent ahead.
   */
  carry(items: readonly DeltaItem[]): readonly DeltaItem[] {
    let bytes = 0;
    for (const { body } of items) bytes += body.length;
    if (bytes <= DELTA_MESSAGE_BYTES) return items;
    this.announce(items);
    return [];
  }

  /** Sends deltas, to whom they are of interest, in as few messages as their size and the medium allow. */
  announce(items: readonly DeltaItem[]): void {
    if (this.#host.isRouted !== true) {
      this.#deliver(items, 'all');
      return;
    }
    const [only] = items;
    if (only !== undefined && items.length === 1) {
      this.#deliver(items, { shard: only.shard });
      return;
    }
    const byShard = new Map<number, DeltaItem[]>();
    for (const item of items) {
      const same = byShard.get(item.shard);
      if (same === undefined) byShard.set(item.shard, [item]);
      else same.push(item);
    }
    for (const [shard, same] of byShard) this.#deliver(same, { shard });
  }

  #deliver(items: readonly DeltaItem[], route: Route): void {
    let batch: DeltaItem[] = [];
    let bytes = 0;
    for (const item of items) {
      if (bytes > 0 && bytes + item.body.length > DELTA_MESSAGE_BYTES) {
        this.#sendBatch(batch, route);
        batch = [];
        bytes = 0;
      }
      batch.push(item);
      bytes += item.body.length;
    }
    if (batch.length > 0) this.#sendBatch(batch, route);
  }

  #sendBatch(items: readonly DeltaItem[], route: Route): void {
    this.#host.stats.deltasSent += items.length;
    this.#host.send({ kind: 'delta', items }, route);
  }

  // Answers.

  /** A request of another node is to be answered. */
  owe(nodeId: string, request: number, now: number): void {
    this.#owedTo(nodeId).answers.push({ nodeId, request });
    if (this.answerAt !== Infinity) return;
    this.answerAt = Math.max(now, this.#lastAnswerAt + ANSWER_WINDOW_MS);
  }

  /** The answer says where every shard stands. */
  oweAll(nodeId: string): void {
    this.#owedTo(nodeId).all = true;
  }

  /** The answer says where this shard stands and brings what the asker is missing of it. */
  oweSince(nodeId: string, shard: number, have: number): void {
    const { shards, pulled } = this.#owedTo(nodeId);
    shards.add(shard);
    if (have >= (this.logs.get(shard)?.seq ?? 0)) return;
    this.#host.stats.pullsAnswered++;
    pulled.set(shard, Math.min(have, pulled.get(shard) ?? Infinity));
  }

  #owedTo(nodeId: string): Owed {
    // An answer that reaches everybody is one for all.
    const key = this.#host.isRouted === true ? nodeId : '';
    let owed = this.#owed.get(key);
    if (owed === undefined) {
      owed = { answers: [], all: false, shards: new Set(), pulled: new Map() };
      this.#owed.set(key, owed);
    }
    return owed;
  }

  /** Answers all that is owed; what is answered includes what is recorded. */
  answer(now: number): void {
    this.announce(this.seal(now));
    this.#lastAnswerAt = now;
    this.answerAt = Infinity;
    const given = new Map<number, { readonly have: number; readonly route: Route }>();
    for (const [nodeId, { answers, all, shards, pulled }] of this.#owed) {
      const states = all ? this.allStates() : [...shards].map((index) => this.log(index).state());
      const route: Route = nodeId === '' ? 'all' : { nodeId };
      this.#host.beat?.(all, states, answers, route);
      for (const [shard, have] of pulled) {
        const other = given.get(shard);
        if (other === undefined) given.set(shard, { have, route });
        else given.set(shard, { have: Math.min(have, other.have), route: { shard } });
      }
    }
    this.#owed.clear();
    const together = new Map<string, { route: Route; wanted: [number, number][] }>();
    for (const [shard, { have, route }] of given) {
      const same = together.get(keyOf(route));
      if (same === undefined) together.set(keyOf(route), { route, wanted: [[shard, have]] });
      else same.wanted.push([shard, have]);
    }
    for (const { route, wanted } of together.values()) this.give(wanted, route);
  }

  /** Sends what is missing of these shards after these sequence numbers. Everything must be sealed. */
  give(wanted: Iterable<readonly [shard: number, have: number]>, route: Route = 'all'): void {
    const items: DeltaItem[] = [];
    for (const [index, have] of wanted) {
      const log = this.logs.get(index);
      if (log === undefined || have >= log.seq) continue;
      const deltas = log.since(have);
      if (deltas === undefined) this.#snapshot(log, route);
      else for (const { seq, body } of deltas) items.push({ shard: index, seq, body });
    }
    this.#deliver(items, route);
  }

  // Snapshots.

  #snapshot(log: ShardLog, route: Route): void {
    const running = this.#snapshots.get(log.shard);
    if (running !== undefined) {
      const { again } = running;
      const isSame = again === null || keyOf(again) === keyOf(route);
      running.again = isSame ? route : { shard: log.shard };
      return;
    }
    this.#snapshots.set(log.shard, {
      state: log.state(),
      id: ++this.#snapshotIds,
      entries: log.entries(),
      next: 0,
      part: 0,
      route,
      again: null,
    });
    this.#host.stats.snapshotsSent++;
  }

  /** Sends one piece of one snapshot; the next step serves another shard's. */
  stepSnapshots(): void {
    for (const [index, snapshot] of this.#snapshots) {
      const { pieces } = this.#host;
      const { state, id, entries, route, again } = snapshot;
      const { body, next } = encodePiece(entries, snapshot.next, pieces.entries, pieces.bytes);
      snapshot.next = next;
      const last = next >= entries.length;
      this.#host.send({ kind: 'snapshot', state, id, part: snapshot.part++, last, body }, route);
      this.#snapshots.delete(index);
      if (!last) this.#snapshots.set(index, snapshot);
      else if (again !== null) this.#snapshot(this.log(index), again);
      return;
    }
  }
}
