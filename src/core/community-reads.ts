import type { Effect, UserPresence } from './types.js';

/** Reads of a community as the cluster has it: each waits until it is known wholly, at most so long. */

export interface CommunityReadsHost {
  /** Whether all of a community is known, and told. */
  readonly isWhole: (communityId: string) => boolean;
  readonly list: (communityId: string) => readonly UserPresence[];
  readonly out: Effect[];
}

interface Read {
  readonly id: number;
  readonly communityId: string;
  readonly until: number;
}

export class CommunityReads {
  readonly #host: CommunityReadsHost;
  #open: Read[] = [];

  constructor(host: CommunityReadsHost) {
    this.#host = host;
  }

  /** A `fetched` effect follows from `settle`, not complete after `until`. */
  begin(id: number, communityId: string, until: number): void {
    this.#open.push({ id, communityId, until });
  }

  nextDue(): number {
    let at = Infinity;
    for (const { until } of this.#open) at = Math.min(at, until);
    return at;
  }

  settle(now: number): void {
    if (this.#open.length === 0) return;
    const { isWhole, list, out } = this.#host;
    this.#open = this.#open.filter(({ id, communityId, until }) => {
      const complete = isWhole(communityId);
      if (!complete && now < until) return true;
      out.push({ kind: 'fetched', id, complete, users: list(communityId) });
      return false;
    });
  }
}
