import type { Namespace, Socket } from 'socket.io';
import type { DevicePatch, EvictionTarget } from '../core/index.js';
import type { Driver } from './driver.js';
import { inTime } from '../transport/in-time.js';
import { describeError, PresenceError } from './errors.js';
import type { FanOut } from './fan-out.js';
import {
  checkData,
  checkId,
  checkPatch,
  checkStatus,
  TokenBucket,
  type PresenceLimits,
} from './limits.js';
import type { PresenceIdentity, PresenceLogger, PresenceOptions } from './options.js';
import type { CommunityList } from './presence.js';
import { checkWatch } from './watch-query.js';
import type { Watches } from './watches.js';

/**
 * The sockets of this node: who they are, what they may do, and the four events that clients send.
 * Everything a client sends is checked here; the core sees only what passed.
 */

export interface SocketsHost {
  readonly driver: Driver;
  readonly fanOut: FanOut;
  readonly watches: Watches;
  readonly limits: PresenceLimits;
  readonly logger: PresenceLogger;
  readonly options: PresenceOptions;
  readonly fetchCommunity: (communityId: string) => Promise<CommunityList>;
  readonly onRefused: (code: string) => void;
  readonly onShutdown: () => void;
}

/** A device that the application has named, after all checks. */
interface Identified extends PresenceIdentity {
  readonly deviceId: string;
  readonly communities: readonly string[];
}

interface Session {
  readonly socket: Socket;
  /** Settles when the socket is identified; null where it has no presence. */
  identity: Promise<Identified | null>;
  identified: Identified | null;
  readonly communities: Set<string>;
  readonly updates: TokenBucket;
  readonly requests: TokenBucket;
  /** What waits to be applied because updates came too fast. */
  delayed: DevicePatch | null;
  delayTimer: NodeJS.Timeout | undefined;
  proving: boolean;
  gone: boolean;
  /** Communities taken from it so far: authority that was asked for before counts no more. */
  revocations: number;
  /** Settles when what was asked for last has had its turn. */
  turn: Promise<void>;
  /** What is asked for last of each community, until it is done. */
  readonly inOrder: Map<string, Promise<void>>;
  /** 0, or since when the socket cannot keep up. */
  slowSince: number;
  readonly detach: () => void;
}

type Handler = (
  session: Session,
  identity: Identified,
  argument: unknown,
  second: unknown,
) => Promise<object>;

/** Disconnects that somebody wanted; every other kind may come back. */
const DELIBERATE = new Set(['client namespace disconnect', 'server namespace disconnect']);

const ignore = (): void => {};

/** How often it is looked whether a socket has drained. */
const DRAIN_MS = 50;

/** A socket that has not drained for so long is disconnected. */
const STUCK_MS = 30_000;

export class Sockets {
  readonly #nsp: Namespace;
  readonly #host: SocketsHost;
  readonly #sessions = new Map<string, Session>();
  readonly #onConnection = (socket: Socket): void => this.#attach(socket);

  constructor(nsp: Namespace, host: SocketsHost) {
    this.#nsp = nsp;
    this.#host = host;
    nsp.on('connection', this.#onConnection);
    // The server may have been serving before presence was added.
    for (const socket of nsp.sockets.values()) this.#attach(socket);
  }

  get slow(): number {
    let slow = 0;
    for (const session of this.#sessions.values()) if (session.slowSince > 0) slow++;
    return slow;
  }

  #attach(socket: Socket): void {
    const now = performance.now();
    const { limits } = this.#host;
    const handlers: [string, (...args: unknown[]) => void][] = [
      ['presenceUpdate', this.#handler(socket.id, (s, i, a) => this.#update(s, i, a))],
      ['joinCommunity', this.#handler(socket.id, (s, i, a) => this.#join(s, i, a))],
      ['leaveCommunity', this.#handler(socket.id, (s, i, a) => this.#leave(s, i, a))],
      ['presenceSync', this.#handler(socket.id, (s, i, a) => this.#sync(s, i, a))],
      ['presenceWatch', this.#handler(socket.id, (s, _i, a, b) => this.#watch(s, a, b))],
    ];
    const onDisconnect = (reason: string): void => this.#gone(socket.id, reason);
    const conn = socket.conn as unknown as {
      on(event: 'heartbeat', listener: () => void): void;
      off(event: 'heartbeat', listener: () => void): void;
    };
    // The client has answered a ping.
    const onHeartbeat = (): void => {
      this.#host.driver.input((node, t) => node.alive(socket.id, t));
    };
    const session: Session = {
      socket,
      identity: Promise.resolve(null),
      identified: null,
      communities: new Set(),
      updates: new TokenBucket(limits.updatesPerSecond, limits.updatesPerSecond, now),
      requests: new TokenBucket(
        limits.requestsPerSecond,
        limits.requestsPerSecond + limits.communitiesPerSocket,
        now,
      ),
      delayed: null,
      delayTimer: undefined,
      proving: false,
      gone: false,
      revocations: 0,
      turn: Promise.resolve(),
      inOrder: new Map(),
      slowSince: 0,
      detach: () => {
        for (const [event, handler] of handlers) socket.off(event, handler);
        socket.off('disconnect', onDisconnect);
        conn.off('heartbeat', onHeartbeat);
      },
    };
    this.#sessions.set(socket.id, session);
    for (const [event, handler] of handlers) socket.on(event, handler);
    socket.on('disconnect', onDisconnect);
    conn.on('heartbeat', onHeartbeat);
    session.identity = this.#identify(
      session,
      // Recovery has put it into its rooms before anybody said who it is.
      socket.recovered ? this.#host.fanOut.clear(socket) : [],
    );
  }

  /**
   * Identifies a socket and takes it into its communities: those that `identify` gave, and those that
   * a recovered connection was in before, each only where `authorize` agrees (again).
   */
  async #identify(session: Session, recovered: readonly string[]): Promise<Identified | null> {
    const { socket } = session;
    const { options, logger, limits } = this.#host;
    let identity: Identified;
    try {
      const said = await this.#decision(options.identify(socket), 'identify');
      if (said === null || said === undefined) return null;
      identity = checkIdentity(said, socket.id, limits);
    } catch (error) {
      logger.warn(
        { event: 'identify-failed', socketId: socket.id, error: String(error) },
        'a socket could not be identified and has no presence',
      );
      return null;
    }
    if (session.gone) return null;
    session.identified = identity;
    const { userId, deviceId, info, session: count, status } = identity;
    this.#host.driver.input((node, t) =>
      node.connect(socket.id, { userId, deviceId, info, session: count, status }, t),
    );
    const again = recovered.slice(0, limits.communitiesPerSocket - identity.communities.length);
    const given = [...new Set([...identity.communities, ...again])];
    await Promise.all(given.map((communityId) => this.#enterGiven(session, communityId)));
    return identity;
  }

  /** Takes a socket into a community that it did not ask for itself. */
  #enterGiven(session: Session, communityId: string): Promise<void> {
    const { socket, communities } = session;
    return this.#inOrder(session, communityId, async () => {
      if (!(await this.#mayJoin(session, communityId))) {
        this.#host.onRefused('NOT_AUTHORIZED');
        return;
      }
      if (!this.#hasRoom(session, communityId)) {
        this.#host.onRefused('LIMIT_EXCEEDED');
        return;
      }
      // A client that is going to watch says so, lest it be sent the list first.
      if (socket.handshake.auth['presenceWatch'] === true && !communities.has(communityId)) {
        this.#host.watches.mute(socket.id, communityId);
      }
      this.#enter(session, communityId);
    });
  }

  async #mayJoin(session: Session, communityId: string): Promise<boolean> {
    for (;;) {
      const { revocations, identified } = session;
      if (identified === null || session.gone) return false;
      const may = await this.#isAuthorized(identified, communityId);
      if (session.revocations === revocations) return may;
    }
  }

  async #isAuthorized(identity: Identified, communityId: string): Promise<boolean> {
    const { authorize } = this.#host.options;
    if (authorize === undefined) return identity.communities.includes(communityId);
    try {
      return (await this.#decision(authorize(identity, communityId), 'authorize')) === true;
    } catch (error) {
      this.#host.logger.error(
        { event: 'authorize-failed', error: String(error) },
        'authorize failed; the community was refused',
      );
      return false;
    }
  }

  /** What the application decides, in time: who waits for it is kept in memory. */
  #decision<T>(said: T | PromiseLike<T>, who: 'identify' | 'authorize'): T | Promise<T> {
    const isPending = typeof (said as Partial<PromiseLike<T>> | null)?.then === 'function';
    return isPending
      ? inTime(Promise.resolve(said), this.#host.limits.decisionMs, who)
      : (said as T);
  }

  #enter(session: Session, communityId: string): void {
    if (session.gone) return;
    session.communities.add(communityId);
    this.#host.driver.input((node, t) => node.join(session.socket.id, communityId, t));
  }

  /** Wraps an event: finds the acknowledgement, checks who asks, and answers whatever happens. */
  #handler(socketId: string, handle: Handler): (...args: unknown[]) => void {
    return (...args) => {
      const last = args.at(-1);
      const ack = typeof last === 'function' ? (last as (answer: object) => void) : undefined;
      const [argument, second] = ack === undefined ? args : args.slice(0, -1);
      void this.#answer(socketId, handle, argument, second).then((answer) => {
        try {
          ack?.(answer);
        } catch (error) {
          this.#report(error);
        }
      });
    };
  }

  async #answer(
    socketId: string,
    handle: Handler,
    argument: unknown,
    second: unknown,
  ): Promise<object> {
    try {
      const session = this.#sessions.get(socketId);
      if (session === undefined) throw new PresenceError('UNAVAILABLE', 'presence is closed');
      const identity = session.identified ?? (await session.identity);
      if (identity === null) {
        throw new PresenceError(
          'NOT_IDENTIFIED',
          'this socket has no presence: nobody said who it is',
        );
      }
      if (session.gone) throw new PresenceError('UNAVAILABLE', 'the socket has disconnected');
      return { ok: true, ...(await handle(session, identity, argument, second)) };
    } catch (error) {
      const described = describeError(error);
      this.#host.onRefused(described.code);
      if (!(error instanceof PresenceError)) this.#report(error);
      return { ok: false, error: described };
    }
  }

  #report(error: unknown): void {
    this.#host.logger.error(
      { event: 'handler-failed', error: error instanceof Error ? error.stack : String(error) },
      'a presence event failed unexpectedly',
    );
  }

  // The events.

  async #update(session: Session, _identity: Identified, argument: unknown): Promise<object> {
    const patch = checkPatch(argument, this.#host.limits);
    if (session.delayed !== null) {
      session.delayed = { ...session.delayed, ...patch };
      return { delayed: true };
    }
    const wait = session.updates.take(performance.now());
    if (wait > 0) {
      session.delayed = patch;
      session.delayTimer = setTimeout(() => this.#applyDelayed(session), wait);
      return { delayed: true };
    }
    this.#host.driver.input((node, t) => node.update(session.socket.id, patch, t));
    return {};
  }

  #applyDelayed(session: Session): void {
    const patch = session.delayed;
    session.delayed = null;
    if (patch === null || session.gone) return;
    session.updates.take(performance.now());
    this.#host.driver.input((node, t) => node.update(session.socket.id, patch, t));
  }

  async #join(session: Session, _identity: Identified, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    await this.#takeTurn(session, ignore);
    return this.#inOrder(session, communityId, async () => {
      await this.#checkEntry(session, communityId);
      // A client leaves what it joined itself, not what it was given by `identify`.
      const isNew = this.#checkRoom(session, communityId);
      this.#host.watches.unwatch(session.socket.id, communityId);
      this.#enter(session, communityId);
      return { communityId, isNew };
    });
  }

  /** Refuses before `authorize` is asked where that is known already. */
  async #checkEntry(session: Session, communityId: string): Promise<void> {
    this.#checkRoom(session, communityId);
    await this.#checkAuthority(session, communityId);
  }

  /**
   * Whether the community would be new to the socket; throws where it has too many. Others may have come
   * while `authorize` was asked, so it counts in the same turn as the entry.
   */
  #checkRoom(session: Session, communityId: string): boolean {
    if (this.#hasRoom(session, communityId)) return !session.communities.has(communityId);
    const { communitiesPerSocket } = this.#host.limits;
    throw new PresenceError(
      'LIMIT_EXCEEDED',
      `a socket may be in at most communitiesPerSocket (${communitiesPerSocket}) communities`,
    );
  }

  #hasRoom({ communities }: Session, communityId: string): boolean {
    return (
      communities.has(communityId) || communities.size < this.#host.limits.communitiesPerSocket
    );
  }

  async #watch(session: Session, argument: unknown, second: unknown): Promise<object> {
    const { limits, watches } = this.#host;
    const communityId = checkId(argument, 'communityId', limits);
    const query = checkWatch(second, limits);
    await this.#takeTurn(session, ignore);
    const { watched } = await this.#inOrder(session, communityId, async () => {
      await this.#checkEntry(session, communityId);
      const isNew = this.#checkRoom(session, communityId);
      const { id } = session.socket;
      if (query === null) {
        watches.unwatch(id, communityId);
        this.#enter(session, communityId);
        return { watched: null };
      }
      // What is watched may come later: what is asked for next does not wait for it.
      const begun = { watched: watches.watch(id, communityId, query) };
      if (isNew) this.#enter(session, communityId);
      return begun;
    });
    if (watched === null) return { communityId };
    const state = await watched;
    if (state === undefined) {
      throw new PresenceError('UNAVAILABLE', 'watching ended before it began');
    }
    return state;
  }

  async #leave(session: Session, _identity: Identified, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    await this.#takeTurn(session, ignore);
    return this.#inOrder(session, communityId, async () => {
      if (!session.gone && session.communities.delete(communityId)) {
        this.#host.watches.unwatch(session.socket.id, communityId);
        void session.socket.leave(`community:${communityId}`);
        this.#host.driver.input((node, t) => node.leave(session.socket.id, communityId, t));
      }
      return { communityId };
    });
  }

  async #sync(session: Session, identity: Identified, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    return this.#takeTurn(session, async () => {
      await this.#checkAuthority(session, communityId);
      const { node } = this.#host.driver;
      if (node.community(communityId)?.sockets.has(session.socket.id) === true) {
        const own = node.own(communityId, identity.userId);
        return {
          users: this.#host.fanOut.listFor(communityId, own),
          info: node.info(communityId),
        };
      }
      const { users, info } = await this.#host.fetchCommunity(communityId);
      return { users, info };
    });
  }

  #checkRate(session: Session): void {
    const wait = session.requests.take(performance.now());
    if (wait > 0) {
      throw new PresenceError(
        'RATE_LIMITED',
        `more than requestsPerSecond (${this.#host.limits.requestsPerSecond}); try again in ${wait} ms`,
      );
    }
  }

  /**
   * What a socket asks for of one community is done in the order in which it was asked for, however long
   * `authorize` takes: the last word counts. Other communities do not wait for it.
   */
  #inOrder<T>(session: Session, communityId: string, work: () => Promise<T>): Promise<T> {
    const { inOrder } = session;
    const before = inOrder.get(communityId);
    const done = before === undefined ? work() : before.then(work);
    const tail = done.then(ignore, ignore).then(() => {
      if (inOrder.get(communityId) === tail) inOrder.delete(communityId);
    });
    inOrder.set(communityId, tail);
    return done;
  }

  /**
   * What may be answered with a list waits for its turn: one in a turn of the event loop, and none while
   * the socket has not read what it was sent before. So a socket that asks and does not read costs no
   * memory. Turns are in the order in which they were asked for.
   */
  async #takeTurn<T>(session: Session, work: () => T | Promise<T>): Promise<T> {
    this.#checkRate(session);
    const done = session.turn.then(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      while (!session.gone && waitingBytes(session.socket) > this.#host.limits.slowSocketBytes) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
      }
      if (session.gone) throw new PresenceError('UNAVAILABLE', 'the socket has disconnected');
      return work();
    });
    session.turn = done.then(ignore, ignore);
    return done;
  }

  async #checkAuthority(session: Session, communityId: string): Promise<void> {
    const may = await this.#mayJoin(session, communityId);
    if (session.gone) throw new PresenceError('UNAVAILABLE', 'the socket has disconnected');
    if (!may) throw new PresenceError('NOT_AUTHORIZED', 'this community is not open to you');
  }

  // Life of a socket.

  #gone(socketId: string, reason: string): void {
    const session = this.#sessions.get(socketId);
    if (session === undefined) return;
    if (reason === 'server shutting down') {
      // The application closes its server: the leave must go out before the adapter closes.
      this.#host.onShutdown();
      return;
    }
    this.#end(session);
    const why = DELIBERATE.has(reason)
      ? 'left'
      : reason === 'ping timeout'
        ? 'timeout'
        : 'disconnected';
    this.#host.driver.input((node, t) => node.disconnect(socketId, why, t));
  }

  #end(session: Session): void {
    session.gone = true;
    clearTimeout(session.delayTimer);
    session.detach();
    for (const communityId of session.communities) {
      this.#host.watches.unwatch(session.socket.id, communityId);
    }
    this.#sessions.delete(session.socket.id);
  }

  /** Disconnects the sockets of a user or device, or takes them out of a community. */
  expel({ userId, deviceId, communityId }: EvictionTarget): void {
    for (const session of this.#sessions.values()) {
      const { socket, identified } = session;
      if (identified?.userId !== userId) continue;
      if (deviceId !== undefined && identified.deviceId !== deviceId) continue;
      if (communityId === undefined) {
        this.#end(session);
        socket.disconnect();
        continue;
      }
      session.revocations++;
      const wasIn = session.communities.delete(communityId);
      this.#host.watches.unwatch(socket.id, communityId);
      // What `identify` said of the community is out of date: only a new connection says it again.
      const communities = identified.communities.filter((id) => id !== communityId);
      session.identified = { ...identified, communities };
      void socket.leave(`community:${communityId}`);
      if (wasIn) this.#host.fanOut.denied(communityId, socket);
    }
  }

  /** Makes sockets show life: an Engine.IO ping that a living client answers by itself. */
  prove(socketIds: readonly string[]): void {
    for (const id of socketIds) {
      const session = this.#sessions.get(id);
      if (session === undefined || session.proving) continue;
      session.proving = true;
      const conn = session.socket.conn as unknown as {
        once(event: 'packet', listener: () => void): void;
        sendPacket?: (type: 'ping') => void;
      };
      conn.once('packet', () => {
        session.proving = false;
        if (!session.gone) this.#host.driver.input((node, t) => node.alive(id, t));
      });
      conn.sendPacket?.('ping');
    }
  }

  /** Sets sockets aside that cannot keep up, and gives them a fresh list when they have drained. */
  sweep(onSlow: () => void): void {
    const now = performance.now();
    for (const session of this.#sessions.values()) {
      const { socket } = session;
      const waiting = waitingBytes(socket);
      if (session.slowSince === 0) {
        if (waiting <= this.#host.limits.slowSocketBytes || session.communities.size === 0)
          continue;
        session.slowSince = now;
        onSlow();
        this.#host.fanOut.clear(socket);
        this.#host.watches.suspend(socket.id);
        this.#host.driver.input((node) => node.suspend(socket.id));
      } else if (waiting === 0) {
        session.slowSince = 0;
        this.#host.driver.input((node, t) => node.resume(socket.id, t));
      } else if (now - session.slowSince > STUCK_MS) {
        // Waiting for what it does not read would be waiting for ever, for its answer to a close, too.
        const { transport } = socket.conn as unknown as RawConnection;
        socket.conn.close(true);
        transport?.socket?.terminate?.();
      }
    }
  }

  close(): void {
    this.#nsp.off('connection', this.#onConnection);
    for (const session of this.#sessions.values()) this.#end(session);
  }
}

/** What is looked at of a connection that is not in Engine.IO's public types. */
interface RawConnection {
  readonly writeBuffer?: readonly { readonly data?: unknown }[];
  readonly transport?: {
    readonly socket?: { readonly bufferedAmount?: number; readonly terminate?: () => void };
  };
}

/** Bytes that wait to be sent to a socket, as far as the connection tells. */
function waitingBytes(socket: Socket): number {
  const conn = socket.conn as unknown as RawConnection;
  let bytes = conn.transport?.socket?.bufferedAmount ?? 0;
  for (const packet of conn.writeBuffer ?? []) {
    bytes += typeof packet.data === 'string' ? packet.data.length : 64;
  }
  return bytes;
}

/** Checks what `identify` gave, and fills in the device. */
export function checkIdentity(
  given: PresenceIdentity,
  socketId: string,
  limits: PresenceLimits,
): Identified {
  if (typeof given !== 'object') {
    throw new PresenceError('INVALID_ARGUMENT', 'identify must give an object or null');
  }
  const communities: unknown = given.communities ?? [];
  if (!Array.isArray(communities)) {
    throw new PresenceError('INVALID_ARGUMENT', 'communities must be an array of community ids');
  }
  if (communities.length > limits.communitiesPerSocket) {
    throw new PresenceError(
      'LIMIT_EXCEEDED',
      `${communities.length} communities are more than communitiesPerSocket (${limits.communitiesPerSocket})`,
    );
  }
  const { session } = given;
  if (session !== undefined && (!Number.isSafeInteger(session) || session < 0)) {
    throw new PresenceError('INVALID_ARGUMENT', 'session must be a whole number of at least 0');
  }
  return {
    userId: checkId(given.userId, 'userId', limits),
    deviceId: checkId(given.deviceId ?? socketId, 'deviceId', limits),
    communities: [...new Set(communities.map((id) => checkId(id, 'communityId', limits)))],
    ...(given.info !== undefined && { info: checkData(given.info, 'info', limits) }),
    ...(session !== undefined && { session }),
    ...(given.status !== undefined && { status: checkStatus(given.status) }),
  };
}
