import { decodeEntries } from './entry.js';
import { encodePiece } from './log.js';
import { foldPublic, type Owner, type UserRecord } from './roster.js';
import type { Effect, Entry, UserPresence } from './types.js';

const TIMEOUT_MS = 1000;
/** Bounds of an answer: a user has few devices in few communities. */
const ANSWER_ENTRIES = 1000;
const ANSWER_BYTES = 512 * 1024;

export interface UserQueriesHost {
  readonly onAnswered: (answer: Extract<Effect, { kind: 'answered' }>) => void;
  /** The user as this node shows them, in the communities that it tells of. */
  readonly shown: (userId: string) => readonly UserRecord[] | undefined;
}

export interface OwnedEntry {
  readonly entry: Entry;
  readonly owner: Owner;
  /** As in `Held`. Default 0. */
  readonly until?: number;
}

interface Query {
  readonly userId: string;
  readonly until: number;
  readonly awaiting: Set<string>;
  readonly entries: OwnedEntry[];
  /** Nodes that have spoken for themselves. */
  readonly heard: Set<string>;
}

/**
 * Questions about one user to every node, folded when all have answered or time is up. Who lingers from
 * a node that does not answer any more, or on the way to another, is taken from what is shown here.
 */
export class UserQueries {
  readonly #host: UserQueriesHost;
  readonly #open = new Map<number, Query>();

  constructor(host: UserQueriesHost) {
    this.#host = host;
  }

  begin(
    id: number,
    userId: string,
    own: readonly Entry[],
    self: Owner,
    awaiting: Set<string>,
    now: number,
  ): void {
    const entries = own.map((entry) => ({ entry, owner: self }));
    const heard = new Set([self.nodeId]);
    this.#open.set(id, { userId, until: now + TIMEOUT_MS, awaiting, entries, heard });
  }

  /** What this node answers to others. */
  bodyOf(entries: readonly Entry[]): string {
    return encodePiece(entries, 0, ANSWER_ENTRIES, ANSWER_BYTES).body;
  }

  /** Takes an answer in; false where it cannot be read. */
  answer(id: number, owner: Owner, body: string): boolean {
    const query = this.#open.get(id);
    if (query === undefined || !query.awaiting.has(owner.nodeId)) return true;
    const entries = decodeEntries(body);
    if (entries === undefined) return false;
    query.awaiting.delete(owner.nodeId);
    query.heard.add(owner.nodeId);
    for (const entry of entries) {
      if (entry.userId === query.userId) query.entries.push({ entry, owner });
    }
    return true;
  }

  stopAwaiting(nodeId: string): void {
    for (const query of this.#open.values()) query.awaiting.delete(nodeId);
  }

  nextDue(): number {
    let at = Infinity;
    for (const { awaiting, until } of this.#open.values()) {
      at = Math.min(at, awaiting.size === 0 ? -Infinity : until);
    }
    return at;
  }

  tick(now: number, isTrusted: boolean): void {
    for (const [id, query] of this.#open) {
      if (query.awaiting.size > 0 && now < query.until) continue;
      this.#open.delete(id);
      const complete = isTrusted && query.awaiting.size === 0;
      const { onAnswered, shown } = this.#host;
      for (const user of shown(query.userId) ?? []) {
        for (const held of user.held) {
          if (held.until !== 0 || !query.heard.has(held.owner.nodeId)) query.entries.push(held);
        }
      }
      onAnswered({ kind: 'answered', id, complete, communities: fold(query.entries) });
    }
  }
}

/** Folds entries of any users and communities into what others see of them. */
export function fold(entries: Iterable<OwnedEntry>): UserPresence[] {
  const records = new Map<string, UserRecord>();
  for (const { entry, owner, until = 0 } of entries) {
    const { communityId, userId } = entry;
    const key = `${communityId}\0${userId}`;
    let user = records.get(key);
    if (user === undefined) {
      user = { userId, communityId, held: [], told: null, toldOwn: null };
      records.set(key, user);
    }
    user.held.push({ entry, owner, user, until, untilReason: 'left', seenAt: 0 });
  }
  const users: UserPresence[] = [];
  for (const user of records.values()) {
    const presence = foldPublic(user);
    if (presence !== null) users.push(presence);
  }
  return users;
}
