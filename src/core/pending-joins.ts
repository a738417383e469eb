import { SmallMap } from './small.js';

/** A socket that waits for the first list of a community. */
export interface PendingJoin {
  readonly socketId: string;
  readonly communityId: string;
  readonly shard: number;
  /** When it enters though the community is not known yet. */
  readonly until: number;
}

/** The sockets that wait for first lists, in the order in which they came. */
export class PendingJoins {
  readonly #byShard = new Map<number, Set<PendingJoin>>();
  readonly #bySocket = new Map<string, SmallMap<string, PendingJoin>>();
  /** How many wait for each community. */
  readonly #counts = new Map<string, number>();

  add(join: PendingJoin): void {
    const { socketId, communityId, shard } = join;
    let own = this.#bySocket.get(socketId);
    if (own === undefined) this.#bySocket.set(socketId, (own = new SmallMap()));
    if (own.get(communityId) !== undefined) return;
    own.set(communityId, join);
    let same = this.#byShard.get(shard);
    if (same === undefined) this.#byShard.set(shard, (same = new Set()));
    same.add(join);
    this.#counts.set(communityId, (this.#counts.get(communityId) ?? 0) + 1);
  }

  delete(join: PendingJoin): void {
    const { socketId, communityId, shard } = join;
    const own = this.#bySocket.get(socketId);
    own?.delete(communityId);
    if (own?.size === 0) this.#bySocket.delete(socketId);
    const same = this.#byShard.get(shard);
    same?.delete(join);
    if (same?.size === 0) this.#byShard.delete(shard);
    const count = (this.#counts.get(communityId) ?? 1) - 1;
    if (count > 0) this.#counts.set(communityId, count);
    else this.#counts.delete(communityId);
  }

  /** Nobody waits. */
  get isEmpty(): boolean {
    return this.#bySocket.size === 0;
  }

  /** Those of a shard; who has waited longest comes first. They may be deleted meanwhile. */
  in(shard: number): Iterable<PendingJoin> {
    return this.#byShard.get(shard) ?? [];
  }

  /** Those of a socket: for one community, or for any. */
  of(socketId: string, communityId: string | undefined): PendingJoin[] {
    const own = this.#bySocket.get(socketId);
    if (own === undefined) return [];
    if (communityId === undefined) return [...own.values()];
    const join = own.get(communityId);
    return join === undefined ? [] : [join];
  }

  /** Whether somebody waits for the community. */
  has(communityId: string): boolean {
    return this.#counts.has(communityId);
  }

  /** Until when the one that has waited longest for the shard does, or Infinity. */
  next(shard: number): number {
    const same = this.#byShard.get(shard);
    if (same === undefined) return Infinity;
    for (const { until } of same) return until;
    return Infinity;
  }
}
