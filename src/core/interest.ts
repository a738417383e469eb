import { shardOf } from './digest.js';
import type { Peer } from './membership.js';
import { PendingJoins } from './pending-joins.js';
import type { NodeStats } from './stats.js';
import type { Effect, Instant } from './types.js';
import type { View } from './view.js';
import type { Message, Want } from './wire.js';

/**
 * The shards that this node takes part in: those of the communities that somebody here is in or reads.
 *
 * Interest begins by priming: the shard is told to nobody as news, and first lists wait a little, until
 * every node that is there has answered and what it said it holds is here. It ends a while after the last
 * need of it, so that a page that is reloaded does not prime it anew.
 */

export interface InterestHost {
  /** Shards of the cluster. */
  readonly shards: number;
  /** Take part in every shard, needed or not. */
  readonly isInAll: boolean;
  readonly firstListWaitMs: number;
  readonly quietMs: number;
  readonly askAgainMs: number;
  readonly dropDelayMs: number;
  /** Sockets that enter in one slice of the event loop. */
  readonly sliceEntries: number;
  readonly view: View;
  readonly out: Effect[];
  readonly stats: NodeStats;
  readonly instant: () => Instant;
  readonly peers: () => Iterable<Peer>;
  readonly isDegraded: () => boolean;
  /** Whether who else is there has been found out, as far as hello rounds can tell. */
  readonly isDiscovered: () => boolean;
  /** The number that the next request will have, at least. */
  readonly nextRequest: () => number;
  /** Whether devices of this node are in the community. */
  readonly hosts: (communityId: string) => boolean;
  /** A socket that waited to join may do so. */
  readonly enter: (socketId: string, communityId: string) => void;
  /** The shard is not needed any more. */
  readonly onDrop: (shard: number) => void;
}

/** How long a community is told of to the application after the last device here has gone, so that it hears of that one. */
export const KEPT_MS = 1000;
/** How often every shard is looked at, at most, while nobody waits for one. */
const LOOK_MS = 100;

interface Shard {
  readonly index: number;
  readonly communities: Map<string, Need>;
  /** Every node that was there has answered for this shard. */
  primed: boolean;
  /** What is learnt is not announced person by person. */
  quiet: boolean;
  quietUntil: number;
  since: number;
  /** Number of the first request that asked for this shard. */
  request: number;
  askAgainAt: number;
  /** Nodes that have not answered yet, or whose log is not here as far as they said (≥ 0). */
  readonly awaiting: Map<string, number>;
  /** When nothing here needs the shard any more, or Infinity. */
  dropAt: number;
}

interface Need {
  local: boolean;
  readUntil: number;
}

export class Interest {
  readonly #host: InterestHost;
  readonly #shards = new Map<number, Shard>();
  /** Shards of which everybody is to be asked with the next flush. */
  readonly #toAsk = new Set<Shard>();
  readonly #joins = new PendingJoins();
  /** Communities that no device of this node is in: somebody reads them, or did. */
  readonly #read = new Set<string>();
  /** When every shard is looked at again. */
  #lookAt = -Infinity;

  constructor(host: InterestHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#shards.size;
  }

  get indexes(): Iterable<number> {
    return this.#shards.keys();
  }

  has(index: number): boolean {
    return this.#shards.has(index);
  }

  isQuiet(index: number): boolean {
    return this.#shards.get(index)?.quiet ?? false;
  }

  isPrimed(index: number): boolean {
    return this.#shards.get(index)?.primed === true;
  }

  get allPrimed(): boolean {
    for (const shard of this.#shards.values()) if (!shard.primed) return false;
    return true;
  }

  // What needs a shard.

  takePartInAll(): void {
    for (let index = 0; index < this.#host.shards; index++) this.#shard(index);
  }

  /** Devices of this node are in the community. */
  use(communityId: string): void {
    this.#need(communityId).local = true;
    this.#read.delete(communityId);
  }

  /** Somebody reads the community. */
  read(communityId: string, until: number): void {
    this.#need(communityId).readUntil = until;
  }

  #shardOf(communityId: string): number {
    return shardOf(communityId, this.#host.shards);
  }

  #need(communityId: string, shard = this.#shard(this.#shardOf(communityId))): Need {
    let need = shard.communities.get(communityId);
    if (need === undefined) {
      need = { local: false, readUntil: 0 };
      shard.communities.set(communityId, need);
      this.#read.add(communityId);
    }
    shard.dropAt = Infinity;
    return need;
  }

  #shard(index: number): Shard {
    let shard = this.#shards.get(index);
    if (shard === undefined) {
      shard = {
        index,
        communities: new Map(),
        primed: false,
        quiet: false,
        quietUntil: 0,
        since: this.#host.instant().now,
        request: 0,
        askAgainAt: Infinity,
        awaiting: new Map(),
        dropAt: Infinity,
      };
      this.#shards.set(index, shard);
      this.#host.out.push({ kind: 'interest', shard: index, on: true });
      this.#prime(shard);
    }
    return shard;
  }

  /** Something that needed the community does so no more; perhaps nothing does. */
  free(communityId: string): void {
    const { view, hosts, isInAll, dropDelayMs } = this.#host;
    const { now } = this.#host.instant();
    const shard = this.#shards.get(this.#shardOf(communityId));
    const need = shard?.communities.get(communityId);
    if (shard === undefined || need === undefined) return;
    if (this.#joins.has(communityId)) return;
    if (hosts(communityId)) return;
    const community = view.get(communityId);
    // A socket that does not count (it has shown no life) is told of everything all the same.
    if (community !== undefined && community.sockets.size > 0) return;
    if (need.local) {
      need.local = false;
      need.readUntil = Math.max(need.readUntil, now + KEPT_MS);
    }
    this.#read.add(communityId);
    if (need.readUntil > now) return;
    shard.communities.delete(communityId);
    this.#read.delete(communityId);
    if (isInAll) return;
    if (community?.active === true) view.deactivate(community);
    if (shard.communities.size === 0) shard.dropAt = now + dropDelayMs;
  }

  #drop(shard: Shard): void {
    this.#shards.delete(shard.index);
    this.#toAsk.delete(shard);
    this.#host.onDrop(shard.index);
    this.#host.out.push({ kind: 'interest', shard: shard.index, on: false });
  }

  // Sockets that wait for a first list.

  /**
   * True when the community is known, or the socket is in it anyway: it may enter. Else it does when the
   * community is known, at the latest after `firstListWaitMs`.
   */
  join(socketId: string, communityId: string, isMember: boolean): boolean {
    const shard = this.#shard(this.#shardOf(communityId));
    const need = this.#need(communityId, shard);
    if (shard.primed || isMember) {
      if (!this.#joins.isEmpty) {
        for (const join of this.#joins.of(socketId, communityId)) this.#joins.delete(join);
      }
      return true;
    }
    need.local = true;
    this.#read.delete(communityId);
    const until = this.#host.instant().now + this.#host.firstListWaitMs;
    this.#joins.add({ socketId, communityId, shard: shard.index, until });
    return false;
  }

  /** The socket does not wait any more: for one community, or for any. */
  cancelJoins(socketId: string, communityId: string | undefined): void {
    const cancelled = this.#joins.of(socketId, communityId);
    for (const join of cancelled) this.#joins.delete(join);
    for (const join of cancelled) this.free(join.communityId);
  }

  /** One slice of those that wait for a shard enter: all, or who has waited long enough. */
  #enterSome(shard: Shard): void {
    const { enter, instant, sliceEntries } = this.#host;
    const { now } = instant();
    let left = sliceEntries;
    for (const join of this.#joins.in(shard.index)) {
      if ((!shard.primed && join.until > now) || left-- <= 0) return;
      this.#joins.delete(join);
      enter(join.socketId, join.communityId);
    }
  }

  /** Whoever waits enters now. */
  enterAll(): void {
    for (const { index } of this.#shards.values()) {
      for (const join of this.#joins.in(index)) {
        this.#joins.delete(join);
        this.#host.enter(join.socketId, join.communityId);
      }
    }
  }

  // Priming.

  /** Finds out what the others hold, quietly: of every shard, as at the start. */
  primeAll(): void {
    for (const shard of this.#shards.values()) this.#prime(shard);
  }

  #prime(shard: Shard): void {
    const { peers, isDegraded, isDiscovered, quietMs, nextRequest } = this.#host;
    const { now } = this.#host.instant();
    shard.primed = false;
    shard.since = now;
    shard.quiet = true;
    shard.quietUntil = isDegraded() ? Infinity : now + quietMs;
    shard.request = nextRequest();
    shard.awaiting.clear();
    for (const peer of peers()) {
      if (peer.state !== 'down') shard.awaiting.set(peer.nodeId, -1);
    }
    if (isDiscovered() && shard.awaiting.size === 0) this.#primed(shard);
    else this.#toAsk.add(shard);
  }

  #primed(shard: Shard): void {
    if (shard.primed) return;
    const { stats, view, isDegraded } = this.#host;
    shard.primed = true;
    shard.quiet = isDegraded();
    this.#toAsk.delete(shard);
    const took = this.#host.instant().now - shard.since;
    stats.primes++;
    stats.primeMsTotal += took;
    if (took > stats.primeMsMax) stats.primeMsMax = took;
    this.#enterSome(shard);
    view.release(shard.index);
  }

  /** Shards that wait for nobody are known now. */
  check(): void {
    for (const shard of this.#shards.values()) this.#check(shard);
  }

  #check(shard: Shard): void {
    if (shard.primed || shard.awaiting.size > 0) return;
    if (this.#host.isDiscovered()) this.#primed(shard);
  }

  /** This node counts as ready: what is known of primed shards is told. */
  release(): void {
    for (const shard of this.#shards.values()) {
      this.#check(shard);
      if (shard.primed) this.#host.view.release(shard.index);
    }
  }

  /** Nothing that is learnt is told as news while this node is cut off. */
  silence(): void {
    // What trickles in from here on is one side of a story: a device that moved is heard as gone
    // from the one node long before it is heard as there from the other.
    for (const shard of this.#shards.values()) {
      shard.quiet = true;
      shard.quietUntil = Infinity;
    }
  }

  /** The silence ends by itself. */
  unsilence(): void {
    const until = this.#host.instant().now + this.#host.quietMs;
    for (const shard of this.#shards.values()) shard.quietUntil = until;
  }

  /** A node came up: shards that are being primed wait for it, too. */
  await(nodeId: string): void {
    for (const shard of this.#shards.values()) if (!shard.primed) shard.awaiting.set(nodeId, -1);
  }

  stopAwaiting(nodeId: string): void {
    for (const shard of this.#shards.values()) {
      if (shard.awaiting.delete(nodeId)) this.#check(shard);
    }
  }

  /**
   * A node has answered a request by saying where its log stands. Gives the shards for which that was
   * awaited; `settle` follows for each when the replica has been told.
   */
  answered(nodeId: string, request: number, beat: Extract<Message, { kind: 'beat' }>): number[] {
    const awaited: number[] = [];
    for (const shard of this.#shards.values()) {
      if (request < shard.request || !shard.awaiting.has(nodeId)) continue;
      const state = beat.states.find((s) => s.shard === shard.index);
      if (state === undefined && !beat.full) continue;
      shard.awaiting.set(nodeId, state?.seq ?? 0);
      awaited.push(shard.index);
    }
    return awaited;
  }

  /** What is here of a node's log of a shard: is it what the node said? */
  settle(nodeId: string, index: number, have: number, isBehind: boolean): void {
    const shard = this.#shards.get(index);
    if (shard === undefined || shard.primed) return;
    const target = shard.awaiting.get(nodeId);
    if (target === undefined || target < 0 || have < target) return;
    if (isBehind && have < target) return;
    shard.awaiting.delete(nodeId);
    this.#check(shard);
  }

  /** Everybody is to be asked again. */
  askAll(): void {
    for (const shard of this.#shards.values()) this.#toAsk.add(shard);
  }

  get hasToAsk(): boolean {
    return this.#toAsk.size > 0;
  }

  /** What everybody is to be asked for now. */
  takeWants(): Want[] {
    const askAgainAt = this.#host.instant().now + this.#host.askAgainMs;
    const wants: Want[] = [];
    for (const shard of this.#toAsk) {
      wants.push({ shard: shard.index, have: 0 });
      shard.askAgainAt = askAgainAt;
    }
    this.#toAsk.clear();
    return wants;
  }

  // Time.

  nextDue(): number {
    // Asked after every input, and mostly for nothing.
    if (this.#joins.isEmpty) return Infinity;
    let at = Infinity;
    for (const { index, primed } of this.#shards.values()) {
      const until = this.#joins.next(index);
      at = Math.min(at, primed && until < Infinity ? -Infinity : until);
    }
    return at;
  }

  tick(now: number): void {
    if (now < this.#lookAt && this.#joins.isEmpty) return;
    this.#lookAt = now + LOOK_MS;
    for (const communityId of this.#read) {
      const shard = this.#shards.get(this.#shardOf(communityId));
      const need = shard?.communities.get(communityId);
      if (need !== undefined && need.readUntil <= now) this.free(communityId);
    }
    for (const shard of this.#shards.values()) {
      if (!shard.primed) {
        this.#check(shard);
        if (!shard.primed && now >= shard.askAgainAt && shard.awaiting.size > 0) {
          this.#toAsk.add(shard);
          shard.askAgainAt = Infinity;
        }
      }
      if (shard.quiet && now >= shard.quietUntil) {
        shard.quiet = false;
        this.#host.view.release(shard.index);
      }
      if (!this.#joins.isEmpty) this.#enterSome(shard);
      if (now >= shard.dropAt && shard.communities.size === 0) this.#drop(shard);
    }
  }
}
