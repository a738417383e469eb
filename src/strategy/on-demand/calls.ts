import type { Entry } from '../../core/index.js';
import { decodeEntries } from '../../core/entry.js';
import type { Owner } from '../../core/roster.js';
import type { Message } from '../../core/wire.js';
import type { OwnedEntry } from '../../core/user-queries.js';

/** For so long after its end an answer to a roll call is still taken. */
const LATE_MS = 10_000;
/** More pieces than any community needs. */
const MAX_PARTS = 10_000;

interface Staging {
  readonly parts: Map<number, readonly Entry[]>;
  last: number;
}

/** One roll call: who is asked, about whom, and who has not answered. */
export interface Call {
  readonly id: number;
  readonly communityId: string;
  readonly userIds: readonly string[] | undefined;
  readonly startedAt: number;
  readonly until: number;
  readonly awaiting: Set<string>;
  /** Silent nodes, which were asked but are not waited for. */
  readonly silent: Set<string>;
  readonly answers: OwnedEntry[];
  readonly onEnd: (call: Call) => void;
  readonly staging: Map<string, Staging>;
}

export interface CompleteAnswer {
  readonly call: Call;
  readonly seq: number;
  readonly entries: readonly Entry[];
}

/** The roll calls of this node: their answers, put together from pieces, and their deadlines. */
export class Calls {
  /** Those whose answers are taken, in the order in which they began. */
  readonly #calls = new Map<number, Call>();
  /** Those that have not ended. */
  readonly #open = new Set<Call>();

  begin(call: Omit<Call, 'answers' | 'staging'>): Call {
    const begun: Call = { ...call, answers: [], staging: new Map() };
    this.#calls.set(call.id, begun);
    this.#open.add(begun);
    return begun;
  }

  /** Takes a piece in. Gives the answer when it is whole, null when it cannot be read. */
  take(
    owner: Owner,
    message: Extract<Message, { kind: 'present' }>,
  ): CompleteAnswer | null | undefined {
    const call = this.#calls.get(message.request);
    if (call === undefined || message.part >= MAX_PARTS) return undefined;
    const entries = decodeEntries(message.body);
    if (entries === undefined) return null;
    let staging = call.staging.get(owner.nodeId);
    if (staging === undefined) {
      staging = { parts: new Map(), last: -1 };
      call.staging.set(owner.nodeId, staging);
    }
    staging.parts.set(
      message.part,
      entries.filter((entry) => entry.communityId === call.communityId),
    );
    if (message.last) staging.last = message.part;
    if (staging.last === -1 || staging.parts.size !== staging.last + 1) return undefined;
    call.staging.delete(owner.nodeId);
    const whole: Entry[] = [];
    for (let part = 0; part <= staging.last; part++) whole.push(...(staging.parts.get(part) ?? []));
    if (call.awaiting.delete(owner.nodeId) || call.silent.delete(owner.nodeId)) {
      for (const entry of whole) call.answers.push({ entry, owner });
    }
    return { call, seq: message.state.seq, entries: whole };
  }

  stopAwaiting(nodeId: string, isSilent: boolean): void {
    for (const { awaiting, silent } of this.#calls.values()) {
      silent.delete(nodeId);
      if (awaiting.delete(nodeId) && isSilent) silent.add(nodeId);
    }
  }

  nextDue(): number {
    let at = Infinity;
    for (const { awaiting, until } of this.#open) {
      at = Math.min(at, awaiting.size === 0 ? -Infinity : until);
    }
    return at;
  }

  /** Ends the calls that all have answered, or that have waited long enough. */
  tick(now: number): void {
    for (const call of this.#open) {
      if (call.awaiting.size > 0 && now < call.until) continue;
      this.#open.delete(call);
      call.onEnd(call);
    }
    for (const call of this.#calls.values()) {
      if (this.#open.has(call) || now < call.until + LATE_MS) return;
      this.#calls.delete(call.id);
    }
  }
}
