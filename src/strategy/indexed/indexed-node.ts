import type { EvictionTarget, Instant } from '../../core/index.js';
import type { EntryLog } from '../../core/devices.js';
import type { Peer } from '../../core/membership.js';
import { RollCallAnswers } from '../../core/roll-call.js';
import { fold } from '../../core/user-queries.js';
import { laterClock, type Message } from '../../core/wire.js';
import type { EngineOptions } from '../engine.js';
import type { Told } from '../telling-node.js';
import { ToldNode } from '../told-node.js';
import type { IndexChange, Publication, Renewal, StoreCommand, StoreOutcome } from './commands.js';
import { CommunityIndex, type CommunityIndexHost } from './community-index.js';
import { usersIn } from './contents.js';

/** Changes in one write, and entries in one sweep. */
const BATCH = 200;
/** How long a version may be missing before the contents are read again. */
const GAP_GRACE_MS = 250;
const FIRST_LIST_WAIT_MS = 1000;
const GRACE_MS = 5000;
/** For so long after its end a lease still counts in reads: the sweep, not the clock, takes people away. */
const LATE_LEASE_MS = 10_000;
/** Beats after learning of a community before its dead are swept. */
const SWEEP_BEATS = 4;

/** What must work for this node to say that it is well. */
const NEEDED: ReadonlySet<StoreCommand['kind']> = new Set(['watch', 'read', 'write']);

interface Asked {
  readonly command: StoreCommand;
  readonly index?: CommunityIndex;
  readonly fetch?: boolean;
}

/**
 * One node under `dual-write` and `redis`: every change of this node's entries is written to an index
 * outside, which commits it, counts it and publishes it in one step; the told views follow the
 * publications. Liveness of other nodes' entries is their lease in the index, nothing else.
 */
export class IndexedNode extends ToldNode {
  readonly #readsLocally: boolean;
  readonly #indexes = new Map<string, CommunityIndex>();
  readonly #asked = new Map<number, Asked>();
  readonly #rollCalls = new RollCallAnswers();
  readonly #host: CommunityIndexHost;
  readonly #leaseMs: number;
  /** The store answers, so it is asked. */
  #isReachable = true;
  /** What the store refused or did not answer, until it does: a renewal that succeeds proves nothing of a write. */
  readonly #unproven = new Set<StoreCommand['kind']>();
  /** The store was away: until then it may be others' renewals that are late. */
  #leasesLateUntil = -Infinity;
  #renewAt = Infinity;
  #isRenewing = false;
  protected readonly firstListWaitMs = FIRST_LIST_WAIT_MS;

  constructor(options: EngineOptions, readsLocally: boolean) {
    super(options, 'index');
    this.#readsLocally = readsLocally;
    this.#leaseMs = options.downAfterMs + options.lingerMs;
    this.#host = {
      nodeId: this.nodeId,
      view: this.view,
      lingerMs: options.lingerMs,
      graceMs: Math.max(options.lingerMs, GRACE_MS),
      onEntry: (entry, owner) => {
        this.lamport = laterClock(laterClock(this.lamport, entry.rev), entry.born);
        this.devices.onRemote(entry, owner, true, this.t);
      },
      onGone: (entry, reason) => this.devices.onRemoteGone(entry, reason, this.t),
    };
  }

  override start(t: Instant): void {
    super.start(t);
    this.#renewAt = t.now + this.o.heartbeatMs * this.o.random();
  }

  override get isDegraded(): boolean {
    return !this.#isReachable || this.#unproven.size > 0 || super.isDegraded;
  }

  // The store.

  #ask(command: StoreCommand, asked: Omit<Asked, 'command'> = {}): number {
    const id = this.nextRequest();
    this.#asked.set(id, { command, ...asked });
    this.out.push({ kind: 'store', id, command });
    return id;
  }

  /** The outcome of a `store` effect. */
  stored(id: number, outcome: StoreOutcome, t: Instant): void {
    this.t = t;
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    const { command, index } = asked;
    if (asked.fetch === true) {
      this.#fetched(id, command, outcome);
    } else if (command.kind === 'renew') {
      this.#isRenewing = false;
      if (outcome.kind === 'renewed') this.#renewed(outcome.renewals);
    } else if (index !== undefined) {
      this.#outcome(index, command, outcome);
    }
    if (outcome.kind === 'failed') {
      if (NEEDED.has(command.kind)) this.#unproven.add(command.kind);
      this.#lost();
    } else if (this.#unproven.delete(command.kind)) this.#proven();
  }

  /** Something that had failed works again, or is needed no more. */
  #proven(): void {
    if (!this.#isReachable || this.#unproven.size > 0) return;
    this.reportDegraded();
    // What has been read again is complete now; the rest is when it has been.
    for (const told of this.told.values()) {
      if (told.known && this.#indexes.get(told.id)?.isLive === true) this.settle(told, true);
    }
  }

  /** The connection to the store was lost, or is there again. */
  connected(isConnected: boolean, t: Instant): void {
    this.t = t;
    if (!isConnected) this.#lost();
    // Whether it answers, the next renewal shows.
    else if (!this.#isReachable) this.#renewAt = t.now;
  }

  #lost(): void {
    if (!this.#isReachable) return;
    this.#isReachable = false;
    this.#leasesLateUntil = Infinity;
    for (const index of this.#indexes.values()) index.lose();
    this.reportDegraded();
  }

  #found(): void {
    this.#isReachable = true;
    if (this.#leasesLateUntil === Infinity) this.#leasesLateUntil = this.t.now + LATE_LEASE_MS;
    for (const index of this.#indexes.values()) {
      index.startOver();
      index.sweepFrom = Infinity;
      // What went while the store was away is found by reading, though nobody here needs the rest.
      if (index.told === null) this.#read(index);
      else this.#watch(index);
    }
    this.#proven();
  }

  /** Something is being read or written, or is to be. */
  get #isBusy(): boolean {
    for (const { isReading, isWriting, hasPending } of this.#indexes.values()) {
      if (isReading || isWriting || hasPending) return true;
    }
    return false;
  }

  // Communities.

  #index(told: Told): CommunityIndex {
    let index = this.#indexes.get(told.id);
    if (index === undefined) {
      index = new CommunityIndex(told, this.#host);
      if (!this.#isReachable) index.lose();
      this.#indexes.set(told.id, index);
    }
    index.told = told;
    return index;
  }

  protected learn(told: Told): void {
    const index = this.#index(told);
    if (index.isLive || index.isReading || !this.#isReachable) return;
    this.#watch(index);
  }

  /** Watches first, then reads: what is published in between waits. */
  #watch(index: CommunityIndex): void {
    index.halt();
    index.isReading = true;
    this.#ask({ kind: 'watch', communityId: index.id }, { index });
  }

  #read(index: CommunityIndex): void {
    index.halt();
    index.isReading = true;
    this.stats.pulls++;
    this.#ask({ kind: 'read', communityId: index.id, lateMs: LATE_LEASE_MS }, { index });
  }

  protected isFresh(told: Told): boolean {
    return told.known && this.#indexes.get(told.id)?.isLive === true;
  }

  protected isUpToDate(told: Told): boolean {
    const index = this.#indexes.get(told.id);
    // When the store is back, the others need a moment to write what happened meanwhile.
    return index?.isLive === true && index.behindSince === null && this.t.now >= index.sweepFrom;
  }

  protected onForget(told: Told): void {
    const index = this.#indexes.get(told.id);
    if (index?.told !== told) return;
    index.release();
    if (this.#isReachable) this.#dropIfDone(index);
  }

  #dropIfDone(index: CommunityIndex): void {
    if (index.told !== null || index.hasPending || index.isWriting) return;
    this.#indexes.delete(index.id);
    this.#ask({ kind: 'unwatch', communityId: index.id });
  }

  #outcome(index: CommunityIndex, command: StoreCommand, outcome: StoreOutcome): void {
    switch (command.kind) {
      case 'watch':
        if (outcome.kind === 'done' && index.isReading) this.#read(index);
        return;
      case 'read': {
        if (outcome.kind !== 'contents' || !index.isReading) return;
        this.stats.snapshotsApplied++;
        const isContiguous = index.onContents(outcome.contents, this.t);
        if (index.sweepFrom === Infinity) {
          index.sweepFrom = this.t.now + SWEEP_BEATS * this.o.heartbeatMs;
        }
        this.#learnt(index, isContiguous);
        return;
      }
      case 'write':
        this.#written(index, command.changes, outcome);
        return;
      case 'sweep':
        if (outcome.kind === 'changed') this.#seen(outcome.offline, command.changes);
        return;
      default:
        return;
    }
  }

  #learnt(index: CommunityIndex, isContiguous: boolean): void {
    // Taking in the contents may have ended the need of them: a device has moved away from here.
    if (index.told === null) {
      index.halt();
      this.#dropIfDone(index);
    } else if (isContiguous) this.settle(index.told, true);
    else if (index.isHealing) this.#heal(index);
    else this.#read(index);
  }

  #written(index: CommunityIndex, changes: readonly IndexChange[], outcome: StoreOutcome): void {
    index.isWriting = false;
    if (outcome.kind === 'refused') {
      // This node was taken for dead: everything of it is written anew, under a new lease.
      this.stats.fenceDrops++;
      index.reassert();
    } else if (outcome.kind === 'changed') {
      index.isClaimed = true;
      this.#seen(outcome.offline, changes);
      if (index.isLive && outcome.standing.epoch !== index.epoch) this.#heal(index);
    }
    // After a failure it is not known what was written: the index is read before it is let go.
    if (outcome.kind !== 'failed') this.#dropIfDone(index);
  }

  #heal(index: CommunityIndex): void {
    index.isHealing = true;
    index.sweepFrom = Infinity;
    index.reassert();
    this.#read(index);
  }

  /** These users are seen by nobody after these changes. */
  #seen(userIds: readonly string[], changes: readonly IndexChange[]): void {
    if (userIds.length === 0) return;
    const seenAt = new Map(changes.map((change) => [change.userId, change.seenAt]));
    const users = userIds.map((userId) => ({ userId, at: seenAt.get(userId) ?? this.t.wall }));
    this.#ask({ kind: 'seen', users });
  }

  /** Something was published about a community. */
  published(communityId: string, publication: Publication, t: Instant): void {
    this.t = t;
    const index = this.#indexes.get(communityId);
    if (index === undefined || index.told === null) return;
    this.stats.deltasApplied++;
    if (!index.onPublication(publication, t)) return;
    this.stats.gaps++;
    if (index.isHealing) this.#heal(index);
    else this.#read(index);
  }

  // Leases.

  #renew(): void {
    this.#renewAt = this.t.now + this.o.heartbeatMs;
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    const communities = Array.from(this.#indexes.values(), ({ id: communityId, known }) => ({
      communityId,
      known,
    }));
    this.#ask({ kind: 'renew', communities, leaseMs: this.#leaseMs });
  }

  #renewed(renewals: readonly Renewal[]): void {
    if (!this.#isReachable) {
      this.#found();
      return;
    }
    if (this.#unproven.size > 0 && !this.#isBusy) {
      this.#unproven.clear();
      this.#proven();
    }
    for (const { communityId, epoch, version, isHeld, living } of renewals) {
      const index = this.#indexes.get(communityId);
      if (index === undefined) continue;
      if (index.isClaimed && !isHeld && !index.isWriting) index.reassert();
      if (!index.isLive) continue;
      if (epoch !== index.epoch && epoch !== '') {
        this.#heal(index);
        continue;
      }
      index.announced = version;
      if (version > index.version) index.behindSince ??= this.t.now;
      if (this.t.now >= index.sweepFrom) this.#sweep(index, new Set(living));
    }
  }

  #sweep(index: CommunityIndex, living: ReadonlySet<string>): void {
    for (const nodeId of index.dead(living)) {
      const reason = this.membership.isFenced(nodeId) ? 'disconnected' : 'node-down';
      const { now, wall } = this.t;
      // Without a word of the node its lease tells, which it renewed until its end.
      const heard = this.membership.lastHeard(nodeId) ?? now - this.#leaseMs;
      const at = Math.round(wall - (now - heard));
      const { changes, isAll } = index.removals(nodeId, reason, at, BATCH);
      this.#sweepOf(index, nodeId, { changes, isAll, hasLeft: false });
    }
  }

  #sweepOf(
    index: CommunityIndex,
    nodeId: string,
    what: { changes: readonly IndexChange[]; isAll: boolean; hasLeft: boolean },
  ): void {
    this.#ask({ kind: 'sweep', communityId: index.id, nodeId, ...what }, { index });
  }

  /** What lingers of nodes that have left is in the index, until their leases end. */
  protected override onEvict(target: EvictionTarget, t: Instant): void {
    const hasLeft = (nodeId: string): boolean => this.membership.isFenced(nodeId);
    for (const index of this.#indexes.values()) {
      if ((target.communityId ?? index.id) !== index.id) continue;
      for (const [nodeId, changes] of index.removalsOf(target, hasLeft, t.wall)) {
        this.#sweepOf(index, nodeId, { changes, isAll: false, hasLeft: true });
      }
    }
  }

  // What this node writes.

  protected log(told: Told): EntryLog {
    const index = this.#index(told);
    return {
      shard: told.index,
      put: (entry) => index.put(entry),
      remove: (entry, reason, at) => index.remove(entry, reason, at),
    };
  }

  protected get hasOwnWork(): boolean {
    if (this.#rollCalls.hasWork) return true;
    if (!this.#isReachable) return false;
    for (const { hasPending, isWriting } of this.#indexes.values()) {
      if (hasPending && !isWriting) return true;
    }
    return false;
  }

  protected flushOwn(): void {
    this.#rollCalls.step((message) => this.send(message));
    if (!this.#isReachable) return;
    for (const index of this.#indexes.values()) {
      if (index.hasPending && !index.isWriting) this.#write(index);
    }
  }

  #write(index: CommunityIndex): void {
    const changes = index.takePending(BATCH);
    index.isWriting = true;
    this.stats.deltasSent++;
    this.stats.flushes++;
    this.stats.lastFlushOps = changes.length;
    const { id: communityId, known } = index;
    const claim = !index.isClaimed;
    const leaseMs = this.#leaseMs;
    this.#ask({ kind: 'write', communityId, known, claim, leaseMs, changes }, { index });
  }

  protected closeOwn(): void {
    // There is no later: what waits for a write that is under way follows it now, in as many as it takes.
    for (const index of this.#indexes.values()) while (index.hasPending) this.#write(index);
    // Perhaps nobody is left to see them go.
    const at = this.t.wall;
    const leaving = new Set(this.localUsers(undefined).map(({ userId }) => userId));
    if (leaving.size > 0) {
      this.#ask({ kind: 'seen', users: Array.from(leaving, (userId) => ({ userId, at })) });
    }
    const communityIds = [...this.#indexes.keys()];
    this.#ask({ kind: 'retire', communityIds, afterMs: this.o.lingerMs });
    this.send({ kind: 'leave', states: [], items: [] });
  }

  // The other nodes, which matter here only as what operators see.

  protected states(): [] {
    return [];
  }

  protected onPeerUp(): void {}
  protected onPeerAway(): void {}
  protected onPeerHidden(): void {}
  protected onPeerGone(): void {}
  protected onPeerForgotten(): void {}
  protected onHealed(): void {
    for (const told of this.told.values()) if (told.known) this.settle(told, true);
  }

  protected onMessage(peer: Peer, message: Message): void {
    if (message.kind !== 'call') return;
    const { communityId, request, userIds } = message;
    const entries = [...(this.#indexes.get(communityId)?.mine.values() ?? [])].filter(
      ({ userId }) => userIds?.includes(userId) ?? true,
    );
    const state = { shard: 0, seq: 0, a: 0, b: 0 };
    this.#rollCalls.add(peer.nodeId, request, state, entries);
  }

  // Time.

  protected ownDueAt(): number {
    let at = this.#renewAt;
    for (const { behindSince } of this.#indexes.values()) {
      if (behindSince !== null) at = Math.min(at, behindSince + GAP_GRACE_MS);
    }
    return at;
  }

  protected tickOwn(t: Instant): void {
    if (t.now >= this.#renewAt) this.#renew();
    for (const index of this.#indexes.values()) {
      if (index.behindSince === null || t.now < index.behindSince + GAP_GRACE_MS) continue;
      index.behindSince = null;
      // What was on its way has come meanwhile, as a rule.
      if (!index.isLive || index.version >= index.announced) continue;
      this.stats.gaps++;
      // Or the subscription is gone: a client may renew it by itself, and fail to without a word.
      this.#watch(index);
    }
  }

  // Reading.

  fetch(communityId: string, _timeoutMs: number, t: Instant): number {
    this.t = t;
    const index = this.#indexes.get(communityId);
    if (
      this.#readsLocally &&
      index?.isLive === true &&
      this.told.get(communityId)?.known === true
    ) {
      const id = this.nextRequest();
      const community = this.view.get(communityId);
      // What has been answered counts, told yet or not.
      const users =
        community === undefined || community.isIdle
          ? this.view.list(communityId)
          : fold([...community.users.values()].flatMap(({ held }) => held));
      this.out.push({ kind: 'fetched', id, complete: this.hearsOfAll, users });
      return id;
    }
    // Where nobody of the community is here, this node does not sweep, and perhaps nobody does.
    const isSwept = index !== undefined || t.now < this.#leasesLateUntil;
    const lateMs = isSwept ? LATE_LEASE_MS : 0;
    return this.#ask({ kind: 'read', communityId, lateMs }, { fetch: true });
  }

  #fetched(id: number, command: StoreCommand, outcome: StoreOutcome): void {
    if (command.kind !== 'read') return;
    if (outcome.kind !== 'contents') {
      const users = this.view.list(command.communityId);
      this.out.push({ kind: 'fetched', id, complete: false, users });
      return;
    }
    const mine = this.#indexes.get(command.communityId)?.mine.values();
    const users = usersIn(command.communityId, outcome.contents, {
      owner: this.self,
      entries: mine ?? [],
    });
    this.out.push({ kind: 'fetched', id, complete: this.hearsOfAll, users });
  }
}
