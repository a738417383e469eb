import type { Entry } from '../../core/index.js';
import { DEFAULT_LOG_LIMITS, encodePiece, ShardLog } from '../../core/log.js';
import type { DeltaItem, Message, ShardState, Want } from '../../core/wire.js';

/** Messages of deltas are cut at this size. */
const DELTA_MESSAGE_BYTES = 256 * 1024;
/** Shards in a heartbeat beyond those that changed since the last. */
const ROLLING_STATES = 8;
const PIECE_ENTRIES = 500;
const PIECE_BYTES = 128 * 1024;

interface SnapshotJob {
  readonly state: ShardState;
  readonly id: number;
  readonly entries: readonly Entry[];
  next: number;
  part: number;
}

/**
 * This node's own logs as the others hear of them: sealed into deltas, stated in heartbeats, and given
 * again to a replicating node that asks. The same messages as under `replicated`, so both mix.
 */
export class Announcer {
  readonly #send: (message: Message) => void;
  readonly #logs = new Map<number, ShardLog>();
  readonly #unsealed = new Set<ShardLog>();
  readonly #changed = new Set<number>();
  readonly #jobs = new Map<number, SnapshotJob>();
  #jobIds = 0;
  #rolling = 0;

  constructor(send: (message: Message) => void) {
    this.#send = send;
  }

  log(shard: number): ShardLog {
    let log = this.#logs.get(shard);
    if (log === undefined) {
      log = new ShardLog(shard, DEFAULT_LOG_LIMITS);
      this.#logs.set(shard, log);
    }
    return log;
  }

  /** The log of a shard, which is about to change. */
  open(shard: number): ShardLog {
    const log = this.log(shard);
    this.#unsealed.add(log);
    return log;
  }

  get hasUnsealed(): boolean {
    return this.#unsealed.size > 0;
  }

  get hasAnswers(): boolean {
    return this.#jobs.size > 0;
  }

  /** Seals everything recorded; what it gives must be sent in order. */
  seal(now: number): DeltaItem[] {
    const items: DeltaItem[] = [];
    while (this.#unsealed.size > 0) {
      for (const log of this.#unsealed) {
        const delta = log.seal(now);
        if (!log.hasPending) this.#unsealed.delete(log);
        if (delta === undefined) continue;
        this.#changed.add(log.shard);
        items.push({ shard: log.shard, seq: delta.seq, body: delta.body });
      }
    }
    return items;
  }

  /** Sends deltas in messages of bounded size. */
  announce(items: readonly DeltaItem[]): void {
    let group: DeltaItem[] = [];
    let bytes = 0;
    for (const item of items) {
      if (bytes > 0 && bytes + item.body.length > DELTA_MESSAGE_BYTES) {
        this.#send({ kind: 'delta', items: group });
        group = [];
        bytes = 0;
      }
      group.push(item);
      bytes += item.body.length;
    }
    if (group.length > 0) this.#send({ kind: 'delta', items: group });
  }

  states(full: boolean, now: number): ShardState[] {
    const states: ShardState[] = [];
    const logs = [...this.#logs.values()];
    if (full) {
      for (const log of logs) if (log.seq > 0) states.push(log.state());
      return states;
    }
    for (const index of this.#changed) states.push(this.log(index).state());
    for (let i = 0; i < Math.min(ROLLING_STATES, logs.length); i++) {
      const log = logs[this.#rolling++ % logs.length] as ShardLog;
      log.trim(now);
      if (log.seq > 0 && !this.#changed.has(log.shard)) states.push(log.state());
    }
    this.#changed.clear();
    return states;
  }

  /** A replicating node asks for what it misses. Everything must have been sealed. */
  answer(wants: readonly Want[]): void {
    for (const { shard, have } of wants) {
      const log = this.#logs.get(shard);
      if (log === undefined || have >= log.seq) continue;
      const deltas = log.since(have);
      if (deltas !== undefined) {
        this.announce(deltas.map(({ seq, body }) => ({ shard, seq, body })));
      } else if (!this.#jobs.has(shard)) {
        const id = ++this.#jobIds;
        const job = { state: log.state(), id, entries: log.entries(), next: 0, part: 0 };
        this.#jobs.set(shard, job);
      }
    }
  }

  /** Sends one piece of one snapshot. */
  step(): void {
    for (const [shard, job] of this.#jobs) {
      const piece = encodePiece(job.entries, job.next, PIECE_ENTRIES, PIECE_BYTES);
      job.next = piece.next;
      const last = job.next >= job.entries.length;
      const { state, id } = job;
      this.#send({ kind: 'snapshot', state, id, part: job.part++, last, body: piece.body });
      this.#jobs.delete(shard);
      if (!last) this.#jobs.set(shard, job);
      return;
    }
  }
}
