import type { Silence } from '../transport/index.js';
import type { WatchConnection } from './channel-link.js';
import { answered } from './link.js';

/**
 * Redis closes the connections of a process that dies at once, long before its heartbeats are missed.
 * Each node asks several times a second how many connections hear the channel of each other node that
 * has just been silent: who is heard lives.
 *
 * None is taken for an end only where this very connection of ours, unbroken since, has seen one
 * before; where it still sees our own (so that it asks the right server, and that server knows its
 * subscribers); and where several answers in a row, each in time, say the same. What a process says
 * meanwhile over its other connections counts more: that is for the core to judge.
 */

export interface DeathWatchHost {
  readonly open: (turn: number) => Promise<WatchConnection | undefined>;
  /** The channel that only this node hears. */
  readonly own: string;
  readonly channelOf: (nodeId: string) => string;
  readonly silences: () => Iterable<Silence>;
  /** Nothing of this node has been connected for so many ms. Called again while that holds. */
  readonly onGone: (nodeId: string, forMs: number) => void;
  readonly onFault: (reason: string) => void;
}

const POLL_MS = 150;
/** A node of which something has been heard within this time is not asked about. */
const QUIET_MS = 200;
/** Unless so long ago: the connection must still be there, and ask the right server, when it is needed. */
const CHECK_MS = 2000;
/** So many answers in a row, over at least this time. */
const LEAST_ANSWERS = 4;
const LEAST_MS = 450;
/** An answer that is this late, or a poll this long after the last, begins the count anew: somebody stood still. */
const LATE_MS = 400;
const REOPEN_MS = 1000;
/** In a larger cluster the questions of all nodes about all others would cost Redis more than they are worth. */
const MOST_NODES = 200;

interface Sighting {
  /** This connection has seen the node connected. */
  seen: boolean;
  /** Something has just been heard of it. */
  isHeard: boolean;
  /** When the first of the answers in a row was asked for that saw none. */
  noneSince: number;
  answers: number;
}

export class DeathWatch {
  readonly #host: DeathWatchHost;
  readonly #sightings = new Map<string, Sighting>();
  #connection: WatchConnection | undefined;
  #turn = 0;
  #askedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(host: DeathWatchHost) {
    this.#host = host;
  }

  start(): void {
    this.#again(POLL_MS);
  }

  /** Begins or ends to look for a node. */
  watch(nodeId: string, on: boolean): void {
    if (on) this.#sightings.set(nodeId, { seen: false, isHeard: false, noneSince: 0, answers: 0 });
    else this.#sightings.delete(nodeId);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  #again(ms: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#poll().then(
        (next) => next !== undefined && this.#again(next),
        (error: unknown) => {
          // The connection was lost or the command is not allowed; what it has seen is void.
          this.#lose();
          if (this.#closed) return;
          const reason = error instanceof Error ? error.message : String(error);
          const isRefused = error instanceof TypeError || /^(NOPERM|ERR|EXECABORT)/.test(reason);
          if (isRefused) this.#host.onFault(reason);
          this.#again(REOPEN_MS);
        },
      );
    }, ms).unref();
  }

  #lose(): void {
    this.#connection?.close();
    this.#connection = undefined;
    for (const sighting of this.#sightings.values()) {
      sighting.seen = false;
      sighting.answers = 0;
    }
  }

  /** Asks once; gives the time until the next, or undefined where there will be none. */
  async #poll(): Promise<number | undefined> {
    const { own, channelOf } = this.#host;
    if (this.#sightings.size === 0 || this.#sightings.size > MOST_NODES) return POLL_MS;
    if (this.#connection?.isOpen !== true) {
      this.#lose();
      const opened = await this.#open();
      if (opened === undefined) return undefined;
      this.#connection = opened;
    }
    const connection = this.#connection;
    const untilSilent = this.#listen();
    const nodeIds: string[] = [];
    const askedAt = performance.now();
    const isDue = askedAt - this.#askedAt >= CHECK_MS;
    for (const [nodeId, { seen, isHeard }] of this.#sightings) {
      if (!seen || !isHeard || isDue) nodeIds.push(nodeId);
    }
    if (nodeIds.length === 0) return untilSilent;
    const [owned, ...counts] = await answered(connection.count([own, ...nodeIds.map(channelOf)]));
    const isLate = performance.now() - askedAt > LATE_MS || askedAt - this.#askedAt > LATE_MS;
    this.#askedAt = askedAt;
    if (owned === 0) {
      // Another master has our channel, or our own subscription is not there: it tells nothing.
      this.#turn++;
      this.#lose();
      return POLL_MS;
    }
    for (const [i, nodeId] of nodeIds.entries()) {
      this.#note(nodeId, counts[i] as number, askedAt, isLate);
    }
    return POLL_MS;
  }

  /** Takes note of who has just been heard; gives the time until the first of them has been silent for long. */
  #listen(): number {
    let untilSilent = Infinity;
    for (const { nodeId, lastHeardMs } of this.#host.silences()) {
      const sighting = this.#sightings.get(nodeId);
      if (sighting === undefined) continue;
      sighting.isHeard = lastHeardMs < QUIET_MS;
      if (!sighting.isHeard) continue;
      sighting.answers = 0;
      untilSilent = Math.min(untilSilent, QUIET_MS - lastHeardMs);
    }
    return untilSilent;
  }

  async #open(): Promise<WatchConnection | undefined> {
    const opening = this.#host.open(this.#turn);
    let isWaitedFor = true;
    // One that comes too late is nobody's, and would stay open for ever.
    opening.then(
      (late) => (isWaitedFor && !this.#closed ? undefined : late?.close()),
      () => {},
    );
    try {
      const opened = await answered(opening);
      return this.#closed ? undefined : opened;
    } catch (error) {
      isWaitedFor = false;
      throw error;
    }
  }

  #note(nodeId: string, count: number, askedAt: number, isLate: boolean): void {
    const sighting = this.#sightings.get(nodeId);
    if (sighting === undefined) return;
    if (count > 0) {
      sighting.seen = true;
      sighting.answers = 0;
      return;
    }
    if (!sighting.seen) return;
    if (sighting.answers === 0 || isLate) {
      sighting.noneSince = askedAt;
      sighting.answers = 0;
    }
    sighting.answers++;
    const forMs = askedAt - sighting.noneSince;
    if (sighting.answers < LEAST_ANSWERS || forMs < LEAST_MS) return;
    // What the node said last may still wait to be read.
    setImmediate(() => {
      if (!this.#closed) this.#host.onGone(nodeId, forMs);
    });
  }
}
