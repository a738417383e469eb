/**
 * Reads of users. A node takes part only in the communities that it hosts or that are read, so a user
 * elsewhere is unknown to it. The first read of an unknown user looks for them in the background, and
 * the node takes part in their communities for as long as they are read: from then on reads are right.
 */

export interface UserInterestHost {
  /** The communities of a user, from the whole cluster. */
  readonly find: (userId: string) => Promise<readonly string[]>;
  /** Makes this node take part in a community for a while. */
  readonly touch: (communityId: string) => void;
  /** The communities in which this node knows a user. */
  readonly communitiesOf: (userId: string) => readonly string[];
}

/** An unknown user that is read again and again is looked for this often. */
const SEEK_AGAIN_MS = 2000;
/** Every search asks all nodes, so reads of many unknown users are not all followed. */
const MOST_SOUGHT = 100;
const MOST_READ = 10_000;

export class UserInterest {
  readonly #host: UserInterestHost;
  readonly #sought = new Map<string, number>();
  readonly #read = new Set<string>();

  constructor(host: UserInterestHost) {
    this.#host = host;
  }

  /** A user that is known here was read. */
  known(userId: string): void {
    if (this.#read.size < MOST_READ) this.#read.add(userId);
  }

  /** Whether a user that is not known here is to be looked for. */
  wants(userId: string): boolean {
    return this.#sought.size < MOST_SOUGHT && !this.#sought.has(userId);
  }

  /** Looks for a user that is not known here. */
  seek(userId: string, now: number): void {
    this.#sought.set(userId, now);
    void this.#host.find(userId).then(
      (communities) => {
        for (const communityId of communities) this.#host.touch(communityId);
      },
      // Presence was closed meanwhile; the next read looks again.
      () => this.#sought.delete(userId),
    );
  }

  /** Keeps up what goes on being read; call it about every second. */
  sweep(now: number): void {
    for (const [userId, at] of this.#sought) {
      if (now - at >= SEEK_AGAIN_MS) this.#sought.delete(userId);
    }
    const communities = new Set<string>();
    for (const userId of this.#read) {
      for (const communityId of this.#host.communitiesOf(userId)) communities.add(communityId);
    }
    this.#read.clear();
    for (const communityId of communities) this.#host.touch(communityId);
  }
}
