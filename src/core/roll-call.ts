import { encodePiece } from './log.js';
import type { Entry } from './types.js';
import type { Message, ShardState } from './wire.js';

/** Bounds of one piece of an answer. */
const PIECE_ENTRIES = 500;
const PIECE_BYTES = 128 * 1024;

interface Job {
  readonly to: string;
  readonly request: number;
  readonly state: ShardState;
  readonly entries: readonly Entry[];
  next: number;
  part: number;
}

/** This node's answers to roll calls, sent piece by piece. Every node answers, under every strategy. */
export class RollCallAnswers {
  readonly #jobs: Job[] = [];

  get hasWork(): boolean {
    return this.#jobs.length > 0;
  }

  /** `entries` must be what the log holds at `state`; they are immutable and may be sent later. */
  add(to: string, request: number, state: ShardState, entries: readonly Entry[]): void {
    this.#jobs.push({ to, request, state, entries, next: 0, part: 0 });
  }

  /** Sends one piece; who waits longest is served first, one piece each in turn. */
  step(send: (message: Message) => void): void {
    const job = this.#jobs.shift();
    if (job === undefined) return;
    const { to, request, state, entries } = job;
    const piece = encodePiece(entries, job.next, PIECE_ENTRIES, PIECE_BYTES);
    job.next = piece.next;
    const last = job.next >= entries.length;
    send({ kind: 'present', to, request, state, part: job.part++, last, body: piece.body });
    if (!last) this.#jobs.push(job);
  }
}
