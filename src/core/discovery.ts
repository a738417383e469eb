import type { Peer } from './membership.js';
import type { Instant } from './types.js';

/** A hello round lasts at least this long, and not for ever: an answer may come from a node that stood still. */
const ROUND_MS = 500;
const ROUND_MAX_MS = 2000;
const ROUNDS = 2;

export interface DiscoveryHost {
  readonly random: () => number;
  readonly peers: () => Iterable<Peer>;
  /** Says hello to everybody and gives the number of the request. */
  readonly hello: () => number;
}

/**
 * How a starting node finds out who else is there: it says hello until everybody that it has heard of
 * has answered over at least two rounds, or until a deadline. No adapter's own count is trusted.
 */
export class Discovery {
  readonly #host: DiscoveryHost;
  #round = 0;
  #endsAt = Infinity;
  #readyBy = Infinity;
  #request = 0;
  #sentAt = 0;
  #rttMs = 0;
  #isRepeated = false;

  constructor(host: DiscoveryHost) {
    this.#host = host;
  }

  start(t: Instant, timeoutMs: number): void {
    this.#round = 0;
    this.#isRepeated = false;
    this.#readyBy = t.now + timeoutMs;
    this.#endsAt = t.now + this.#host.random() * 100;
  }

  /** There is nobody to be found. */
  skip(): void {
    this.#round = ROUNDS + 1;
    this.#endsAt = Infinity;
  }

  /** The medium is back: asks again, once. */
  repeat(t: Instant): void {
    for (const peer of this.#host.peers()) peer.answered = false;
    this.#round = ROUNDS - 1;
    this.#endsAt = t.now;
    this.#isRepeated = true;
  }

  get isDone(): boolean {
    return this.#round > ROUNDS;
  }

  isOverdue(now: number): boolean {
    return !this.#isRepeated && now >= this.#readyBy;
  }

  isHello(request: number): boolean {
    return request === this.#request;
  }

  answered(peer: Peer, request: number, now: number): void {
    peer.answered = true;
    if (request === this.#request) this.#rttMs = Math.max(this.#rttMs, now - this.#sentAt);
  }

  nextDue(): number {
    if (this.isDone) return Infinity;
    return this.#isRepeated ? this.#endsAt : Math.min(this.#endsAt, this.#readyBy);
  }

  /** True when this tick ended the discovery. */
  tick(t: Instant): boolean {
    const isOverdue = this.isOverdue(t.now);
    if (this.isDone || (!isOverdue && t.now < this.#endsAt)) return false;
    const isOpen = this.#round < ROUNDS || (!this.#isRepeated && !this.#everybodyAnswered());
    if (isOpen && !isOverdue) {
      this.#round++;
      this.#sentAt = t.now;
      this.#endsAt = t.now + Math.min(Math.max(2 * this.#rttMs, ROUND_MS), ROUND_MAX_MS);
      this.#request = this.#host.hello();
      return false;
    }
    this.skip();
    return true;
  }

  #everybodyAnswered(): boolean {
    for (const peer of this.#host.peers()) {
      if (peer.state === 'alive' && !peer.answered) return false;
    }
    return true;
  }
}
