import { inTime } from '../../transport/in-time.js';
import type { Driver } from '../driver.js';
import { PresenceError } from '../errors.js';
import { roomOf, type FanOut } from '../fan-out.js';
import type { PresenceLimits } from '../limits.js';
import type { PresenceLogger, PresenceOptions } from '../options.js';
import type { Watches } from '../watching/watches.js';
import { checkIdentity, type Identified } from './identity.js';
import type { Session } from './session.js';

/**
 * Who a socket is, and which communities it may be in. The application decides both and may take its
 * time for it, in which the socket may go, fill up, or lose what it is just being given.
 */

export interface AdmissionHost {
  readonly driver: Driver;
  readonly fanOut: FanOut;
  readonly watches: Watches;
  readonly limits: PresenceLimits;
  readonly logger: PresenceLogger;
  readonly options: Pick<PresenceOptions, 'identify' | 'authorize'>;
  readonly onRefused: (code: string) => void;
}

export class Admission {
  readonly #host: AdmissionHost;

  constructor(host: AdmissionHost) {
    this.#host = host;
  }

  /**
   * Identifies a socket, and begins to take it into its communities: those that `identify` gave, and
   * those that a recovered connection was in before, each only where `authorize` agrees (again). What the
   * socket asks for has to wait for the first alone: for each community it comes after the second.
   */
  async identify(session: Session, recovered: readonly string[]): Promise<Identified | null> {
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
    session.givenStatus.give(status, socket.handshake.auth['status']);
    this.#host.driver.input((node, t) =>
      node.connect(socket.id, { userId, deviceId, info, session: count, status }, t),
    );
    const again = recovered.slice(0, limits.communitiesPerSocket - identity.communities.length);
    const given = [...new Set([...identity.communities, ...again])];
    for (const communityId of given) void this.#enterGiven(session, communityId);
    return identity;
  }

  /** Takes a socket into a community that it did not ask for itself. */
  #enterGiven(session: Session, communityId: string): Promise<void> {
    const { socket, communities } = session;
    return session.turns.inOrder(communityId, async () => {
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
      this.enter(session, communityId);
    });
  }

  enter(session: Session, communityId: string): void {
    if (session.gone) return;
    session.communities.add(communityId);
    this.#host.driver.input((node, t) => node.join(session.socket.id, communityId, t));
  }

  /** Refuses before `authorize` is asked where that is known already. */
  async checkEntry(session: Session, communityId: string): Promise<void> {
    this.checkRoom(session, communityId);
    await this.checkAuthority(session, communityId);
  }

  /**
   * Whether the community would be new to the socket; throws where it has too many. Others may have come
   * while `authorize` was asked, so it counts in the same turn as the entry.
   */
  checkRoom(session: Session, communityId: string): boolean {
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

  async checkAuthority(session: Session, communityId: string): Promise<void> {
    const may = await this.#mayJoin(session, communityId);
    if (session.gone) throw new PresenceError('UNAVAILABLE', 'the socket has disconnected');
    if (!may) throw new PresenceError('NOT_AUTHORIZED', 'this community is not open to you');
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

  /** Takes a community from a socket: it leaves, and must be authorized again. */
  revoke(session: Session, identified: Identified, communityId: string): void {
    const { socket } = session;
    session.revocations++;
    const wasIn = session.communities.delete(communityId);
    this.#host.watches.unwatch(socket.id, communityId);
    // What `identify` said of the community is out of date: only a new connection says it again.
    const communities = identified.communities.filter((id) => id !== communityId);
    session.identified = { ...identified, communities };
    void socket.leave(roomOf(communityId));
    if (wasIn) this.#host.fanOut.denied(communityId, socket);
  }
}
