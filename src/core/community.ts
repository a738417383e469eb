import { ChurnMap, ChurnSet } from './churn.js';
import { Pages, type Listed } from './pages.js';
import type { UserRecord } from './roster.js';
import type { OfflineReason, UserPresence } from './types.js';

/**
 * One community as this node keeps it: the users of whom something is held or told, the sockets that are
 * told, and what waits to be told. The view changes what is held, telling works off what waits.
 */

/**
 * As it was told, to be compared with what was told, or kept back from that. Words, not a `const enum`:
 * one of another file is not inlined, but looked up at every change.
 */
export type Mark = 'clean' | 'dirty' | 'heldBack';

/** A user of a community, and how what is held stands to what was told. */
export interface Tracked extends UserRecord, Listed {
  told: UserPresence | null;
  readonly community: Community;
  mark: Mark;
  /** Why the last thing held was dropped, in case it was the last. */
  reason: OfflineReason;
  seenAt: number;
}

export class Community {
  readonly id: string;
  readonly shard: number;
  readonly users = new ChurnMap<string, Tracked>();
  /** Sockets that have been sent the list and get the events. */
  readonly sockets = new ChurnSet<string>();
  /** Sockets that get the list with the next flush. */
  readonly waiting = new ChurnSet<string>();
  /** Sockets that must start over before anything else is told. */
  readonly relisting = new ChurnSet<string>();
  /** Sockets whose last list was not complete. */
  readonly servedIncomplete = new ChurnSet<string>();
  /** Users to compare with what was told. */
  dirty: Tracked[] = [];
  /** Users whose remote changes are kept back while the shard is quiet. */
  heldBack: Tracked[] = [];
  /** Users that were there all along: folded without events, told by one list at the end. */
  settling: Tracked[] = [];
  /** Sockets that wait in `relisting` have missed changes: no event may go out before their list. */
  toldSilently = false;
  /** The rest of a storm: events for the application only, one list for the sockets at the end. */
  storm: Tracked[] = [];
  /** Only an active community is folded: it has sockets here or somebody reads it. */
  active = false;
  online = 0;
  /** Never the same for two lists, even where the community was closed and opened between them. */
  version = 0;
  /** Caches of the list, valid for `version`. */
  listed: readonly UserPresence[] | null = null;
  readonly pages = new Pages();

  constructor(id: string, shard: number) {
    this.id = id;
    this.shard = shard;
  }

  /** The record of a user, a new one where there is none. */
  track(userId: string): Tracked {
    let user = this.users.get(userId);
    if (user === undefined) {
      user = {
        userId,
        communityId: this.id,
        community: this,
        held: [],
        told: null,
        toldOwn: null,
        page: null,
        mark: 'clean',
        reason: 'left',
        seenAt: 0,
      };
      this.users.set(userId, user);
    }
    return user;
  }

  /** Takes a record out, unless another has taken its place since. */
  erase(user: Tracked): void {
    if (this.users.get(user.userId) === user) this.users.delete(user.userId);
  }

  /** This socket gets nothing more of the community. */
  leave(socketId: string): void {
    this.sockets.delete(socketId);
    this.waiting.delete(socketId);
    if (this.relisting.size > 0) this.relisting.delete(socketId);
    if (this.servedIncomplete.size > 0) this.servedIncomplete.delete(socketId);
  }

  /**
   * What has changed is told by lists. Who waits for one gets it with the others: these hold the newcomer,
   * and where changes never stop, there is no later moment at which everything is told.
   */
  startOver(): void {
    this.storm = this.storm.length === 0 ? this.dirty : this.storm.concat(this.dirty);
    this.dirty = [];
    for (const socketId of this.waiting) this.relisting.add(socketId);
    this.waiting.clear();
  }

  /** A flush would find nothing to do here. */
  get isIdle(): boolean {
    return (
      this.storm.length === 0 &&
      this.settling.length === 0 &&
      this.dirty.length === 0 &&
      this.relisting.size === 0 &&
      this.waiting.size === 0
    );
  }

  /** Lists wait for the next flush, or are to follow what it tells. */
  get isAwaited(): boolean {
    return (
      this.waiting.size > 0 ||
      this.relisting.size > 0 ||
      this.settling.length > 0 ||
      this.storm.length > 0
    );
  }

  /** Everything known has been told. */
  get isTold(): boolean {
    return this.isIdle && this.heldBack.length === 0;
  }

  /** There are lists to send, and what they say is told. */
  get hasListsToTell(): boolean {
    if (this.storm.length + this.settling.length > 0) return false;
    return this.relisting.size > 0 || (this.waiting.size > 0 && this.dirty.length === 0);
  }
}
