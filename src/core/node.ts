import { CommunityReads } from './community-reads.js';
import type { Community } from './community.js';
import { Devices, type DropReason } from './devices.js';
import { shardOf } from './digest.js';
import { Discovery } from './discovery.js';
import type { EvictionTarget } from './explanation.js';
import { Inbox } from './inbox.js';
import { Interest } from './interest.js';
import { DEFAULT_LOG_LIMITS, type ShardLog } from './log.js';
import { Membership, type Peer } from './membership.js';
import { withDefaults, type FullNodeOptions, type NodeOptions } from './node-options.js';
import { Operations } from './operations.js';
import { FlushWindow } from './flush-window.js';
import { Publisher } from './publisher.js';
import { DEFAULT_REPLICA_LIMITS } from './replica.js';
import { Replicas } from './replicas.js';
import { reportOf, type NodeReport } from './report.js';
import { RollCallAnswers } from './roll-call.js';
import { Owner, type Held } from './roster.js';
import { asks, routeOf, type Route } from './route.js';
import type { SomeSet } from './small.js';
import { newStats, type NodeGauges, type NodeStats } from './stats.js';
import type {
  DevicePatch,
  Effect,
  Identity,
  Instant,
  ListInfo,
  NodeView,
  RemoveReason,
  UserPresence,
} from './types.js';
import { UserQueries } from './user-queries.js';
import { View, type EncodedUsers } from './view.js';
import {
  decodeMessage,
  encodeMessage,
  laterClock,
  startOfMessages,
  nameIn,
  type Answered,
  type Message,
  type ShardState,
  type Want,
} from './wire.js';

/**
 * One node of a rollcall cluster under the `replicated` strategy: composes the devices connected here,
 * the owner's logs, the replicas of the others' logs, membership and the told view.
 *
 * Sans-IO: every input carries its time, every output is an effect taken by `take()` and performed in
 * order before the next input. The host calls `tick` no later than `nextTickAt()`, after it has read
 * what waits in its sockets. Production and the simulator drive this very class.
 */

/** A node whose heartbeat is later than this may have said something that has not been heard. */
const DEAF_BEATS = 1.25;
/** How long a read keeps the interest in a community that nobody here is in. */
const READ_INTEREST_MS = 60_000;
/** For how many slices the message to the others waits at most while lists are handed to sockets here. */
const MOST_SLICES_HELD = 2;

/** One node under the strategy `replicated`, without input and output of its own. */
export class PresenceNode {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly stats: NodeStats;
  readonly #o: FullNodeOptions;
  readonly #self: Owner;
  readonly #out: Effect[] = [];
  /** How everything begins that this node says itself. */
  readonly #ownStart: string;
  readonly #view: View;
  readonly #devices: Devices;
  readonly #membership: Membership;
  readonly #publisher: Publisher;
  readonly #interest: Interest;
  readonly #replicas: Replicas;
  readonly #rollCalls = new RollCallAnswers();
  readonly #operations: Operations;
  readonly #queries = new UserQueries({
    onAnswered: (answer) => this.#out.push(answer),
    shown: (userId) => this.#view.telling.online.get(userId),
  });
  readonly #reads: CommunityReads;
  readonly #inbox: Inbox;
  #requests = 0;
  #lamport = 1;
  #t: Instant = { now: 0, wall: 0 };
  #solo: boolean;
  #started = false;
  #closed = false;
  #ready = false;
  #beatAt = Infinity;
  readonly #discovery: Discovery;
  readonly #window: FlushWindow;
  /** When the flush that is under way was opened. */
  #flushOpened = -Infinity;
  /** For how many slices the message to the others has waited for lists. */
  #slicesHeld = 0;

  constructor(options: NodeOptions) {
    const o = withDefaults(options);
    this.#o = o;
    this.#window = new FlushWindow(o.flushMs);
    this.#solo = o.solo === true;
    this.nodeId = o.nodeId;
    this.nodeName = o.nodeName;
    const { sliceEntries } = { ...DEFAULT_REPLICA_LIMITS, ...o.replica };
    this.#self = new Owner(o.nodeId);
    this.#ownStart = startOfMessages(o.cluster, o.nodeId);
    this.stats = newStats();
    this.#discovery = new Discovery({
      random: o.random,
      peers: () => this.#membership.peers,
      hello: () => this.#hello(),
    });
    this.#publisher = new Publisher({
      limits: { ...DEFAULT_LOG_LIMITS, ...o.log },
      pieces: { entries: o.snapshotPieceEntries, bytes: o.snapshotPieceBytes },
      stats: this.stats,
      isRouted: o.isRouted === true,
      send: (message, route) => this.#send(message, route),
      beat: (full, states, answers, route) => this.#sendBeat(full, states, answers, route),
    });
    this.#view = new View(
      {
        isQuiet: (shard) => this.#interest.isQuiet(shard),
        isComplete: (shard) => this.#isComplete(shard),
        isLocal: (userId, communityId) => this.#devices.connections.isLocal(userId, communityId),
        activateAll: o.interest === 'all',
        stormChanges: o.stormChanges,
        sliceEntries,
        hearsAll: (shard) => this.#hearsAll(shard),
        deafLingerMs: o.forgetAfterMs,
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
      onUse: (communityId) => this.#interest.use(communityId),
      onFree: (communityId) => this.#interest.free(communityId),
      hearsAll: (communityId) => this.#hearsAll(shardOf(communityId, this.#o.shards)),
      deafLingerMs: o.forgetAfterMs,
    });
    this.#interest = new Interest({
      shards: o.shards,
      isInAll: o.interest === 'all',
      firstListWaitMs: o.firstListWaitMs,
      quietMs: o.readyTimeoutMs,
      askAgainMs: o.replica?.pullTimeoutMs ?? DEFAULT_REPLICA_LIMITS.pullTimeoutMs,
      dropDelayMs: o.dropDelayMs,
      sliceEntries,
      view: this.#view,
      out: this.#out,
      stats: this.stats,
      instant: () => this.#t,
      peers: () => this.#membership.peers,
      isDegraded: () => this.isDegraded,
      isDiscovered: () => this.#isDiscovered,
      nextRequest: () => this.#requests + 1,
      hosts: (communityId) => this.#devices.connections.hosts(communityId),
      enter: (socketId, communityId) => this.#enter(socketId, communityId),
      onDrop: (shard) => this.#replicas.drop(shard),
    });
    this.#replicas = new Replicas({
      view: this.#view,
      limits: { ...DEFAULT_REPLICA_LIMITS, ...o.replica },
      lingerMs: o.lingerMs,
      repairGraceMs: Math.min(o.lingerMs, 2 * o.heartbeatMs),
      random: o.random,
      stats: this.stats,
      onEntry: (entry, owner, isNews) => this.#devices.onRemote(entry, owner, isNews, this.#t),
      onGone: (entry, reason) => this.#devices.onRemoteGone(entry, reason, this.#t),
      onRevealed: (replica) => {
        const peer = this.#membership.get(replica.owner.nodeId);
        if (peer !== undefined) this.#replicas.changed(peer, replica);
      },
      onChange: (nodeId, { shard, have, isBehind }) =>
        this.#interest.settle(nodeId, shard, have, isBehind),
      peers: () => this.#membership.peers,
      takesPartIn: (shard) => this.#interest.has(shard),
      instant: () => this.#t,
    });
    this.#membership = new Membership(
      o.nodeId,
      o.nodeName,
      {
        keeping: 'log',
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
          this.#replicas.giveUp(peer);
          this.#out.push({
            kind: 'nodeDown',
            nodeId: peer.nodeId,
            nodeName: peer.name,
            reason: 'silent',
          });
          this.#stopAwaiting(peer);
        },
        onHidden: (peer, t) => this.#replicas.touch(peer, t),
        onGone: (peer, reason, t) => {
          const silent = reason === 'superseded';
          const gone = reason === 'left' && !peer.owner.hidden ? 'moved' : 'node-down';
          this.#dispose(peer, gone, (held) => {
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
          this.#dispose(peer, 'node-down', (held) =>
            this.#view.drop(held, 'node-down', this.#t.wall, false),
          );
        },
        onProbe: (id) => this.#out.push({ kind: 'probe', id }),
        onDegraded: (degraded, t) => this.#onDegraded(degraded, t),
        onNameConflict: (nodeName, nodeIds) =>
          this.#out.push({ kind: 'nameConflict', nodeName, nodeIds }),
        onStranger: ({ nodeId, name: nodeName }) =>
          this.#out.push({ kind: 'strategyConflict', nodeId, nodeName }),
        onStall: (_late, t) => this.#devices.prove(this.#devices.connections.socketIds, t),
      },
    );
    this.#reads = new CommunityReads({
      isWhole: (communityId) => {
        if (!this.#isComplete(shardOf(communityId, this.#o.shards))) return false;
        const community = this.#view.get(communityId);
        return community === undefined || community.isTold;
      },
      list: (communityId) => this.#view.list(communityId),
      out: this.#out,
    });
    this.#operations = new Operations({
      self: this.#self,
      name: o.nodeName,
      devices: this.#devices,
      membership: this.#membership,
      view: this.#view,
      lingerMs: o.lingerMs,
      isReady: () => this.#ready && this.#isDiscovered,
      announce: () => this.#publisher.announce(this.#publisher.seal(this.#t.now)),
      out: this.#out,
      report: (now) => this.report(now),
      nextRequest: () => ++this.#requests,
      send: (message) => this.#send(message),
      leave: (socketId, communityId, t) => this.leave(socketId, communityId, t),
      disconnect: (socketId, reason, t) => this.disconnect(socketId, reason, t),
      onMalformed: () => this.stats.malformed++,
    });
    this.#inbox = new Inbox({
      nodeId: o.nodeId,
      shards: o.shards,
      stats: this.stats,
      devices: this.#devices,
      discovery: this.#discovery,
      interest: this.#interest,
      membership: this.#membership,
      operations: this.#operations,
      publisher: this.#publisher,
      queries: this.#queries,
      replicas: this.#replicas,
      rollCalls: this.#rollCalls,
      instant: () => this.#t,
      send: (message) => this.#send(message),
      onQueryAnswered: () => this.#tickQueries(this.#t.now),
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
    if (this.#o.interest === 'all') this.#interest.takePartInAll();
    if (this.#solo) {
      this.#becomeReady();
      return;
    }
    this.#discovery.start(t, this.#o.readyTimeoutMs);
  }

  /** The medium reaches other nodes after all: looks for them, as at the start. */
  meetOthers(t: Instant): void {
    this.#t = t;
    if (!this.#solo) return;
    this.#solo = false;
    if (!this.#started || this.#closed) return;
    this.#discovery.start(t, this.#o.readyTimeoutMs);
    this.#interest.primeAll();
  }

  /** Leaves in order: the others keep what is here for the linger. Nothing is sent afterwards. */
  close(t: Instant): void {
    this.#t = t;
    if (this.#closed) return;
    // Their devices are here, and linger like the others.
    this.#interest.enterAll();
    const items = this.#publisher.carry(this.#publisher.seal(t.now));
    if (this.#started) this.#send({ kind: 'leave', states: this.#publisher.allStates(), items });
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
    if (this.#closed || !this.#devices.connections.has(socketId)) return;
    const isMember = this.#devices.connections.communitiesOf(socketId)?.has(communityId) === true;
    if (this.#interest.join(socketId, communityId, isMember)) this.#enter(socketId, communityId);
  }

  #enter(socketId: string, communityId: string): void {
    const shard = shardOf(communityId, this.#o.shards);
    const community = this.#view.activate(communityId, shard);
    this.#devices.join(socketId, communityId, this.#t);
    this.#view.telling.await(community, socketId);
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    this.#t = t;
    this.#interest.cancelJoins(socketId, communityId);
    this.#view.get(communityId)?.leave(socketId);
    this.#devices.leave(socketId, communityId, t);
    this.#interest.free(communityId);
  }

  /** Changes what this socket's device says of itself. True when something changed. */
  update(socketId: string, patch: DevicePatch, t: Instant): boolean {
    this.#t = t;
    return this.#devices.update(socketId, patch, t);
  }

  disconnect(socketId: string, reason: DropReason, t: Instant): void {
    this.#t = t;
    const communities = [...(this.#devices.connections.communitiesOf(socketId) ?? [])];
    for (const communityId of communities) this.#view.get(communityId)?.leave(socketId);
    this.#interest.cancelJoins(socketId, undefined);
    this.#devices.disconnect(socketId, reason, t);
    for (const communityId of communities) this.#interest.free(communityId);
  }

  /** The socket has shown life. */
  alive(socketId: string, t: Instant): void {
    this.#t = t;
    this.#devices.alive(socketId, t);
  }

  /** The socket cannot keep up: it gets nothing until `resume`, and then the list. */
  suspend(socketId: string): void {
    for (const communityId of this.#devices.connections.communitiesOf(socketId) ?? []) {
      this.#view.get(communityId)?.leave(socketId);
    }
  }

  resume(socketId: string, t: Instant): void {
    this.#t = t;
    for (const communityId of this.#devices.connections.communitiesOf(socketId) ?? []) {
      const community = this.#view.get(communityId);
      if (community?.active === true) this.#view.telling.await(community, socketId);
    }
  }

  /** Whether who else is there has been found out, as far as hello rounds can tell. */
  get #isDiscovered(): boolean {
    return this.#solo || (this.#started && this.#discovery.isDone);
  }

  #stopAwaiting(peer: Peer): void {
    // Lists may be complete again.
    if (peer.isStranger) this.#interest.release();
    this.#interest.stopAwaiting(peer.nodeId);
    this.#queries.stopAwaiting(peer.nodeId);
    this.#operations.stopAwaiting(peer.nodeId);
  }

  #isComplete(shard: number): boolean {
    const { degraded, hasStrangers } = this.#membership;
    return this.#ready && !degraded && !hasStrangers && this.#interest.isPrimed(shard);
  }

  /** Whether a device that is gone here would be known if it were elsewhere. */
  #hearsAll(index: number): boolean {
    if (this.#solo) return true;
    if (this.#membership.degraded) return false;
    if (this.#interest.has(index) && !this.#interest.isPrimed(index)) return false;
    for (const peer of this.#membership.peers) {
      if (peer.state === 'down') continue;
      if (this.#t.now - peer.lastBeat > DEAF_BEATS * this.#o.heartbeatMs) return false;
      if (peer.state === 'suspect' || peer.replicas.get(index)?.isBehind === true) return false;
    }
    return true;
  }

  // The owner's side.

  #logOf(communityId: string): ShardLog {
    return this.#publisher.change(shardOf(communityId, this.#o.shards));
  }

  #send(message: Message, route: Route = routeOf(message)): void {
    if (this.#closed || this.#solo) return;
    const data = encodeMessage(this.#ownStart, this.#lamport, message);
    this.stats.messagesSent++;
    this.stats.bytesSent += data.length;
    this.#out.push({ kind: 'send', data, route, asks: asks(message) });
  }

  /** Says hello to everybody and gives the number of the request. */
  #hello(): number {
    const request = ++this.#requests;
    this.#send({
      kind: 'hello',
      request,
      name: this.nodeName,
      keeping: 'log',
      entries: this.#devices.entries,
      states: this.#publisher.allStates(),
    });
    return request;
  }

  #beat(): void {
    const { now } = this.#t;
    this.#beatAt = now + this.#o.heartbeatMs;
    this.#sendBeat(false, this.#publisher.statesToSay(now), [], 'all');
  }

  #sendBeat(
    full: boolean,
    states: readonly ShardState[],
    answers: readonly Answered[],
    route: Route,
  ): void {
    const { nodeName: name } = this;
    const { entries } = this.#devices;
    this.#send({ kind: 'beat', full, name, keeping: 'log', entries, states, answers }, route);
  }

  // The others' side.

  /** Takes in a message from the medium. Never throws for any input. */
  receive(data: unknown, t: Instant): void {
    this.#t = t;
    if (this.#closed || !this.#started) return;
    // Most media bring back what this node has sent.
    if (typeof data === 'string' && data.startsWith(this.#ownStart)) return;
    const envelope = decodeMessage(data, this.#o.cluster, this.#o.maxMessageBytes * 4);
    if (typeof envelope === 'string') {
      this.stats.faults[envelope]++;
      return;
    }
    const { from, lamport, message } = envelope;
    if (from === this.nodeId) return;
    const peer = this.#membership.hear(from, t.now, nameIn(message));
    if (peer === undefined) {
      this.stats.messagesFenced++;
      return;
    }
    this.stats.messagesReceived++;
    this.stats.bytesReceived += (data as string).length;
    this.#lamport = laterClock(this.#lamport, lamport);
    this.#membership.revive(peer, t);
    this.#inbox.take(peer, message);
  }

  #ask(to: string | undefined, wants: readonly Want[]): void {
    this.#send({ kind: 'pull', request: ++this.#requests, to, wants });
    if (wants.length > 0) this.stats.pulls++;
  }

  #onUp(peer: Peer): void {
    this.#out.push({ kind: 'nodeUp', nodeId: peer.nodeId, nodeName: peer.name });
    const wants = this.#wantsOf(peer);
    this.#interest.await(peer.nodeId);
    if (wants.length === 0) return;
    // A starting node's hello rounds ask everybody already.
    if (this.#isDiscovered) this.#ask(peer.nodeId, wants);
    else this.#interest.askAll();
  }

  /** What this node would have of another: everything after what is here, of each shard. */
  #wantsOf(peer: Peer): Want[] {
    return [...this.#interest.indexes].map((shard) => ({
      shard,
      have: peer.replicas.get(shard)?.have ?? 0,
    }));
  }

  /** Lets go of a node's entries; its devices may have been expected here. */
  #dispose(peer: Peer, reason: RemoveReason, each: (held: Held) => void): void {
    this.#replicas.dispose(peer, (held) => {
      each(held);
      this.#devices.onRemoteGone(held.entry, reason, this.#t);
    });
  }

  #onDegraded(degraded: boolean, t: Instant): void {
    this.#out.push({ kind: 'degraded', degraded });
    if (degraded) {
      this.#interest.silence();
      return;
    }
    if (!this.#ready) {
      this.#interest.unsilence();
      return;
    }
    // Healing: find out quietly what was missed, as at the start.
    this.#discovery.repeat(t);
    this.#interest.primeAll();
  }

  /** The host's answer to a `probe` effect: whether the medium can be reached. */
  probed(id: number, ok: boolean, t: Instant): void {
    this.#t = t;
    this.#membership.probed(id, ok, t);
  }

  /** The medium saw the process of a node end, and has had no connection of it for so many ms. */
  gone(nodeId: string, forMs: number, t: Instant): void {
    this.#t = t;
    this.#membership.gone(nodeId, forMs, t);
  }

  /**
   * The medium is back after a break, in which messages either way may have been lost: says where this
   * node stands and asks every other for what is missing, instead of waiting for heartbeats.
   */
  returned(t: Instant): void {
    this.#t = t;
    this.#membership.returned(t);
    if (!this.#started || this.#closed || this.isDegraded) return;
    this.#publisher.announce(this.#publisher.seal(t.now));
    this.#sendBeat(true, this.#publisher.allStates(), [], 'all');
    for (const peer of this.#membership.peers) {
      if (peer.state !== 'down') this.#ask(peer.nodeId, this.#wantsOf(peer));
    }
  }

  /** The others may take this node for gone: says that it is there. */
  showLife(t: Instant): void {
    this.#t = t;
    if (this.#started && !this.#closed) this.#sendBeat(false, [], [], 'all');
  }

  /** The host saw its event loop lag. */
  strained(): void {
    this.#membership.strained();
  }

  // Time.

  /** When `tick` must be called at the latest; now or earlier means as soon as I/O has been read. */
  nextTickAt(): number {
    if (!this.#started || this.#closed) return Infinity;
    const flushAt = this.#hasWork() ? this.#flushDueAt() : Infinity;
    if (flushAt <= this.#t.now) return flushAt;
    let at = Math.min(
      flushAt,
      this.#membership.nextDue(),
      this.#beatAt,
      this.#devices.nextDue(),
      this.#view.nextExpiry(),
      this.#publisher.answerAt,
      this.#discovery.nextDue(),
      this.#reads.nextDue(),
      this.#queries.nextDue(),
      this.#operations.nextDue(),
      this.#interest.nextDue(),
    );
    // Cut off, nobody is asked (see #pull), so nothing is due either.
    if (!this.#membership.degraded) at = Math.min(at, this.#replicas.nextDue());
    return at;
  }

  #hasWork(): boolean {
    return (
      this.#publisher.hasWork ||
      this.#view.telling.hasWork ||
      this.#rollCalls.hasWork ||
      this.#interest.hasToAsk
    );
  }

  #flushDueAt(): number {
    // Longer windows save messages: a node that has none to send need not wait.
    const isAwaited =
      !this.#publisher.hasWork ||
      this.#view.telling.isAwaited ||
      this.#publisher.isAwaited ||
      this.#rollCalls.hasWork ||
      this.#interest.hasToAsk;
    return this.#window.dueAt(isAwaited);
  }

  /** Does what is due: deadlines, judgement, one slice of the flush. */
  tick(t: Instant): void {
    this.#t = t;
    if (!this.#started || this.#closed) return;
    this.#membership.tick(t);
    this.#devices.tick(t);
    this.#view.expire(t.now);
    this.#interest.tick(t.now);
    this.#tickReady(t);
    if (this.#hasWork() && t.now >= this.#flushDueAt()) {
      this.#flush(t);
      // Who waits for a list has it before the rest is done, too: the next tick follows at once.
      if (this.#slicesHeld > 0 && this.#window.isContinuing) return;
    }
    if (t.now >= this.#publisher.answerAt) this.#publisher.answer(t.now);
    if (t.now >= this.#beatAt) this.#beat();
    this.#pull(t.now);
    this.#tickQueries(t.now);
    this.#operations.tick(t);
  }

  /**
   * A slice of a flush. It ends with what was there when it was opened: were it to go on with what comes
   * meanwhile, a busy node would send and tell each change by itself. One that lasts is opened again.
   */
  #flush(t: Instant): void {
    const { telling } = this.#view;
    if (!this.#window.isContinuing || t.now >= this.#flushOpened + this.#o.flushMs) {
      this.#flushOpened = t.now;
      this.#publisher.open();
      this.#window.open(telling.open());
    }
    // Those who wait for a list have nothing yet, and they wait for this process only. The others' message
    // waits until the list has been handed on, too, but not for one list after the other.
    telling.flush();
    if (telling.hasListInHand && this.#slicesHeld < MOST_SLICES_HELD) {
      this.#slicesHeld++;
    } else {
      this.#slicesHeld = 0;
      this.#publisher.flush(t.now);
    }
    if (this.#interest.hasToAsk) this.#ask(undefined, this.#interest.takeWants());
    this.#publisher.stepSnapshots();
    this.#rollCalls.step((message) => this.#send(message));
    const hasMore =
      this.#publisher.isFlushing ||
      telling.isFlushing ||
      this.#rollCalls.hasWork ||
      this.#interest.hasToAsk;
    this.#window.done(hasMore, t.now);
  }

  #tickReady(t: Instant): void {
    if (this.#discovery.tick(t)) this.#interest.check();
    if (this.#ready) return;
    if (this.#discovery.isOverdue(t.now) || (this.#isDiscovered && this.#interest.allPrimed)) {
      this.#becomeReady();
    }
  }

  #becomeReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#discovery.skip();
    this.#interest.release();
    this.#out.push({ kind: 'ready', complete: this.#interest.allPrimed && !this.isDegraded });
  }

  #pull(now: number): void {
    if (!this.#replicas.areBehind || this.#membership.degraded) return;
    for (const [nodeId, wants] of this.#replicas.wants(now)) this.#ask(nodeId, wants);
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
    return this.#devices.connections.userOf(socketId);
  }

  socketsOf(userId: string, communityId: string): readonly string[] {
    return this.#devices.connections.socketsOf(userId, communityId);
  }

  communitiesOf(socketId: string): SomeSet<string> | undefined {
    return this.#devices.connections.communitiesOf(socketId);
  }

  community(communityId: string): Community | undefined {
    return this.#view.get(communityId);
  }

  /** Keeps this node interested in a community that is read, though nobody here is in it. */
  touch(communityId: string, t: Instant): void {
    this.#t = t;
    if (this.#closed) return;
    this.#interest.read(communityId, t.now + READ_INTEREST_MS);
    this.#view.activate(communityId, shardOf(communityId, this.#o.shards));
  }

  /** Reads a community cluster-wide; a `fetched` effect follows, incomplete after `timeoutMs`. */
  fetch(communityId: string, timeoutMs: number, t: Instant): number {
    this.touch(communityId, t);
    const id = ++this.#requests;
    this.#reads.begin(id, communityId, t.now + timeoutMs);
    this.#reads.settle(t.now);
    return id;
  }

  /** Asks every node for its entries of a user; an `answered` effect follows. */
  fetchUser(userId: string, t: Instant): number {
    this.#t = t;
    const id = ++this.#requests;
    const awaiting = new Set<string>();
    for (const peer of this.#membership.peers) {
      if (peer.state !== 'down') awaiting.add(peer.nodeId);
    }
    const own = this.#devices.connections.entriesOf(userId);
    this.#queries.begin(id, userId, own, this.#self, awaiting, t.now);
    if (awaiting.size > 0) this.#send({ kind: 'ask', request: id, userId });
    this.#tickQueries(t.now);
    return id;
  }

  #tickQueries(now: number): void {
    this.#reads.settle(now);
    this.#queries.tick(now, this.#ready && this.#isDiscovered && !this.isDegraded);
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
    return Math.max(
      this.#devices.connections.oldestProofMs(now),
      this.#membership.oldestSilenceMs(now),
    );
  }

  /** Asks every node how it is; a `surveyed` effect follows. */
  survey(t: Instant): number {
    this.#t = t;
    return this.#operations.survey(t);
  }

  /** How this node is, and how it sees the others. */
  report(now: number): NodeReport {
    return reportOf(this, this.#devices.changes, now);
  }

  nodes(now: number): NodeView[] {
    return this.#membership.nodes(this.#devices.entries, now);
  }

  /** What this node holds, for metrics and for the simulator's checks of bounds. */
  gauges(now: number): NodeGauges {
    let kept = 0;
    for (const log of this.#publisher.logs.values()) kept += log.ringSize;
    return {
      entriesOwned: this.#devices.entries,
      entriesHeld: this.#view.entries,
      usersOnline: this.#view.usersOnline,
      sockets: this.#devices.connections.socketCount,
      nodes: this.#membership.size + 1,
      shards: this.#interest.size,
      ...this.#replicas.gauges(now),
      keptDeltas: kept,
      waiting: this.#devices.waiting + this.#view.expiring,
      fenced: this.#membership.fenced,
      health: this.#membership.health,
    };
  }

  /** For the simulator's checks: what this node recorded, and what it holds of others. */
  inspect(): NodeInspection {
    return {
      logs: this.#publisher.logs,
      peers: this.#membership.peers,
      shards: this.#interest.indexes,
      view: this.#view,
      shardOf: (communityId) => shardOf(communityId, this.#o.shards),
    };
  }
}

/** The insides of a node, for a simulator that checks them. */
export interface NodeInspection {
  readonly logs: ReadonlyMap<number, ShardLog>;
  readonly peers: Iterable<Peer>;
  readonly shards: Iterable<number>;
  readonly view: View;
  readonly shardOf: (communityId: string) => number;
}
