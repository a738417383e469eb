import { PresenceError } from '../errors.js';
import { TokenBucket, type PresenceLimits } from '../limits.js';

/**
 * When what one socket asks for is done: not more often than it may ask, not while it does not read, and
 * in order for each community.
 */

/** Who asks. */
interface Asker {
  readonly gone: boolean;
  keepsUp(): boolean;
}

/** How often it is looked whether a socket has drained. */
const DRAIN_MS = 50;

const ignore = (): void => {};

export class Turns {
  readonly #asker: Asker;
  readonly #limits: PresenceLimits;
  /** Made with the first request: most sockets ask for nothing. */
  #requests: TokenBucket | undefined;
  /** Settles when what was asked for last has had its turn. */
  #last: Promise<void> = Promise.resolve();
  /** What is asked for last of each community, until it is done. */
  readonly #inOrder = new Map<string, Promise<void>>();

  constructor(asker: Asker, limits: PresenceLimits) {
    this.#asker = asker;
    this.#limits = limits;
  }

  /**
   * What may be answered with a list waits for its turn: one in a turn of the event loop, and none while
   * the socket has not read what it was sent before. So a socket that asks and does not read costs no
   * memory. Turns are in the order in which they were asked for.
   */
  async take<T>(work: () => T | Promise<T>): Promise<T> {
    this.#checkRate();
    const asker = this.#asker;
    const done = this.#last.then(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      while (!asker.gone && !asker.keepsUp()) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
      }
      if (asker.gone) throw new PresenceError('UNAVAILABLE', 'the socket has disconnected');
      return work();
    });
    this.#last = done.then(ignore, ignore);
    return done;
  }

  #checkRate(): void {
    const { requestsPerSecond, communitiesPerSocket } = this.#limits;
    const now = performance.now();
    const size = requestsPerSecond + communitiesPerSocket;
    this.#requests ??= new TokenBucket(requestsPerSecond, size, now);
    const wait = this.#requests.take(now);
    if (wait > 0) {
      throw new PresenceError(
        'RATE_LIMITED',
        `more than requestsPerSecond (${requestsPerSecond}); try again in ${wait} ms`,
      );
    }
  }

  /**
   * What a socket asks for of one community is done in the order in which it was asked for, however long
   * `authorize` takes: the last word counts. Other communities do not wait for it.
   */
  inOrder<T>(communityId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#inOrder.get(communityId);
    const done = before === undefined ? work() : before.then(work);
    const tail = done.then(ignore, ignore).then(() => {
      if (this.#inOrder.get(communityId) === tail) this.#inOrder.delete(communityId);
    });
    this.#inOrder.set(communityId, tail);
    return done;
  }
}
