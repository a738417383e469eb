import { isReason, type Instant } from '../../core/index.js';
import type { Engine } from '../../strategy/index.js';
import type { Driver, LocalEffect } from '../driver.js';
import { PresenceError } from '../errors.js';
import { checkId, type PresenceLimits } from '../limits.js';
import type { Presence } from '../presence.js';

/**
 * What the application asks of the whole cluster: who is where, why, be gone. The engine gives each
 * question a number and answers with an effect of that number, at the latest when its time is over;
 * here these are promises.
 */

/** Effects that answer a question. */
type Answer = Extract<
  LocalEffect,
  { kind: 'explained' | 'surveyed' | 'evicted' | 'answered' | 'fetched' }
>;

/** How long a cluster-wide read waits for the other nodes. */
const FETCH_TIMEOUT_MS = 1000;

export class ClusterQuestions {
  readonly #driver: Driver;
  readonly #limits: PresenceLimits;
  /** Questions that wait for an answer; undefined means that presence closed. */
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #closed = false;

  constructor(driver: Driver, limits: PresenceLimits) {
    this.#driver = driver;
    this.#limits = limits;
  }

  readonly fetchOnlineUsers: Presence['fetchOnlineUsers'] = async (communityId) =>
    (await this.fetchCommunity(communityId)).users;

  readonly fetchCommunity: Presence['fetchCommunity'] = async (communityId) => {
    const id = checkId(communityId, 'communityId', this.#limits);
    const fetched = await this.#ask((node, t) => node.fetch(id, FETCH_TIMEOUT_MS, t));
    const users = fetched.kind === 'fetched' ? fetched.users : [];
    const complete = fetched.kind === 'fetched' && fetched.complete;
    return { users, info: { ...this.#driver.node.info(id), complete } };
  };

  readonly fetchUser: Presence['fetchUser'] = async (userId) => {
    const id = checkId(userId, 'userId', this.#limits);
    const answered = await this.#ask((node, t) => node.fetchUser(id, t));
    return answered.kind === 'answered'
      ? { userId: id, communities: answered.communities, complete: answered.complete }
      : { userId: id, communities: [], complete: false };
  };

  readonly explain: Presence['explain'] = async (userId) => {
    const id = checkId(userId, 'userId', this.#limits);
    const done = await this.#ask((node, t) => node.explain(id, t));
    return (done as Extract<Answer, { kind: 'explained' }>).explanation;
  };

  readonly fetchReports: Presence['fetchReports'] = async () => {
    const done = await this.#ask((node, t) => node.survey(t));
    return (done as Extract<Answer, { kind: 'surveyed' }>).report;
  };

  readonly evict: Presence['evict'] = async ({
    userId,
    deviceId,
    communityId,
    reason = 'evicted',
  }) => {
    const limits = this.#limits;
    const target = {
      userId: checkId(userId, 'userId', limits),
      ...(deviceId !== undefined && { deviceId: checkId(deviceId, 'deviceId', limits) }),
      ...(communityId !== undefined && {
        communityId: checkId(communityId, 'communityId', limits),
      }),
    };
    if (!isReason(reason)) {
      throw new PresenceError(
        'INVALID_ARGUMENT',
        'reason must be 1 to 200 characters without control characters',
      );
    }
    const done = await this.#ask((node, t) => node.evict(target, reason, t));
    return (done as Extract<Answer, { kind: 'evicted' }>).eviction;
  };

  readonly revoke: Presence['revoke'] = (userId, communityId) =>
    this.evict({ userId, communityId, reason: 'revoked' });

  #ask(start: (node: Engine, t: Instant) => number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const settle = (answer: Answer | undefined): void => {
        if (answer !== undefined) resolve(answer);
        else reject(new PresenceError('UNAVAILABLE', 'presence is closed'));
      };
      if (this.#closed) settle(undefined);
      else this.#driver.input((node, t) => this.#waiting.set(start(node, t), settle));
    });
  }

  answer(answer: Answer): void {
    const settle = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    settle?.(answer);
  }

  /** Nothing is answered any more. */
  close(): void {
    this.#closed = true;
    for (const settle of this.#waiting.values()) settle(undefined);
    this.#waiting.clear();
  }
}
