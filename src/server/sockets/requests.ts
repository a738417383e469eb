import type { Driver } from '../driver.js';
import { describeError, PresenceError } from '../errors.js';
import { roomOf, type FanOut } from '../fan-out.js';
import { checkId, checkPatch, type PresenceLimits } from '../limits.js';
import type { PresenceLogger } from '../options.js';
import type { Presence } from '../presence.js';
import { checkWatch } from '../watching/watch-query.js';
import type { Watches } from '../watching/watches.js';
import type { Admission } from './admission.js';
import type { Identified } from './identity.js';
import type { Session } from './session.js';

/**
 * The events that clients send, each answered whatever happens. Everything a client sends is checked
 * here; the core sees only what passed.
 */

export interface RequestsHost {
  readonly driver: Driver;
  readonly fanOut: FanOut;
  readonly watches: Watches;
  readonly limits: PresenceLimits;
  readonly logger: PresenceLogger;
  readonly fetchCommunity: Presence['fetchCommunity'];
  readonly onRefused: (code: string) => void;
}

type Listener = (...args: unknown[]) => void;

type Handler = (
  session: Session,
  identity: Identified,
  argument: unknown,
  second: unknown,
) => Promise<object>;

/** A list that is asked for waits for what is about to be told: so often, each time for so many ms. */
const MOST_LOOKS = 20;
const LOOK_MS = 5;

const ignore = (): void => {};

export class Requests {
  readonly #sessions: ReadonlyMap<string, Session>;
  readonly #admission: Admission;
  readonly #host: RequestsHost;

  constructor(sessions: ReadonlyMap<string, Session>, admission: Admission, host: RequestsHost) {
    this.#sessions = sessions;
    this.#admission = admission;
    this.#host = host;
  }

  /** What a socket's events are to be listened to with. */
  listeners(socketId: string): readonly (readonly [event: string, listener: Listener])[] {
    return [
      ['presenceUpdate', this.#listener(socketId, (s, _i, a) => this.#update(s, a))],
      ['joinCommunity', this.#listener(socketId, (s, _i, a) => this.#join(s, a))],
      ['leaveCommunity', this.#listener(socketId, (s, _i, a) => this.#leave(s, a))],
      ['presenceSync', this.#listener(socketId, (s, i, a) => this.#sync(s, i, a))],
      ['presenceWatch', this.#listener(socketId, (s, _i, a, b) => this.#watch(s, a, b))],
    ];
  }

  /** Wraps an event: finds the acknowledgement, checks who asks, and answers whatever happens. */
  #listener(socketId: string, handle: Handler): Listener {
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
      const identity = await session.identity;
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

  async #update(session: Session, argument: unknown): Promise<object> {
    const patch = session.givenStatus.filter(checkPatch(argument, this.#host.limits));
    return session.updates.add(patch) ? {} : { delayed: true };
  }

  async #join(session: Session, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    await session.turns.take(ignore);
    return session.turns.inOrder(communityId, async () => {
      await this.#admission.checkEntry(session, communityId);
      // A client leaves what it joined itself, not what it was given by `identify`.
      const isNew = this.#admission.checkRoom(session, communityId);
      this.#host.watches.unwatch(session.socket.id, communityId);
      this.#admission.enter(session, communityId);
      return { communityId, isNew };
    });
  }

  async #watch(session: Session, argument: unknown, second: unknown): Promise<object> {
    const { limits, watches } = this.#host;
    const communityId = checkId(argument, 'communityId', limits);
    const query = checkWatch(second, limits);
    await session.turns.take(ignore);
    const { watched } = await session.turns.inOrder(communityId, async () => {
      await this.#admission.checkEntry(session, communityId);
      const isNew = this.#admission.checkRoom(session, communityId);
      const { id } = session.socket;
      if (query === null) {
        watches.unwatch(id, communityId);
        this.#admission.enter(session, communityId);
        return { watched: null };
      }
      // What is watched may come later: what is asked for next does not wait for it.
      const begun = { watched: watches.watch(id, communityId, query) };
      if (isNew) this.#admission.enter(session, communityId);
      return begun;
    });
    if (watched === null) return { communityId };
    const state = await watched;
    if (state === undefined) {
      throw new PresenceError('UNAVAILABLE', 'watching ended before it began');
    }
    return state;
  }

  async #leave(session: Session, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    await session.turns.take(ignore);
    return session.turns.inOrder(communityId, async () => {
      if (!session.gone && session.communities.delete(communityId)) {
        this.#host.watches.unwatch(session.socket.id, communityId);
        void session.socket.leave(roomOf(communityId));
        this.#host.driver.input((node, t) => node.leave(session.socket.id, communityId, t));
      }
      return { communityId };
    });
  }

  async #sync(session: Session, identity: Identified, argument: unknown): Promise<object> {
    const communityId = checkId(argument, 'communityId', this.#host.limits);
    return session.turns.take(async () => {
      await this.#told(session, communityId);
      await this.#admission.checkAuthority(session, communityId);
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
  /** Whoever was answered finds it in the list, and themselves: what they did is told with the next flush. */
  async #told(session: Session, communityId: string): Promise<void> {
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const community = this.#host.driver.node.community(communityId);
      const isIn = community?.sockets.has(session.socket.id) === true;
      const isDue = session.communities.has(communityId) && !isIn;
      if (!isDue && community?.isIdle !== false) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}
