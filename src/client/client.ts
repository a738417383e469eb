import { callAll, createBatch } from './batch.js';
import { createCommunity, type Community, type ListInfo } from './community.js';
import type { PresenceDevice } from './device.js';
import { watchIdle } from './idle.js';
import { createOwnDevice } from './own-device.js';
import type {
  ClientSnapshot,
  CommunityStore,
  Data,
  DevicePatch,
  PresenceSocket,
  Refusal,
  SettableStatus,
  UpdateResult,
  UserPresence,
} from './types.js';

/** What `createPresenceClient` takes. */
export interface PresenceClientOptions {
  /** This device, where the application gives it to the server by `device.auth`. Default: the server knows it by the socket's id. */
  readonly device?: PresenceDevice;
  /** Who the server says this client is. Default: found out from the first list with this device. */
  readonly userId?: string;
  /** Without input for so long, an `active` device says that it is `idle`. Default 300 000 ms; false: never. Only in browsers. */
  readonly idleAfterMs?: number | false;
  /** `setTyping(true)` ends by itself after this. Less than the server's `typingTimeoutMs`. Default 4000 ms. */
  readonly typingMs?: number;
  /** A community that nobody subscribes to any more is left after this. Default 5000 ms; false: never. */
  readonly leaveAfterMs?: number | false;
}

/** Presence over a socket of the application. */
export interface PresenceClient<Info = Data, Meta = Data> {
  /** The store of a community; the same one for the same id. */
  readonly community: (communityId: string) => CommunityStore<Info, Meta>;
  /** The user in the first community that has them, or undefined while offline in all. */
  readonly user: (userId: string) => UserPresence<Info, Meta> | undefined;
  /** The stores that were asked for. */
  readonly communities: () => readonly CommunityStore<Info, Meta>[];
  /** The connection and this device. */
  readonly getSnapshot: () => ClientSnapshot<Meta>;
  /** Calls the listener after each change of anything, at most once a frame. */
  readonly subscribe: (listener: () => void) => () => void;
  /**
   * Changes this device. The change shows at once, and is taken back should the server refuse it.
   * Without a connection it is sent when there is one, unless a later change overwrites it. Never rejects.
   */
  readonly update: (patch: DevicePatch<Meta>) => Promise<UpdateResult>;
  readonly setStatus: (status: SettableStatus) => Promise<UpdateResult>;
  /** What this device looks at; null for nothing. */
  readonly setBoard: (boardId: string | null) => Promise<UpdateResult>;
  /** Call it with true at each keystroke, with false when the text is sent. Sends no more than is needed. */
  readonly setTyping: (isTyping: boolean) => Promise<UpdateResult>;
  readonly setMeta: (meta: Meta | null) => Promise<UpdateResult>;
  /**
   * Takes all listeners off the socket and the page, and ends the timers. The socket stays as it is, and
   * the device begins anew with the status that it had.
   */
  readonly close: () => void;
}

type Timer = ReturnType<typeof setTimeout> | undefined;

/** A community's store, and how it stands with the server. */
interface Held extends Community, CommunityStore {
  readonly listeners: Set<() => void>;
  /** To be joined on each connection. */
  isWanted?: boolean;
  /** This client has joined it. False: the server did so by itself, and it is not this client's to leave. */
  isOwn?: boolean | undefined;
  leaving?: Timer;
  retry?: Timer;
}

type Answer = { ok: true; isNew?: boolean } | { ok: false; error: Refusal };

const RETRY_MS = 1000;
/** How long the server may take to answer. */
const ANSWER_MS = 10_000;
const TIMED_OUT: Refusal = { code: 'TIMEOUT', message: 'no answer' };
const CLOSED: Refusal = { code: 'CLOSED', message: 'the client is closed' };
/** Refusals that may be another answer a moment later. */
const PASSING = /RATE|UNAV|TIME/;

/**
 * Keeps presence over a socket.io-client socket, which the application makes and owns. Make it before
 * the socket connects, or at any time after. One for each socket and login: before another user signs in
 * over the same socket, close it and make another, or that user starts with what this one has set.
 */
export function createPresenceClient<Info = Data, Meta = Data>(
  socket: PresenceSocket,
  options: PresenceClientOptions = {},
): PresenceClient<Info, Meta> {
  let { device } = options;
  const { leaveAfterMs = 5000, typingMs = 4000, idleAfterMs = 300_000 } = options;
  const first = device?.status ?? 'active';
  const held = new Map<string, Held>();
  const listeners = new Set<() => void>();
  /** One for each connection: an answer to an earlier one is nothing to this one. */
  let connection: Omit<ClientSnapshot, 'self'> = { state: 'syncing' };
  let shownConnection = connection;
  let snapshot: ClientSnapshot;

  const batch = createBatch(() => {
    const self = own.getSelf();
    const told: Iterable<() => void>[] = [];
    // All change before anybody is told, so that nobody sees some of it.
    for (const one of held.values()) if (one.publish(self)) told.push(one.listeners);
    if (snapshot.self !== self || shownConnection !== connection) {
      shownConnection = connection;
      snapshot = { ...connection, self };
    } else if (!told[0]) return;
    [...told, listeners].forEach(callAll);
  });

  /** True when it was sent. */
  const request = (event: string, argument: unknown, done: (answer: Answer) => void): boolean => {
    const asked = connection;
    const isConnected = asked.state === 'live';
    if (asked.error === CLOSED) done({ ok: false, error: CLOSED });
    else if (isConnected) {
      socket.timeout(ANSWER_MS).emit(event, argument, (failed: unknown, answer: Answer) => {
        if (asked === connection) done(failed ? { ok: false, error: TIMED_OUT } : answer);
      });
    }
    return isConnected;
  };

  const own = createOwnDevice({
    initial: {
      userId: options.userId,
      deviceId: device?.deviceId,
      status: first,
      typing: false,
    },
    send: (patch, done) => request('presenceUpdate', patch, done),
    onChange: ({ status }) => {
      if (device) device.status = status;
      // At once: a field that shows what was typed must not show the old for a frame.
      batch.flush();
    },
  });
  snapshot = { ...connection, self: own.getSelf() };

  // Communities.

  const hold = (communityId: string): Held => {
    const known = held.get(communityId);
    if (known) return known;
    const one: Held = {
      ...createCommunity(communityId),
      communityId,
      subscribe: (listener) => subscribe(one, listener),
      listeners: new Set(),
    };
    held.set(communityId, one);
    batch.add(() => one.turn(connection));
    return one;
  };

  const subscribe = (one: Held, listener: () => void): (() => void) => {
    clearTimeout(one.leaving);
    one.listeners.add(listener);
    if (!one.isWanted || one.getSnapshot().state === 'denied') {
      one.isWanted = true;
      settle(one);
    }
    return () => {
      if (!one.listeners.delete(listener) || one.listeners.size > 0 || leaveAfterMs === false)
        return;
      one.leaving = setTimeout(() => leave(one), leaveAfterMs);
    };
  };

  /** Joins or leaves, as is wanted; again where the refusal may pass. */
  const settle = (one: Held): void => {
    const { isWanted, communityId } = one;
    clearTimeout(one.retry);
    request(isWanted ? 'joinCommunity' : 'leaveCommunity', communityId, (answer) => {
      if (one.isWanted !== isWanted) return;
      if (answer.ok) one.isOwn = isWanted ? (one.isOwn ?? answer.isNew) : undefined;
      else if (PASSING.test(answer.error.code)) one.retry = setTimeout(settle, RETRY_MS, one);
      else if (isWanted) batch.add(() => one.turn(answer));
    });
  };

  const leave = (one: Held): void => {
    if (one.isOwn === false) return;
    one.isWanted = false;
    settle(one);
    batch.add(one.clear);
  };

  // What the server says. Arguments beyond those named may follow, and are ignored.

  /**
   * Changes a community, where it is asked for and this connection says so. A map that the application
   * has had before may tell by the same names, and of no community.
   */
  const when = (told: Told | undefined, change: (community: Community) => void): void => {
    const one = held.get(told?.communityId as string);
    if (connection.state === 'live' && one?.isWanted) batch.add(() => change(one));
  };
  const notice = (user: UserPresence): void => {
    const { userId = user.userId, deviceId } = snapshot.self;
    if (userId !== user.userId) return;
    for (const { deviceId: each, status, boardId, meta } of user.devices) {
      if (each === deviceId) own.name({ userId, status, boardId, meta });
    }
  };

  /** The connection is another one, and so is what each community knows. */
  const turn = (next: typeof connection): void => {
    connection = next;
    batch.add(() => held.forEach((one) => one.turn(connection)));
  };

  /** Somebody came, changed or, where nothing is said of them, went. */
  const replace = (event: Told & { userId: string; userPresence?: UserPresence }): void =>
    when(event, (community) => community.replace(event.userId, event.userPresence));

  const handlers = {
    connect: () => {
      turn({ state: 'live' });
      own.name({ deviceId: device?.deviceId ?? socket.id });
      own.connected();
      // What was left without a connection is left now: a recovered one is in it still.
      for (const one of held.values()) if (one.isWanted || one.isOwn) settle(one);
    },
    disconnect: () => turn({ state: 'stale', staleSince: Date.now() }),
    connect_error: ({ message }: Error) => {
      if (!socket.active) turn({ state: 'denied', error: { code: 'HANDSHAKE_REFUSED', message } });
    },
    globalPresenceSync: (users: UserPresence[], info: ListInfo) =>
      when(info, (community) => {
        users.forEach(notice);
        community.list(users, info);
      }),
    userOnline: replace,
    userUpdated: replace,
    userOffline: replace,
    presenceDenied: (event: Told & { error: Refusal }) =>
      when(event, (community) => community.turn(event)),
  };
  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler);

  // This device.

  /** What somebody said, and not what follows from use. */
  let chosen: SettableStatus | undefined;
  const unwatchIdle =
    idleAfterMs === false
      ? undefined
      : watchIdle(idleAfterMs, (isIdle) => {
          const { status } = snapshot.self;
          if (isIdle ? status === 'active' : status === 'idle' && chosen !== status) {
            void own.change({ status: isIdle ? 'idle' : 'active' });
          }
        });

  const update = (patch: DevicePatch): Promise<UpdateResult> => {
    chosen = patch.status ?? chosen;
    return own.change(patch);
  };
  let typingEnds: ReturnType<typeof setTimeout> | undefined;
  let typingSaidAt = 0;
  const setTyping = async (typing: boolean): Promise<UpdateResult> => {
    clearTimeout(typingEnds);
    if (typing) typingEnds = setTimeout(() => void setTyping(false), typingMs);
    const isSaid = snapshot.self.typing === typing;
    // The server ends typing by itself, so it is said again from time to time.
    if (isSaid && (!typing || performance.now() - typingSaidAt < typingMs / 2)) return { ok: true };
    typingSaidAt = performance.now();
    return update({ typing });
  };

  if (socket.connected) handlers.connect();

  const client: PresenceClient = {
    community: hold,
    communities: () => [...held.values()],
    user: (userId) => [...held.values()].map((one) => one.user(userId)).find(Boolean),
    getSnapshot: () => snapshot,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    update,
    setStatus: (status) => update({ status }),
    setBoard: (boardId) => update({ boardId }),
    setTyping,
    setMeta: (meta) => update({ meta }),
    close: () => {
      turn({ state: 'denied', error: CLOSED });
      for (const [event, handler] of Object.entries(handlers)) socket.off(event, handler);
      for (const one of held.values()) {
        clearTimeout(one.leaving);
        clearTimeout(one.retry);
      }
      clearTimeout(typingEnds);
      unwatchIdle?.();
      // Who is next with this device begins as this one did.
      if (device) device.status = first;
      device = undefined;
      // Answers whatever still waits.
      own.connected();
      batch.flush();
    },
  };
  return client as unknown as PresenceClient<Info, Meta>;
}

interface Told {
  readonly communityId: string;
}
