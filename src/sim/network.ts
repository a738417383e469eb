import type { SimNode } from './cluster.js';
import type { PlanOptions } from './plan.js';
import { Random } from './prng.js';
import type { Timeline } from './timeline.js';

/**
 * The medium between the nodes. It delays, and as the plan says it drops, repeats and reorders; it is
 * cut between groups of nodes, in one direction or both, between two nodes alone, or away altogether.
 */

interface Cut {
  readonly side: number;
  readonly oneWay: boolean;
  readonly until: number;
}

interface BrokenLink {
  readonly from: number;
  readonly to: number;
  readonly until: number;
}

export interface NetworkStats {
  sent: number;
  dropped: number;
  duplicated: number;
  /** Deltas that arrived as others than were sent. */
  spoilt: number;
}

export class Network {
  readonly random: Random;
  readonly #o: PlanOptions;
  readonly #queue: Timeline;
  readonly #stats: NetworkStats;
  readonly #lastArrival = new Map<string, number>();
  #cuts: Cut[] = [];
  #broken: BrokenLink[] = [];
  #awayUntil = -Infinity;
  #awaySince = -Infinity;
  #healed = false;

  constructor(options: PlanOptions, queue: Timeline, stats: NetworkStats) {
    this.#o = options;
    this.#queue = queue;
    this.#stats = stats;
    this.random = new Random(options.seed, 'network');
  }

  cut(side: number, oneWay: boolean, until: number): void {
    this.#cuts.push({ side, oneWay, until });
  }

  breakLink(from: number, to: number, until: number): void {
    this.#broken.push({ from, to, until });
  }

  goAway(now: number, until: number): void {
    if (this.#awayUntil <= now) this.#awaySince = now;
    this.#awayUntil = Math.max(this.#awayUntil, until);
  }

  heal(now: number): void {
    this.#healed = true;
    this.#cuts = [];
    this.#broken = [];
    this.#awayUntil = Math.min(this.#awayUntil, now);
  }

  /** How long ago the medium went away last. */
  awayAgeMs(now: number): number {
    return now - this.#awaySince;
  }

  /** For how long the medium has been back. */
  backAgeMs(now: number): number {
    return now - this.#awayUntil;
  }

  /** Whether a node reaches the medium: what its probe finds out. */
  reaches(node: SimNode, now: number): boolean {
    if (this.#awayUntil > now) return false;
    return !this.#cuts.some(
      ({ side, oneWay, until }) => until > now && !oneWay && ((side >> node.index) & 1) === 1,
    );
  }

  #isCut(from: SimNode, to: SimNode, now: number): boolean {
    if (this.#awayUntil > now) return true;
    for (const { side, oneWay, until } of this.#cuts) {
      if (until <= now) continue;
      const a = (side >> from.index) & 1;
      const b = (side >> to.index) & 1;
      if (oneWay ? a === 1 && b === 0 : a !== b) return true;
      // Who is cut off from the medium does not hear the others that are.
      if (!oneWay && this.#o.canProbe && a === 1) return true;
    }
    return this.#broken.some(
      (link) => link.until > now && link.from === from.index && link.to === to.index,
    );
  }

  /** Takes a message on its way; `arrive` is called once for each copy that gets through. */
  send(from: SimNode, to: SimNode, now: number, arrive: () => void): void {
    this.#stats.sent++;
    if (this.#isCut(from, to, now) || (!this.#healed && this.random.chance(this.#o.loss))) {
      this.#stats.dropped++;
      return;
    }
    this.#carry(from, to, now, arrive);
    if (!this.#healed && this.random.chance(this.#o.duplication)) {
      this.#stats.duplicated++;
      this.#carry(from, to, now, arrive);
    }
  }

  /** Where the plan says so, now and then a delta arrives empty under its own number: a defect that only the digest shows. */
  spoil(data: string): string {
    if (!this.#o.faults.corrupt || !data.includes('"k":"delta"')) return data;
    if (!this.random.chance(0.03)) return data;
    this.#stats.spoilt++;
    return `${data.slice(0, data.lastIndexOf('\n'))}\n[]`;
  }

  #carry(from: SimNode, to: SimNode, now: number, arrive: () => void): void {
    let at = now + this.#o.delayMs * this.random.between(0.5, 1.5);
    if (this.#o.reorder) {
      if (this.random.chance(0.05)) at += this.random.between(0, 400);
    } else {
      const link = `${from.engine.nodeId}>${to.engine.nodeId}`;
      at = Math.max(at, this.#lastArrival.get(link) ?? 0);
      this.#lastArrival.set(link, at);
    }
    this.#queue.push(at, arrive);
  }
}
