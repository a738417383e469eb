import { callAll, createBatch } from '../batch.js';
import { share } from '../share.js';
import type { Data, PresenceSocket, PresenceState, Refusal, UserPresence } from '../types.js';

/** What to watch of a large community. Without any of these: all of it, told in diffs. */
export interface PresenceWindowQuery {
  /** A part of the sorted list. Defaults: offset 0, limit 50, sort `availability`. */
  readonly window?: {
    readonly offset?: number;
    readonly limit?: number;
    /** By availability (active, busy, idle) and then by name, or by name alone. */
    readonly sort?: 'availability' | 'name';
  };
  /** These users, wherever they stand in the list, as for a contact list. */
  readonly users?: readonly string[];
  /** Only how many users are online. */
  readonly countOnly?: boolean;
}

/** What is watched at one moment. Immutable; the same object for as long as nothing changes. */
export interface PresenceWindowSnapshot<Info = Data, Meta = Data> {
  readonly communityId: string;
  /** `stale`: the connection is lost, or not yet caught up; what was known last stays. */
  readonly state: PresenceState;
  /** The users in the window, in its order; without a window all who are watched and online. */
  readonly users: readonly UserPresence<Info, Meta>[];
  /** Distinct users online in the whole community. */
  readonly total: number;
  /** False while the server may not know of somebody. */
  readonly complete: boolean;
  /** Why, while `denied`. */
  readonly error?: Refusal;
}

/** A watched part of a community. Fits `useSyncExternalStore` and plain code. */
export interface PresenceWindow<Info = Data, Meta = Data> {
  readonly getSnapshot: () => PresenceWindowSnapshot<Info, Meta>;
  /** Calls the listener after each change, at most once a frame. Gives the function that ends it. */
  readonly subscribe: (listener: () => void) => () => void;
  /** A watched user, in the window or named, or undefined while offline. */
  readonly user: (userId: string) => UserPresence<Info, Meta> | undefined;
  /** Watches something else from now on, such as the next page. What was known stays until it is known. */
  readonly setQuery: (query: PresenceWindowQuery) => void;
  /** Ends watching and leaves the community. The socket stays as it is. */
  readonly close: () => void;
}

interface Diff {
  readonly communityId: string;
  readonly total: number;
  readonly complete: boolean;
  readonly users?: readonly UserPresence[];
  readonly gone?: readonly { readonly userId: string }[];
  readonly order?: readonly string[];
  readonly self?: UserPresence | null;
  readonly reset?: true;
}

type Answer = ({ ok: true } & Diff) | { ok: false; error: Refusal };

const ANSWER_MS = 10_000;
const RETRY_MS = 1000;
/** A list that is scrolled asks no more often than this, lest the server refuse what is asked beside it. */
const PACE_MS = 100;
/** Refusals that may be another answer a moment later. */
const PASSING = /RATE_LIMITED|UNAVAILABLE|TIMEOUT/;

/**
 * Watches a part of a community over a socket.io-client socket, which the application makes and owns:
 * a window of the sorted list, named users, the count. Give the socket `auth: { presenceWatch: true }`,
 * so that the server does not send whole lists first. One window per community and socket; do not use
 * `createPresenceClient().community()` for the same community beside it.
 */
export function createPresenceWindow<Info = Data, Meta = Data>(
  socket: PresenceSocket,
  communityId: string,
  query: PresenceWindowQuery = {},
): PresenceWindow<Info, Meta> {
  const listeners = new Set<() => void>();
  let users = new Map<string, UserPresence>();
  let order: readonly string[] | undefined;
  let self: UserPresence | undefined;
  let snapshot: PresenceWindowSnapshot = {
    communityId,
    state: 'syncing',
    users: [],
    total: 0,
    complete: false,
  };
  let draft: Omit<PresenceWindowSnapshot, 'users'> = snapshot;
  /** Counts what was asked. */
  let asked = 0;
  /** What was asked before this is nothing any more: the connection or the right to watch was lost. */
  let first = 1;
  /** What was answered last, which is what diffs build on. */
  let answered = 0;
  let askedAt = 0;
  let watched = query;
  let isClosed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** The own user sees itself even where the others do not. */
  const find = (userId: string): UserPresence | undefined =>
    self?.userId === userId ? self : users.get(userId);

  const batch = createBatch(() => {
    const shown = order?.map(find) ?? [...users.keys()].map(find);
    if (self !== undefined && order === undefined && !users.has(self.userId)) {
      if (watched.users?.includes(self.userId) ?? watched.countOnly !== true) shown.push(self);
    }
    let list = shown.filter((user) => user !== undefined);
    const was = snapshot.users;
    if (list.length === was.length && list.every((user, i) => user === was[i])) {
      list = was as UserPresence[];
    }
    const next = { ...draft, users: list };
    const keys = Object.keys({ ...snapshot, ...next }) as (keyof typeof next)[];
    if (keys.every((key) => next[key] === snapshot[key])) return;
    snapshot = next;
    callAll(listeners);
  });

  const take = (diff: Diff, isAll: boolean): void => {
    const known = users;
    if (isAll) {
      users = new Map();
      order = undefined;
      self = undefined;
    }
    for (const user of diff.users ?? []) {
      users.set(user.userId, share(known.get(user.userId), user));
    }
    for (const { userId } of diff.gone ?? []) users.delete(userId);
    if (diff.self !== undefined) self = diff.self ?? undefined;
    if (diff.order !== undefined) {
      order = diff.order;
      const shown = new Set([...order, ...(watched.users ?? [])]);
      for (const userId of users.keys()) if (!shown.has(userId)) users.delete(userId);
    }
    const { total, complete } = diff;
    draft = { communityId, state: 'live', total, complete };
  };

  const deny = (error: Refusal): void => {
    first = asked + 1;
    batch.add(() => {
      users = new Map();
      order = undefined;
      self = undefined;
      draft = { communityId, state: 'denied', total: 0, complete: false, error };
    });
  };

  const ask = (): void => {
    clearTimeout(timer);
    if (!socket.connected || isClosed) return;
    const question = ++asked;
    const wanted = query;
    askedAt = performance.now();
    socket
      .timeout(ANSWER_MS)
      .emit('presenceWatch', communityId, query, (failed: unknown, answer: Answer) => {
        if (question < first) return;
        const error = failed
          ? { code: 'TIMEOUT', message: 'no answer' }
          : answer.ok
            ? undefined
            : answer.error;
        if (error === undefined) {
          answered = question;
          batch.add(() => {
            watched = wanted;
            take(answer as Diff, true);
          });
        } else if (question === asked) {
          clearTimeout(timer);
          if (PASSING.test(error.code)) timer = setTimeout(ask, RETRY_MS);
          else deny(error);
        }
      });
  };

  const handlers = {
    connect: ask,
    disconnect: () => {
      first = asked + 1;
      batch.add(() => {
        if (draft.state === 'live') draft = { ...draft, state: 'stale', complete: false };
      });
    },
    connect_error: ({ message }: Error) => {
      if (!socket.active) deny({ code: 'HANDSHAKE_REFUSED', message });
    },
    presenceDenied: (denied: { communityId: string; error: Refusal }) => {
      if (denied.communityId === communityId) deny(denied.error);
    },
    presenceDiff: (diff: Diff) => {
      if (diff.communityId !== communityId || answered < first) return;
      batch.add(() => take(diff, diff.reset === true));
    },
  };
  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler);
  ask();

  const window: PresenceWindow = {
    getSnapshot: () => snapshot,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    user: find,
    setQuery: (next) => {
      query = next;
      clearTimeout(timer);
      const waitMs = askedAt + PACE_MS - performance.now();
      if (waitMs > 0) timer = setTimeout(ask, waitMs);
      else ask();
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      clearTimeout(timer);
      deny({ code: 'CLOSED', message: 'the window is closed' });
      batch.flush();
      for (const [event, handler] of Object.entries(handlers)) socket.off(event, handler);
      // Without a connection it is sent on the next one: a recovered one is in the community still.
      if (asked > 0 && socket.active) socket.emit('leaveCommunity', communityId);
    },
  };
  return window as unknown as PresenceWindow<Info, Meta>;
}
