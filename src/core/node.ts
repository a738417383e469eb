import { unreachable } from './assert.js';
import { Devices, type DropReason } from './devices.js';
import { shardOf } from './digest.js';
import { decodeEntries } from './entry.js';
import type { EvictionTarget } from './explanation.js';
import { DEFAULT_LOG_LIMITS, encodePiece, ShardLog, type LogLimits } from './log.js';
import { Membership, type Peer } from './membership.js';
import {
  DEFAULT_REPLICA_LIMITS,
  Replica,
  type ReplicaHost,
  type ReplicaLimits,
  type ReplicaStats,
} from './replica.js';
import { Operations } from './operations.js';
import type { NodeReport } from './report.js';
import { RollCallAnswers } from './roll-call.js';
import { foldPublic, Owner, type Held, type UserRecord } from './roster.js';
import type {
  DevicePatch,
  Effect,
  Entry,
  Identity,
  Instant,
  ListInfo,
  NodeView,
  UserPresence,
} from './types.js';
import { View, type Community, type EncodedUsers } from './view.js';
import {
  decodeMessage,
  encodeMessage,
  type Answered,
  type DeltaItem,
  type Message,
  type ShardState,
  type Want,
  type WireFault,
} from './wire.js';

/**
 * One node of a rollcall cluster under the `replicated` strategy: composes the devices connected here,
 * the owner's logs, the replicas of the others' logs, membership and the told view.
 *
 * Sans-IO: every input carries its time, every output is an effect taken by `take()` and performed in
 * order before the next input. The host calls `tick` no later than `nextTickAt()`, after it has read
 * what waits in its sockets. Production and the simulator drive this very class.
 */

export interface NodeOptions {
  /** New at every start. */
  readonly nodeId: string;
  readonly nodeName?: string | undefined;
  /** Nodes of different clusters on one medium ignore each other. */
  readonly cluster?: string;
  /** Numbers in [0, 1), for jitter only. */
  readonly random: () => number;
  /** There can be no other node: ready at once. */
  readonly solo?: boolean;
  readonly canProbe?: boolean;
  /** `hosted`: take part in the shards of communities in use here; `all`: in every shard. */
  readonly interest?: 'hosted' | 'all';
  readonly shards?: number;
  readonly heartbeatMs?: number;
  readonly downAfterMs?: number;
  readonly lingerMs?: number;
  readonly typingTimeoutMs?: number;
  readonly forgetAfterMs?: number;
  /** Changes within this time travel together. */
  readonly flushMs?: number;
  /** How long a first list waits to be complete. */
  readonly firstListWaitMs?: number;
  /** After this time a starting node is ready whatever it has heard. */
  readonly readyTimeoutMs?: number;
  /** How long a shard is kept after the last need of it. */
  readonly dropDelayMs?: number;
  readonly proofMs?: number;
  /** More changes than this at once (and than a share of the roster) are told as a new list. */
  readonly stormChanges?: number;
  readonly maxMessageBytes?: number;
  readonly snapshotPieceEntries?: number;
  readonly snapshotPieceBytes?: number;
  readonly log?: Partial<LogLimits>;
  readonly replica?: Partial<ReplicaLimits>;
}

export interface NodeStats extends ReplicaStats {
  messagesSent: number;
  bytesSent: number;
  messagesReceived: number;
  bytesReceived: number;
  messagesFenced: number;
  faults: Record<WireFault, number>;
  deltasSent: number;
  opsSent: number;
  pulls: number;
  pullsAnswered: number;
  snapshotsSent: number;
  flushes: number;
  lastFlushOps: number;
  primes: number;
  primeMsTotal: number;
  primeMsMax: number;
  incompleteLists: number;
  fenceDrops: number;
}

const DEFAULTS = {
  cluster: 'rollcall',
  shards: 64,
  heartbeatMs: 1000,
  downAfterMs: 5000,
  lingerMs: 5000,
  typingTimeoutMs: 6000,
  forgetAfterMs: 60_000,
  flushMs: 25,
  firstListWaitMs: 400,
  readyTimeoutMs: 5000,
  dropDelayMs: 30_000,
  proofMs: 10_000,
  maxMessageBytes: 1024 * 1024,
  snapshotPieceEntries: 250,
  snapshotPieceBytes: 64 * 1024,
} as const;

/** Shards in a heartbeat beyond those that changed since the last. */
const ROLLING_STATES = 8;
/** Answers to requests within this time go out together. */
const ANSWER_WINDOW_MS = 100;
/** Messages of deltas are cut at this size. */
const DELTA_MESSAGE_BYTES = 64 * 1024;
/** A hello round lasts at least this long, and not for ever: an answer may come from a node that stood still. */
const ROUND_MS = 500;
const ROUND_MAX_MS = 2000;
const ROUNDS = 2;
/** How long a read keeps the interest in a community that nobody here is in. */
const READ_INTEREST_MS = 60_000;
const ASK_TIMEOUT_MS = 1000;

/** A shard that this node takes part in. */
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
  joins: PendingJoin[];
  /** When nothing here needs the shard any more, or Infinity. */
  dropAt: number;
}

interface Need {
  local: boolean;
  readUntil: number;
}

interface PendingJoin {
  readonly socketId: string;
  readonly communityId: string;
  readonly until: number;
}

interface SnapshotJob {
  readonly state: ShardState;
  readonly id: number;
  readonly entries: readonly Entry[];
  next: number;
  part: number;
  again: boolean;
}

interface Ask {
  readonly userId: string;
  readonly until: number;
  readonly awaiting: Set<string>;
  readonly entries: { readonly entry: Entry; readonly owner: Owner }[];
}

interface Fetch {
  readonly id: number;
  readonly communityId: string;
  readonly until: number;
}

export class PresenceNode {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly stats: NodeStats;
  readonly #o: typeof DEFAULTS & NodeOptions;
  readonly #self: Owner;
  readonly #out: Effect[] = [];
  readonly #view: View;
  readonly #devices: Devices;
  readonly #membership: Membership;
  readonly #replicaHost: ReplicaHost;
  readonly #logLimits: LogLimits;
  readonly #logs = new Map<number, ShardLog>();
  readonly #unsealed = new Set<ShardLog>();
  readonly #shards = new Map<number, Shard>();
  readonly #behind = new Set<Replica>();
  readonly #toPrime = new Set<Shard>();
  readonly #answers: Answered[] = [];
  readonly #answerShards = new Set<number>();
  readonly #pulled = new Map<number, number>();
  readonly #jobs = new Map<number, SnapshotJob>();
  readonly #rollCalls = new RollCallAnswers();
  readonly #operations: Operations;
  readonly #asks = new Map<number, Ask>();
  #fetches: Fetch[] = [];
  #helloAnswer = false;
  #answerAt = Infinity;
  #lastAnswerAt = -Infinity;
  #requests = 0;
  #jobIds = 0;
  #lamport = 1;
  #t: Instant = { now: 0, wall: 0 };
  #solo: boolean;
  #started = false;
  #closed = false;
  #ready = false;
  #readyBy = Infinity;
  #round = 0;
  #roundEndsAt = Infinity;
  #helloRequest = 0;
  #helloSentAt = 0;
  #rttMs = 0;
  #beatAt = Infinity;
  readonly #changedShards = new Set<number>();
  #rolling = 0;
  #lastFlush = -Infinity;
  #continuing = false;

  constructor(options: NodeOptions) {
    const given = Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    ) as unknown as NodeOptions;
    const o = { ...DEFAULTS, ...given } as typeof DEFAULTS & NodeOptions;
    this.#o = o;
    this.#solo = o.solo === true;
    this.nodeId = o.nodeId;
    this.nodeName = o.nodeName;
    this.#self = new Owner(o.nodeId);
    this.#logLimits = { ...DEFAULT_LOG_LIMITS, ...o.log };
    this.stats = newStats();
    this.#view = new View(
      {
        isQuiet: (shard) => this.#shards.get(shard)?.quiet ?? false,
        isComplete: (shard) => this.#isComplete(shard),
        isLocal: (userId, communityId) => this.#devices.isLocal(userId, communityId),
        activateAll: o.interest === 'all',
        stormChanges: o.stormChanges,
      },
      this.#out,
    );
    this.#devices = new Devices({
      view: this.#view,
      self: this.#self,
      out: this.#out,
      lingerMs: o.lingerMs,
      typingTimeoutMs: o.typingTimeoutMs,
      proofMs: o.proofMs,
      log: (communityId) => this.#logOf(communityId),
      stamp: () => ++this.#lamport,
      onUse: (communityId) => {
        this.#need(communityId).local = true;
      },
      onFree: (communityId) => this.#free(communityId),
      hearsAll: (communityId) => this.#hearsAll(shardOf(communityId, this.#o.shards)),
      deafLingerMs: o.forgetAfterMs,
    });
    this.#replicaHost = {
      view: this.#view,
      limits: { ...DEFAULT_REPLICA_LIMITS, ...o.replica },
      lingerMs: o.lingerMs,
      repairGraceMs: Math.min(o.lingerMs, 2 * o.heartbeatMs),
      random: o.random,
      stats: this.stats,
      onEntry: (entry, owner) => this.#devices.onRemote(entry, owner, this.#t),
      onGone: (entry, reason) => this.#devices.onRemoteGone(entry, reason, this.#t),
    };
    this.#membership = new Membership(
      o.nodeId,
      o.nodeName,
      {
        heartbeatMs: o.heartbeatMs,
        downAfterMs: o.downAfterMs,
        lingerMs: o.lingerMs,
        forgetAfterMs: o.forgetAfterMs,
        canProbe: o.canProbe === true,
        cadenceMs: o.heartbeatMs / 4,
      },
      {
        onUp: (peer) => this.#onUp(peer),
        onSuspect: (peer) => this.#ask(peer.nodeId, []),
        onDown: (peer) => {
          for (const replica of peer.replicas.values()) this.#behind.delete(replica);
          this.#out.push({
            kind: 'nodeDown',
            nodeId: peer.nodeId,
            nodeName: peer.name,
            reason: 'silent',
          });
          this.#stopAwaiting(peer);
        },
        onHidden: (peer, t) => this.#touchAll(peer, t),
        onGone: (peer, reason, t) => {
          const silent = reason === 'superseded';
          this.#dispose(peer, (held) => {
            if (peer.owner.hidden) this.#view.drop(held, 'node-down', t.wall, false);
            else {
              const why = silent ? 'node-down' : 'disconnected';
              this.#view.expect(held, t.now + o.lingerMs, why, t.wall);
            }
          });
          const { nodeId, name: nodeName } = peer;
          this.#out.push({ kind: 'nodeDown', nodeId, nodeName, reason });
          this.#stopAwaiting(peer);
        },
        onForgotten: (peer) => {
          this.#dispose(peer, (held) => this.#view.drop(held, 'node-down', this.#t.wall, false));
        },
        onProbe: (id) => this.#out.push({ kind: 'probe', id }),
        onDegraded: (degraded, t) => this.#onDegraded(degraded, t),
        onNameConflict: (nodeName, nodeIds) =>
          this.#out.push({ kind: 'nameConflict', nodeName, nodeIds }),
        onStall: (_late, t) => this.#devices.prove(this.#devices.socketIds, t),
      },
    );
    this.#operations = new Operations({
      self: this.#self,
      name: o.nodeName,
      devices: this.#devices,
      membership: this.#membership,
      view: this.#view,
      out: this.#out,
      report: (now) => this.report(now),
      nextRequest: () => ++this.#requests,
      send: (message) => this.#send(message),
      leave: (socketId, communityId, t) => this.leave(socketId, communityId, t),
      disconnect: (socketId, reason, t) => this.disconnect(socketId, reason, t),
      onMalformed: () => this.stats.malformed++,
    });
  }

  // Life of the node.

  /** Starts: says hello and begins to find out who else is there. */
  start(t: Instant): void {
    this.#t = t;
    if (this.#started) return;
    this.#started = true;
    this.#membership.start(t);
    this.#beatAt = t.now + this.#o.heartbeatMs * (0.75 + this.#o.random() / 4);
    this.#readyBy = t.now + this.#o.readyTimeoutMs;
    if (this.#o.interest === 'all') {
      for (let shard = 0; shard < this.#o.shards; shard++) this.#shard(shard);
    }
    if (this.#solo) {
      this.#becomeReady();
      return;
    }
    this.#round = 0;
    this.#roundEndsAt = t.now + this.#o.random() * 100;
  }

  /** The medium reaches other nodes after all: looks for them, as at the start. */
  meetOthers(t: Instant): void {
    this.#t = t;
    if (!this.#solo) return;
    this.#solo = false;
    if (!this.#started || this.#closed) return;
    this.#round = 0;
    this.#roundEndsAt = t.now;
    for (const shard of this.#shards.values()) this.#prime(shard);
  }

  /** Leaves in order: the others keep what is here for the linger. Nothing is sent afterwards. */
  close(t: Instant): void {
    this.#t = t;
    if (this.#closed) return;
    while (this.#unsealed.size > 0) this.#seal(t);
    if (this.#started) this.#send({ kind: 'leave', states: this.#allStates() });
    this.#closed = true;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get isDegraded(): boolean {
    return this.#membership.degraded;
  }

  get health(): number {
    return this.#membership.health;
  }

  /** Takes the effects that have gathered; perform them in order. */
  take(): Effect[] {
    return this.#out.splice(0);
  }

  get hasEffects(): boolean {
    return this.#out.length > 0;
  }

  // Local changes.

  connect(socketId: string, identity: Identity, t: Instant): void {
    this.#t = t;
    this.#devices.connect(socketId, identity, t);
  }

  /**
   * The socket joins a community. A `list` effect follows: at once where this node knows the shard,
   * else when it does, at the latest after `firstListWaitMs` as an incomplete one. Joining again sends
   * the list again.
   */
  join(socketId: string, communityId: string, t: Instant): void {
    this.#t = t;
    if (this.#closed || !this.#devices.has(socketId)) return;
    const need = this.#need(communityId);
    const shard = this.#shard(shardOf(communityId, this.#o.shards));
    if (shard.primed || this.#isMember(socketId, communityId)) {
      this.#enter(socketId, communityId);
      return;
    }
    need.local = true;
    if (shard.joins.some((j) => j.socketId === socketId && j.communityId === communityId)) return;
    shard.joins.push({ socketId, communityId, until: t.now + this.#o.firstListWaitMs });
  }

  #isMember(socketId: string, communityId: string): boolean {
    return this.#devices.communitiesOf(socketId)?.has(communityId) === true;
  }

  #enter(socketId: string, communityId: string): void {
    const shard = shardOf(communityId, this.#o.shards);
    const community = this.#view.activate(communityId, shard);
    this.#devices.join(socketId, communityId, this.#t);
    this.#view.await(community, socketId);
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    this.#t = t;
    this.#cancelJoins(socketId, communityId);
    const community = this.#view.get(communityId);
    if (community !== undefined) this.#view.leave(community, socketId);
    this.#devices.leave(socketId, communityId, t);
    this.#free(communityId);
  }

  /** Changes what this socket's device says of itself. True when something changed. */
  update(socketId: string, patch: DevicePatch, t: Instant): boolean {
    this.#t = t;
    return this.#devices.update(socketId, patch, t);
  }

  disconnect(socketId: string, reason: DropReason, t: Instant): void {
    this.#t = t;
    const communities = [...(this.#devices.communitiesOf(socketId) ?? [])];
    for (const communityId of communities) {
      const community = this.#view.get(communityId);
      if (community !== undefined) this.#view.leave(community, socketId);
    }
    this.#cancelJoins(socketId, undefined);
    this.#devices.disconnect(socketId, reason, t);
    for (const communityId of communities) this.#free(communityId);
  }

  #cancelJoins(socketId: string, communityId: string | undefined): void {
    for (const shard of this.#shards.values()) {
      if (shard.joins.length === 0) continue;
      const cancelled = shard.joins.filter(
        (j) =>
          j.socketId === socketId && (communityId === undefined || j.communityId === communityId),
      );
      if (cancelled.length === 0) continue;
      shard.joins = shard.joins.filter((j) => !cancelled.includes(j));
      for (const join of cancelled) this.#free(join.communityId);
    }
  }

  /** The socket has shown life. */
  alive(socketId: string, t: Instant): void {
    this.#t = t;
    this.#devices.alive(socketId, t);
  }

  /** The socket cannot keep up: it gets nothing until `resume`, and then the list. */
  suspend(socketId: string): void {
    for (const communityId of this.#devices.communitiesOf(socketId) ?? []) {
      const community = this.#view.get(communityId);
      if (community !== undefined) this.#view.leave(community, socketId);
    }
  }

  resume(socketId: string, t: Instant): void {
    this.#t = t;
    for (const communityId of this.#devices.communitiesOf(socketId) ?? []) {
      const community = this.#view.get(communityId);
      if (community?.active === true) this.#view.await(community, socketId);
    }
  }

  // Interest.

  #need(communityId: string): Need {
    const shard = this.#shard(shardOf(communityId, this.#o.shards));
    let need = shard.communities.get(communityId);
    if (need === undefined) {
      need = { local: false, readUntil: 0 };
      shard.communities.set(communityId, need);
    }
    shard.dropAt = Infinity;
    return need;
  }

  #free(communityId: string): void {
    const shard = this.#shards.get(shardOf(communityId, this.#o.shards));
    const need = shard?.communities.get(communityId);
    if (shard === undefined || need === undefined) return;
    if (shard.joins.some((join) => join.communityId === communityId)) return;
    if (this.#devices.hosts(communityId)) return;
    const community = this.#view.get(communityId);
    // A socket that does not count (it has shown no life) is told of everything all the same.
    if (community !== undefined && community.sockets.size > 0) return;
    need.local = false;
    if (need.readUntil > this.#t.now) return;
    shard.communities.delete(communityId);
    if (this.#o.interest === 'all') return;
    if (community?.active === true) this.#view.deactivate(community);
    if (shard.communities.size === 0) shard.dropAt = this.#t.now + this.#o.dropDelayMs;
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
        since: this.#t.now,
        request: 0,
        askAgainAt: Infinity,
        awaiting: new Map(),
        joins: [],
        dropAt: Infinity,
      };
      this.#shards.set(index, shard);
      this.#out.push({ kind: 'interest', shard: index, on: true });
      this.#prime(shard);
    }
    return shard;
  }

  /** Finds out what the others hold of a shard, quietly. */
  #prime(shard: Shard): void {
    const { now } = this.#t;
    shard.primed = false;
    shard.since = now;
    shard.quiet = true;
    shard.quietUntil = this.isDegraded ? Infinity : now + this.#o.readyTimeoutMs;
    shard.request = this.#requests + 1;
    shard.awaiting.clear();
    for (const peer of this.#membership.peers) {
      if (peer.state !== 'down') shard.awaiting.set(peer.nodeId, -1);
    }
    if (this.#discovered && shard.awaiting.size === 0) this.#primed(shard);
    else this.#toPrime.add(shard);
  }

  /** Whether who else is there has been found out, as far as hello rounds can tell. */
  get #discovered(): boolean {
    return this.#solo || (this.#started && this.#round > ROUNDS);
  }

  #primed(shard: Shard): void {
    if (shard.primed) return;
    shard.primed = true;
    shard.quiet = this.isDegraded;
    this.#toPrime.delete(shard);
    const took = this.#t.now - shard.since;
    this.stats.primes++;
    this.stats.primeMsTotal += took;
    if (took > this.stats.primeMsMax) this.stats.primeMsMax = took;
    for (const join of shard.joins.splice(0)) this.#enter(join.socketId, join.communityId);
    this.#view.release(shard.index);
  }

  #stopAwaiting(peer: Peer): void {
    for (const shard of this.#shards.values()) {
      if (shard.awaiting.delete(peer.nodeId)) this.#checkPrimed(shard);
    }
    for (const ask of this.#asks.values()) ask.awaiting.delete(peer.nodeId);
    this.#operations.stopAwaiting(peer.nodeId);
  }

  #checkPrimed(shard: Shard): void {
    if (!shard.primed && this.#discovered && shard.awaiting.size === 0) this.#primed(shard);
  }

  #isComplete(shard: number): boolean {
    return this.#ready && !this.#membership.degraded && this.#shards.get(shard)?.primed === true;
  }

  /** Whether a device that is gone here would be known if it were elsewhere. */
  #hearsAll(index: number): boolean {
    if (this.#o.solo === true) return true;
    if (this.#membership.degraded || this.#shards.get(index)?.primed === false) return false;
    for (const peer of this.#membership.peers) {
      if (peer.state === 'down') continue;
      if (peer.state === 'suspect' || peer.replicas.get(index)?.isBehind === true) return false;
    }
    return true;
  }

  #dropShard(shard: Shard): void {
    this.#shards.delete(shard.index);
    this.#toPrime.delete(shard);
    for (const peer of this.#membership.peers) {
      const replica = peer.replicas.get(shard.index);
      if (replica === undefined) continue;
      peer.replicas.delete(shard.index);
      this.#behind.delete(replica);
      replica.dispose((held) => this.#view.drop(held, 'left', 0, false));
    }
    this.#out.push({ kind: 'interest', shard: shard.index, on: false });
  }

  // The owner's side.

  #logOf(communityId: string): ShardLog {
    const index = shardOf(communityId, this.#o.shards);
    const log = this.#log(index);
    this.#unsealed.add(log);
    return log;
  }

  #log(index: number): ShardLog {
    let log = this.#logs.get(index);
    if (log === undefined) {
      log = new ShardLog(index, this.#logLimits);
      this.#logs.set(index, log);
    }
    return log;
  }

  #allStates(): ShardState[] {
    const states: ShardState[] = [];
    for (const log of this.#logs.values()) if (log.seq > 0) states.push(log.state());
    return states;
  }

  /** Seals at most one delta of each shard that has changes and sends them together. */
  #seal(t: Instant): void {
    let items: DeltaItem[] = [];
    let bytes = 0;
    let ops = 0;
    for (const log of this.#unsealed) {
      const delta = log.seal(t.now);
      if (!log.hasPending) this.#unsealed.delete(log);
      if (delta === undefined) continue;
      this.#changedShards.add(log.shard);
      ops += delta.ops;
      if (bytes > 0 && bytes + delta.body.length > DELTA_MESSAGE_BYTES) {
        this.#sendDeltas(items);
        items = [];
        bytes = 0;
      }
      items.push({ shard: log.shard, seq: delta.seq, body: delta.body });
      bytes += delta.body.length;
    }
    if (items.length === 0) return;
    this.#sendDeltas(items);
    this.stats.opsSent += ops;
    this.stats.flushes++;
    this.stats.lastFlushOps = ops;
  }

  #sendDeltas(items: readonly DeltaItem[]): void {
    this.stats.deltasSent += items.length;
    this.#send({ kind: 'delta', items });
  }

  #send(message: Message): void {
    if (this.#closed || this.#solo) return;
    const data = encodeMessage(this.#o.cluster, this.nodeId, this.#lamport, message);
    this.stats.messagesSent++;
    this.stats.bytesSent += data.length;
    this.#out.push({ kind: 'send', data });
  }

  #hello(): void {
    const { now } = this.#t;
    this.#round++;
    this.#helloRequest = ++this.#requests;
    this.#helloSentAt = now;
    this.#roundEndsAt = now + Math.min(Math.max(2 * this.#rttMs, ROUND_MS), ROUND_MAX_MS);
    this.#send({
      kind: 'hello',
      request: this.#helloRequest,
      name: this.nodeName,
      entries: this.#devices.entries,
      states: this.#allStates(),
    });
  }

  #beat(): void {
    const { now } = this.#t;
    this.#beatAt = now + this.#o.heartbeatMs;
    const states: ShardState[] = [];
    for (const index of this.#changedShards) states.push(this.#log(index).state());
    const logs = [...this.#logs.values()];
    for (let i = 0; i < Math.min(ROLLING_STATES, logs.length); i++) {
      const log = logs[this.#rolling++ % logs.length] as ShardLog;
      log.trim(now);
      if (log.seq > 0 && !this.#changedShards.has(log.shard)) states.push(log.state());
    }
    this.#changedShards.clear();
    this.#sendBeat(false, states, []);
  }

  #sendBeat(full: boolean, states: readonly ShardState[], answers: readonly Answered[]): void {
    const name = this.nodeName;
    this.#send({ kind: 'beat', full, name, entries: this.#devices.entries, states, answers });
  }

  #answer(): void {
    this.#lastAnswerAt = this.#t.now;
    this.#answerAt = Infinity;
    const answers = this.#answers.splice(0);
    if (this.#helloAnswer) {
      this.#sendBeat(true, this.#allStates(), answers);
    } else {
      const states = [...this.#answerShards].map((index) => this.#log(index).state());
      this.#sendBeat(false, states, answers);
    }
    this.#helloAnswer = false;
    this.#answerShards.clear();
    let items: DeltaItem[] = [];
    let bytes = 0;
    for (const [index, have] of this.#pulled) {
      const log = this.#log(index);
      const deltas = log.since(have);
      if (deltas === undefined) {
        this.#snapshot(log);
        continue;
      }
      for (const delta of deltas) {
        if (bytes > 0 && bytes + delta.body.length > DELTA_MESSAGE_BYTES) {
          this.#sendDeltas(items);
          items = [];
          bytes = 0;
        }
        items.push({ shard: index, seq: delta.seq, body: delta.body });
        bytes += delta.body.length;
      }
    }
    this.#pulled.clear();
    if (items.length > 0) this.#sendDeltas(items);
  }

  #snapshot(log: ShardLog): void {
    const running = this.#jobs.get(log.shard);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    this.#jobs.set(log.shard, {
      state: log.state(),
      id: ++this.#jobIds,
      entries: log.entries(),
      next: 0,
      part: 0,
      again: false,
    });
    this.stats.snapshotsSent++;
  }

  /** Sends one piece of one snapshot. */
  #stepJobs(): void {
    for (const [index, job] of this.#jobs) {
      const { snapshotPieceEntries, snapshotPieceBytes } = this.#o;
      const piece = encodePiece(job.entries, job.next, snapshotPieceEntries, snapshotPieceBytes);
      job.next = piece.next;
      const last = job.next >= job.entries.length;
      this.#send({
        kind: 'snapshot',
        state: job.state,
        id: job.id,
        part: job.part++,
        last,
        body: piece.body,
      });
      if (last) {
        this.#jobs.delete(index);
        if (job.again) this.#snapshot(this.#log(index));
      } else {
        // The next slice serves another shard's snapshot.
        this.#jobs.delete(index);
        this.#jobs.set(index, job);
      }
      return;
    }
  }

  // The others' side.

  /** Takes in a message from the medium. Never throws for any input. */
  receive(data: unknown, t: Instant): void {
    this.#t = t;
    if (this.#closed || !this.#started) return;
    const envelope = decodeMessage(data, this.#o.cluster, this.#o.maxMessageBytes * 4);
    if (typeof envelope === 'string') {
      this.stats.faults[envelope]++;
      return;
    }
    const { from, lamport, message } = envelope;
    if (from === this.nodeId) return;
    const peer = this.#membership.hear(from, t.now);
    if (peer === undefined) {
      this.stats.messagesFenced++;
      return;
    }
    this.stats.messagesReceived++;
    this.stats.bytesReceived += (data as string).length;
    if (lamport > this.#lamport) this.#lamport = lamport;
    this.#membership.revive(peer, t);
    this.#take(peer, message);
  }

  #take(peer: Peer, message: Message): void {
    const t = this.#t;
    switch (message.kind) {
      case 'hello':
        peer.name = message.name;
        peer.entries = message.entries;
        this.#onStates(peer, message.states);
        this.#owe({ nodeId: peer.nodeId, request: message.request });
        this.#helloAnswer = true;
        break;
      case 'beat':
        peer.name = message.name;
        peer.entries = message.entries;
        this.#onStates(peer, message.states);
        for (const { nodeId, request } of message.answers) {
          if (nodeId === this.nodeId) this.#onAnswer(peer, request, message);
        }
        break;
      case 'delta':
        for (const { shard, seq, body } of message.items) {
          const replica = this.#replica(peer, shard);
          if (replica === undefined) continue;
          replica.onDelta(seq, body, t);
          this.#afterReplica(peer, replica);
        }
        break;
      case 'pull':
        if (message.to !== undefined && message.to !== this.nodeId) return;
        this.#owe({ nodeId: peer.nodeId, request: message.request });
        for (const { shard, have } of message.wants) {
          if (shard >= this.#o.shards) continue;
          this.#answerShards.add(shard);
          const seq = this.#logs.get(shard)?.seq ?? 0;
          if (have >= seq) continue;
          this.stats.pullsAnswered++;
          this.#pulled.set(shard, Math.min(have, this.#pulled.get(shard) ?? Infinity));
        }
        break;
      case 'snapshot': {
        const replica = this.#replica(peer, message.state.shard);
        if (replica === undefined) return;
        const { state, id, part, last, body } = message;
        replica.onSnapshot(state, id, part, last, body, t);
        this.#afterReplica(peer, replica);
        break;
      }
      case 'leave':
        this.#membership.left(peer, t);
        break;
      case 'ask':
        this.#send({
          kind: 'answer',
          to: peer.nodeId,
          request: message.request,
          body: encodePiece(this.#devices.entriesOf(message.userId), 0, 1000, 512 * 1024).body,
        });
        break;
      case 'answer':
        if (message.to === this.nodeId) this.#onAsked(peer, message.request, message.body);
        break;
      case 'call':
        this.#onCall(peer, message.request, message.communityId, message.userIds);
        break;
      case 'present':
        // Only nodes that hold nobody else's entries call the roll.
        break;
      case 'inspect':
      case 'inspected':
      case 'evict':
      case 'evicted':
      case 'survey':
      case 'surveyed':
        this.#operations.onMessage(peer, message, t);
        break;
      default:
        unreachable(message);
    }
  }

  #onCall(
    peer: Peer,
    request: number,
    communityId: string,
    userIds: readonly string[] | undefined,
  ): void {
    while (this.#unsealed.size > 0) this.#seal(this.#t);
    const log = this.#log(shardOf(communityId, this.#o.shards));
    const entries = log
      .entries()
      .filter((e) => e.communityId === communityId && (userIds?.includes(e.userId) ?? true));
    this.#rollCalls.add(peer.nodeId, request, log.state(), entries);
  }

  #owe(answer: Answered): void {
    this.#answers.push(answer);
    if (this.#answerAt !== Infinity) return;
    this.#answerAt = Math.max(this.#t.now, this.#lastAnswerAt + ANSWER_WINDOW_MS);
  }

  #onStates(peer: Peer, states: readonly ShardState[]): void {
    for (const state of states) {
      const replica = this.#replica(peer, state.shard);
      if (replica === undefined) continue;
      replica.onState(state, this.#t);
      this.#afterReplica(peer, replica);
    }
  }

  #onAnswer(peer: Peer, request: number, beat: Extract<Message, { kind: 'beat' }>): void {
    if (request === this.#helloRequest) {
      this.#rttMs = Math.max(this.#rttMs, this.#t.now - this.#helloSentAt);
    }
    if (beat.full) peer.answered = true;
    for (const shard of this.#shards.values()) {
      if (request < shard.request || !shard.awaiting.has(peer.nodeId)) continue;
      const state = beat.states.find((s) => s.shard === shard.index);
      if (state === undefined && !beat.full) continue;
      shard.awaiting.set(peer.nodeId, state?.seq ?? 0);
      const replica = this.#replica(peer, shard.index);
      replica?.hurry();
      this.#settleAwaiting(peer, shard, replica);
    }
  }

  #settleAwaiting(peer: Peer, shard: Shard, replica: Replica | undefined): void {
    const target = shard.awaiting.get(peer.nodeId);
    if (target === undefined || target < 0 || (replica?.have ?? 0) < target) return;
    if (replica?.isBehind === true && replica.have < target) return;
    shard.awaiting.delete(peer.nodeId);
    this.#checkPrimed(shard);
  }

  #afterReplica(peer: Peer, replica: Replica): void {
    if (replica.isBehind) this.#behind.add(replica);
    else this.#behind.delete(replica);
    const shard = this.#shards.get(replica.shard);
    if (shard !== undefined && !shard.primed) this.#settleAwaiting(peer, shard, replica);
  }

  #replica(peer: Peer, shard: number): Replica | undefined {
    if (!this.#shards.has(shard)) return undefined;
    let replica = peer.replicas.get(shard);
    if (replica === undefined) {
      replica = new Replica(peer.owner, shard, this.#replicaHost);
      peer.replicas.set(shard, replica);
    }
    return replica;
  }

  #ask(to: string | undefined, wants: readonly Want[]): void {
    this.#send({ kind: 'pull', request: ++this.#requests, to, wants });
    if (wants.length > 0) this.stats.pulls++;
  }

  #onUp(peer: Peer): void {
    this.#out.push({ kind: 'nodeUp', nodeId: peer.nodeId, nodeName: peer.name });
    const wants: Want[] = [];
    for (const shard of this.#shards.values()) {
      if (!shard.primed) shard.awaiting.set(peer.nodeId, -1);
      wants.push({ shard: shard.index, have: peer.replicas.get(shard.index)?.have ?? 0 });
    }
    // A starting node's hello rounds ask everybody already.
    if (wants.length > 0 && this.#discovered) this.#ask(peer.nodeId, wants);
    else if (wants.length > 0) for (const shard of this.#shards.values()) this.#toPrime.add(shard);
  }

  #touchAll(peer: Peer, t: Instant): void {
    const seenAt = Math.max(0, t.wall - (t.now - peer.lastHeard));
    for (const replica of peer.replicas.values()) {
      for (const held of replica.held) {
        this.#view.touch(held, 'node-down', seenAt);
        if (peer.owner.hidden) this.#devices.onRemoteGone(held.entry, 'node-down', t);
      }
    }
  }

  #dispose(peer: Peer, each: (held: Held) => void): void {
    for (const replica of peer.replicas.values()) {
      this.#behind.delete(replica);
      replica.dispose((held) => {
        each(held);
        this.#devices.onRemoteGone(held.entry, 'node-down', this.#t);
      });
    }
    peer.replicas.clear();
  }

  #onDegraded(degraded: boolean, t: Instant): void {
    this.#out.push({ kind: 'degraded', degraded });
    if (degraded) {
      // What trickles in from here on is one side of a story: a device that moved is heard as gone
      // from the one node long before it is heard as there from the other.
      for (const shard of this.#shards.values()) {
        shard.quiet = true;
        shard.quietUntil = Infinity;
      }
      return;
    }
    if (!this.#ready) {
      for (const shard of this.#shards.values()) {
        shard.quietUntil = t.now + this.#o.readyTimeoutMs;
      }
      return;
    }
    // Healing: find out quietly what was missed, as at the start.
    for (const peer of this.#membership.peers) peer.answered = false;
    this.#round = ROUNDS - 1;
    this.#roundEndsAt = t.now;
    for (const shard of this.#shards.values()) this.#prime(shard);
  }

  /** The host's answer to a `probe` effect: whether the medium can be reached. */
  probed(id: number, ok: boolean, t: Instant): void {
    this.#t = t;
    this.#membership.probed(id, ok, t);
  }

  /** The host saw its event loop lag. */
  strained(): void {
    this.#membership.strained();
  }

  // Time.

  /** When `tick` must be called at the latest; now or earlier means as soon as I/O has been read. */
  nextTickAt(): number {
    if (!this.#started || this.#closed) return Infinity;
    let at = Math.min(
      this.#membership.nextDue(),
      this.#beatAt,
      this.#devices.nextDue(),
      this.#view.nextExpiry(),
      this.#answerAt,
      this.#roundEndsAt,
      this.#operations.nextDue(),
    );
    if (!this.#ready) at = Math.min(at, this.#readyBy);
    // Cut off, nobody is asked (see #pull), so nothing is due either.
    if (!this.#membership.degraded) {
      for (const replica of this.#behind) at = Math.min(at, replica.dueAt());
    }
    for (const ask of this.#asks.values()) at = Math.min(at, ask.until);
    for (const fetch of this.#fetches) at = Math.min(at, fetch.until);
    for (const shard of this.#shards.values()) {
      const join = shard.joins[0];
      if (join !== undefined) at = Math.min(at, join.until);
    }
    if (this.#hasWork()) {
      at = this.#continuing ? -Infinity : Math.min(at, this.#lastFlush + this.#o.flushMs);
    }
    return at;
  }

  #hasWork(): boolean {
    return (
      this.#unsealed.size > 0 ||
      this.#view.hasWork ||
      this.#jobs.size > 0 ||
      this.#rollCalls.hasWork ||
      this.#toPrime.size > 0
    );
  }

  /** Does what is due: deadlines, judgement, one slice of the flush. */
  tick(t: Instant): void {
    this.#t = t;
    if (!this.#started || this.#closed) return;
    this.#membership.tick(t);
    this.#devices.tick(t);
    this.#view.expire(t.now);
    this.#tickShards(t);
    this.#tickReady(t);
    if (this.#hasWork() && (this.#continuing || t.now >= this.#lastFlush + this.#o.flushMs)) {
      this.#flush(t);
    }
    if (t.now >= this.#answerAt) {
      // What is answered must include what is recorded.
      while (this.#unsealed.size > 0) this.#seal(t);
      this.#answer();
    }
    if (t.now >= this.#beatAt) this.#beat();
    this.#pull(t.now);
    this.#settleAsks(t.now);
    this.#operations.tick(t);
  }

  #flush(t: Instant): void {
    this.#seal(t);
    this.#askToPrime();
    this.#view.flush();
    this.#stepJobs();
    this.#rollCalls.step((message) => this.#send(message));
    this.#continuing = this.#hasWork();
    if (!this.#continuing) this.#lastFlush = t.now;
  }

  #askToPrime(): void {
    if (this.#toPrime.size === 0) return;
    const wants: Want[] = [];
    for (const shard of this.#toPrime) {
      wants.push({ shard: shard.index, have: 0 });
      shard.askAgainAt = this.#t.now + this.#replicaHost.limits.pullTimeoutMs;
    }
    this.#toPrime.clear();
    this.#ask(undefined, wants);
  }

  #tickShards(t: Instant): void {
    for (const shard of this.#shards.values()) {
      if (!shard.primed) {
        this.#checkPrimed(shard);
        if (!shard.primed && t.now >= shard.askAgainAt && shard.awaiting.size > 0) {
          this.#toPrime.add(shard);
          shard.askAgainAt = Infinity;
        }
      }
      if (shard.quiet && t.now >= shard.quietUntil) {
        shard.quiet = false;
        this.#view.release(shard.index);
      }
      while (shard.joins.length > 0 && (shard.joins[0] as PendingJoin).until <= t.now) {
        const join = shard.joins.shift() as PendingJoin;
        this.#enter(join.socketId, join.communityId);
      }
      for (const [communityId, need] of shard.communities) {
        if (!need.local && need.readUntil <= t.now) this.#free(communityId);
      }
      if (t.now >= shard.dropAt && shard.communities.size === 0) this.#dropShard(shard);
    }
  }

  #tickReady(t: Instant): void {
    if (t.now >= this.#roundEndsAt) {
      const everybody = this.#everybodyAnswered();
      if (this.#round < ROUNDS || (!everybody && !this.#ready && t.now < this.#readyBy)) {
        this.#hello();
      } else {
        this.#round = ROUNDS + 1;
        this.#roundEndsAt = Infinity;
        for (const shard of this.#shards.values()) this.#checkPrimed(shard);
      }
    }
    if (this.#ready) return;
    const overdue = t.now >= this.#readyBy;
    if (overdue || (this.#discovered && this.#allPrimed())) this.#becomeReady();
  }

  #everybodyAnswered(): boolean {
    for (const peer of this.#membership.peers) {
      if (peer.state === 'alive' && !peer.answered) return false;
    }
    return true;
  }

  #allPrimed(): boolean {
    for (const shard of this.#shards.values()) if (!shard.primed) return false;
    return true;
  }

  #becomeReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    if (this.#round <= ROUNDS) {
      this.#round = ROUNDS + 1;
      this.#roundEndsAt = Infinity;
    }
    for (const shard of this.#shards.values()) {
      this.#checkPrimed(shard);
      if (shard.primed) this.#view.release(shard.index);
    }
    this.#out.push({ kind: 'ready', complete: this.#allPrimed() && !this.isDegraded });
  }

  #pull(now: number): void {
    if (this.#behind.size === 0 || this.#membership.degraded) return;
    const wants = new Map<string, Want[]>();
    for (const replica of this.#behind) {
      const have = replica.wants(now);
      if (have === undefined) continue;
      const { nodeId } = replica.owner;
      const list = wants.get(nodeId);
      if (list === undefined) wants.set(nodeId, [{ shard: replica.shard, have }]);
      else list.push({ shard: replica.shard, have });
    }
    for (const [nodeId, list] of wants) this.#ask(nodeId, list);
  }

  // Reading.

  isOnline(userId: string): boolean {
    return this.#view.isOnline(userId);
  }

  /** Who is online in a community as this node has told it. The array is shared and frozen. */
  onlineUsers(communityId: string): readonly UserPresence[] {
    return this.#view.list(communityId);
  }

  /** The presences of a user in the communities that this node takes part in. */
  user(userId: string): readonly UserPresence[] {
    return this.#view.user(userId);
  }

  /** Who is online with sockets of this node: in one community, or in all. */
  localUsers(communityId: string | undefined): readonly UserPresence[] {
    return this.#view.localUsers(communityId);
  }

  info(communityId: string): ListInfo {
    return {
      communityId,
      complete: this.#isComplete(shardOf(communityId, this.#o.shards)),
      nodes: this.#membership.size + 1,
    };
  }

  /** The list as JSON; see `View.encoded`. */
  encodedList(communityId: string): EncodedUsers {
    return this.#view.encoded(communityId);
  }

  /** What the user's own sockets see instead of what everybody sees; null where that is the same. */
  own(communityId: string, userId: string): UserPresence | null {
    return this.#view.own(communityId, userId);
  }

  userOf(socketId: string): string | undefined {
    return this.#devices.userOf(socketId);
  }

  socketsOf(userId: string, communityId: string): readonly string[] {
    return this.#devices.socketsOf(userId, communityId);
  }

  communitiesOf(socketId: string): ReadonlySet<string> | undefined {
    return this.#devices.communitiesOf(socketId);
  }

  community(communityId: string): Community | undefined {
    return this.#view.get(communityId);
  }

  /** Keeps this node interested in a community that is read, though nobody here is in it. */
  touch(communityId: string, t: Instant): void {
    this.#t = t;
    if (this.#closed) return;
    this.#need(communityId).readUntil = t.now + READ_INTEREST_MS;
    this.#view.activate(communityId, shardOf(communityId, this.#o.shards));
  }

  /** Reads a community cluster-wide; a `fetched` effect follows, incomplete after `timeoutMs`. */
  fetch(communityId: string, timeoutMs: number, t: Instant): number {
    this.touch(communityId, t);
    const id = ++this.#requests;
    this.#fetches.push({ id, communityId, until: t.now + timeoutMs });
    this.#settleFetches(t.now);
    return id;
  }

  #settleFetches(now: number): void {
    if (this.#fetches.length === 0) return;
    this.#fetches = this.#fetches.filter(({ id, communityId, until }) => {
      const community = this.#view.get(communityId);
      const complete =
        this.#isComplete(shardOf(communityId, this.#o.shards)) &&
        (community === undefined || this.#view.isTold(community));
      if (!complete && now < until) return true;
      const users = this.#view.list(communityId);
      this.#out.push({ kind: 'fetched', id, complete, users });
      return false;
    });
  }

  /** Asks every node for its entries of a user; an `answered` effect follows. */
  fetchUser(userId: string, t: Instant): number {
    this.#t = t;
    const id = ++this.#requests;
    const awaiting = new Set<string>();
    for (const peer of this.#membership.peers) {
      if (peer.state !== 'down') awaiting.add(peer.nodeId);
    }
    const entries = this.#devices.entriesOf(userId).map((entry) => ({ entry, owner: this.#self }));
    this.#asks.set(id, { userId, until: t.now + ASK_TIMEOUT_MS, awaiting, entries });
    if (awaiting.size > 0) this.#send({ kind: 'ask', request: id, userId });
    this.#settleAsks(t.now);
    return id;
  }

  #onAsked(peer: Peer, request: number, body: string): void {
    const ask = this.#asks.get(request);
    if (ask === undefined || !ask.awaiting.has(peer.nodeId)) return;
    const entries = decodeEntries(body);
    if (entries === undefined) {
      this.stats.malformed++;
      return;
    }
    ask.awaiting.delete(peer.nodeId);
    for (const entry of entries) {
      if (entry.userId === ask.userId) ask.entries.push({ entry, owner: peer.owner });
    }
    this.#settleAsks(this.#t.now);
  }

  #settleAsks(now: number): void {
    this.#settleFetches(now);
    for (const [id, ask] of this.#asks) {
      if (ask.awaiting.size > 0 && now < ask.until) continue;
      this.#asks.delete(id);
      const records = new Map<string, UserRecord>();
      for (const { entry, owner } of ask.entries) {
        const { communityId, userId } = entry;
        let user = records.get(communityId);
        if (user === undefined) {
          user = { userId, communityId, held: [], told: null, toldOwn: null };
          records.set(communityId, user);
        }
        user.held.push({ entry, owner, user, until: 0, untilReason: 'left' });
      }
      const communities: UserPresence[] = [];
      for (const user of records.values()) {
        const presence = foldPublic(user);
        if (presence !== null) communities.push(presence);
      }
      const complete = ask.awaiting.size === 0 && this.#ready && !this.isDegraded;
      this.#out.push({ kind: 'answered', id, complete, communities });
    }
  }

  /** Why is this user online? Asks every node; an `explained` effect follows. */
  explain(userId: string, t: Instant): number {
    this.#t = t;
    return this.#operations.explain(userId, t);
  }

  /** Ends a user's devices on every node; an `evicted` effect follows. */
  evict(target: EvictionTarget, reason: string, t: Instant): number {
    this.#t = t;
    return this.#operations.evict(target, reason, t);
  }

  /** Age of the oldest entry held here without a sign of life: of its socket, or of its node. */
  oldestProofMs(now: number): number {
    return Math.max(this.#devices.oldestProofMs(now), this.#membership.oldestSilenceMs(now));
  }

  /** Asks every node how it is; a `surveyed` effect follows. */
  survey(t: Instant): number {
    this.#t = t;
    return this.#operations.survey(t);
  }

  /** How this node is, and how it sees the others. */
  report(now: number): NodeReport {
    const { entriesOwned, entriesHeld, usersOnline, sockets, health, lagMs } = this.gauges(now);
    const peers = this.nodes(now).flatMap(({ nodeName = null, state, lastHeardMs, ...peer }) =>
      state === 'self' ? [] : [{ ...peer, nodeName, state, lastHeardMs: Math.round(lastHeardMs) }],
    );
    return {
      nodeId: this.nodeId,
      nodeName: this.nodeName ?? null,
      isReady: this.isReady,
      isDegraded: this.isDegraded,
      health,
      entries: entriesOwned,
      heldEntries: entriesHeld,
      users: usersOnline,
      sockets,
      lagMs: Math.round(lagMs),
      oldestProofMs: Math.round(this.oldestProofMs(now)),
      changes: this.#devices.changes,
      messagesSent: this.stats.messagesSent,
      messagesReceived: this.stats.messagesReceived,
      peers,
    };
  }

  nodes(now: number): NodeView[] {
    const nodes: NodeView[] = [
      {
        nodeId: this.nodeId,
        nodeName: this.nodeName,
        state: 'self',
        entries: this.#devices.entries,
        lastHeardMs: 0,
      },
    ];
    for (const peer of this.#membership.peers) {
      nodes.push({
        nodeId: peer.nodeId,
        nodeName: peer.name,
        state: peer.state,
        entries: peer.entries,
        lastHeardMs: Math.max(0, now - peer.lastHeard),
      });
    }
    return nodes;
  }

  /** What this node holds, for metrics and for the simulator's checks of bounds. */
  gauges(now: number): NodeGauges {
    let oldestGap = 0;
    let replicas = 0;
    let buffered = 0;
    for (const peer of this.#membership.peers) {
      for (const replica of peer.replicas.values()) {
        replicas++;
        buffered += replica.buffered;
        if (replica.gapSince !== null) oldestGap = Math.max(oldestGap, now - replica.gapSince);
      }
    }
    let kept = 0;
    for (const log of this.#logs.values()) kept += log.ringSize;
    return {
      entriesOwned: this.#devices.entries,
      entriesHeld: this.#view.entries,
      usersOnline: this.#view.usersOnline,
      sockets: this.#devices.socketCount,
      nodes: this.#membership.size + 1,
      shards: this.#shards.size,
      replicas,
      bufferedDeltas: buffered,
      keptDeltas: kept,
      waiting: this.#devices.waiting + this.#view.expiring,
      fenced: this.#membership.fenced,
      health: this.#membership.health,
      lagMs: oldestGap,
    };
  }

  /** For the simulator's checks: what this node recorded, and what it holds of others. */
  inspect(): NodeInspection {
    return {
      logs: this.#logs,
      peers: this.#membership.peers,
      shards: this.#shards.keys(),
      view: this.#view,
      shardOf: (communityId) => shardOf(communityId, this.#o.shards),
    };
  }
}

export interface NodeGauges {
  readonly entriesOwned: number;
  readonly entriesHeld: number;
  readonly usersOnline: number;
  readonly sockets: number;
  readonly nodes: number;
  readonly shards: number;
  readonly replicas: number;
  readonly bufferedDeltas: number;
  readonly keptDeltas: number;
  readonly waiting: number;
  readonly fenced: number;
  readonly health: number;
  /** Age of the oldest gap: how far this node is behind somebody. */
  readonly lagMs: number;
}

export interface NodeInspection {
  readonly logs: ReadonlyMap<number, ShardLog>;
  readonly peers: Iterable<Peer>;
  readonly shards: Iterable<number>;
  readonly view: View;
  readonly shardOf: (communityId: string) => number;
}

export function newStats(): NodeStats {
  return {
    messagesSent: 0,
    bytesSent: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    messagesFenced: 0,
    faults: { malformed: 0, oversize: 0, version: 0, cluster: 0 },
    deltasSent: 0,
    opsSent: 0,
    pulls: 0,
    pullsAnswered: 0,
    snapshotsSent: 0,
    flushes: 0,
    lastFlushOps: 0,
    primes: 0,
    primeMsTotal: 0,
    primeMsMax: 0,
    incompleteLists: 0,
    fenceDrops: 0,
    deltasApplied: 0,
    deltasIgnored: 0,
    deltasBuffered: 0,
    deltasDropped: 0,
    snapshotsApplied: 0,
    gaps: 0,
    repairs: 0,
    repairMsTotal: 0,
    repairMsMax: 0,
    divergences: 0,
    malformed: 0,
  };
}
