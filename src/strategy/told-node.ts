import {
  shardOf,
  type DevicePatch,
  type Effect,
  type EncodedUsers,
  type Entry,
  type EvictionTarget,
  type Identity,
  type Instant,
  type ListInfo,
  type NodeDownReason,
  type NodeGauges,
  type NodeReport,
  type NodeStats,
  type NodeView,
  type UserPresence,
} from '../core/index.js';
import { Devices, type DropReason, type EntryLog } from '../core/devices.js';
import { Membership, type Peer } from '../core/membership.js';
import { newStats } from '../core/stats.js';
import { Operations } from '../core/operations.js';
import { Owner } from '../core/roster.js';
import { View, type Community } from '../core/view.js';
import { decodeMessage, encodeMessage, type Answered, type Message } from '../core/wire.js';
import { Discovery } from '../core/discovery.js';
import type { Engine, EngineEffect, EngineOptions } from './engine.js';
import { UserQueries } from '../core/user-queries.js';

/** Shards of the owners' logs; all nodes of a cluster agree on it. */
export const SHARDS = 64;
const READY_TIMEOUT_MS = 5000;
const PROOF_MS = 10_000;
const ANSWER_WINDOW_MS = 100;
/** How long a read keeps a community told that nobody here is in. */
const READ_INTEREST_MS = 60_000;

/** A community that this node keeps a told view of. */
export class Told {
  readonly id: string;
  /** Its number in the view, where it stands for a shard of its own. */
  readonly index: number;
  readonly shard: number;
  local = false;
  readUntil = 0;
  /** What the others have is known. */
  known = false;
  /** What is learnt now is not announced person by person. */
  quiet = true;
  quietUntil = 0;
  joins: PendingJoin[] = [];

  constructor(id: string, index: number) {
    this.id = id;
    this.index = index;
    this.shard = shardOf(id, SHARDS);
  }
}

interface PendingJoin {
  readonly socketId: string;
  readonly until: number;
}

/**
 * What the engines have in common that do not replicate: this node's devices, who else is there, and
 * a told view of each community in use here. How the others' entries get into the view is theirs.
 */
export abstract class ToldNode implements Engine {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly stats: NodeStats = newStats();
  protected readonly o: EngineOptions;
  protected readonly self: Owner;
  protected readonly out: EngineEffect[] = [];
  protected readonly view: View;
  protected readonly devices: Devices;
  protected readonly membership: Membership;
  protected readonly told = new Map<string, Told>();
  readonly #byIndex = new Map<number, Told>();
  readonly #queries: UserQueries;
  readonly #discovery: Discovery;
  readonly #operations: Operations;
  protected t: Instant = { now: 0, wall: 0 };
  protected lamport = 1;
  #indexes = 0;
  #requests = 0;
  #started = false;
  #closed = false;
  #ready = false;
  #toldDegraded = false;
  #beatAt = Infinity;
  #answers: Answered[] = [];
  #answerAt = Infinity;
  #lastAnswerAt = -Infinity;
  #lastFlush = -Infinity;
  #continuing = false;

  constructor(options: EngineOptions) {
    const o = options;
    this.o = o;
    this.nodeId = o.nodeId;
    this.nodeName = o.nodeName;
    this.self = new Owner(o.nodeId);
    const out = this.out as Effect[];
    this.view = new View(
      {
        isQuiet: (index) => this.#byIndex.get(index)?.quiet ?? false,
        isComplete: (index) => this.#isComplete(this.#byIndex.get(index)),
        isLocal: (userId, communityId) => this.devices.isLocal(userId, communityId),
        activateAll: false,
      },
      out,
    );
    this.devices = new Devices({
      view: this.view,
      self: this.self,
      out,
      lingerMs: o.lingerMs,
      typingTimeoutMs: o.typingTimeoutMs,
      proofMs: PROOF_MS,
      log: (communityId) => this.log(this.need(communityId)),
      stamp: () => ++this.lamport,
      onUse: (communityId) => {
        this.need(communityId).local = true;
      },
      onFree: (communityId) => this.#free(this.told.get(communityId)),
      hearsAll: (communityId) => this.#hearsAll(this.told.get(communityId)),
      deafLingerMs: o.forgetAfterMs,
    });
    this.membership = new Membership(
      o.nodeId,
      o.nodeName,
      {
        heartbeatMs: o.heartbeatMs,
        downAfterMs: o.downAfterMs,
        lingerMs: o.lingerMs,
        forgetAfterMs: o.forgetAfterMs,
        canProbe: o.canProbe && !o.solo,
        cadenceMs: o.heartbeatMs / 4,
      },
      {
        onUp: (peer) => {
          this.out.push({ kind: 'nodeUp', nodeId: peer.nodeId, nodeName: peer.name });
          this.onPeerUp(peer);
        },
        onSuspect: (peer) => {
          this.send({ kind: 'pull', request: this.nextRequest(), to: peer.nodeId, wants: [] });
          this.onPeerAway(peer);
        },
        onDown: (peer) => {
          this.#reportDown(peer, 'silent');
          this.onPeerAway(peer);
        },
        onHidden: (peer, t) => this.onPeerHidden(peer, t),
        onGone: (peer, reason, t) => {
          this.#reportDown(peer, reason);
          this.onPeerAway(peer);
          this.onPeerGone(peer, reason, t);
        },
        onForgotten: (peer) => this.onPeerForgotten(peer),
        onProbe: (id) => this.out.push({ kind: 'probe', id }),
        onDegraded: (degraded, t) => {
          this.reportDegraded();
          if (degraded || !this.#ready) return;
          this.#discovery.repeat(t);
          this.onHealed(t);
        },
        onNameConflict: (nodeName, nodeIds) =>
          this.out.push({ kind: 'nameConflict', nodeName, nodeIds }),
        onStall: (_late, t) => this.devices.prove(this.devices.socketIds, t),
      },
    );
    this.#discovery = new Discovery({
      random: o.random,
      peers: () => this.membership.peers,
      hello: () => this.#hello(),
    });
    this.#queries = new UserQueries((answer) => this.out.push(answer));
    this.#operations = new Operations({
      self: this.self,
      name: o.nodeName,
      devices: this.devices,
      membership: this.membership,
      view: this.view,
      out,
      report: (now) => this.report(now),
      nextRequest: () => this.nextRequest(),
      send: (message) => this.send(message),
      leave: (socketId, communityId, t) => this.leave(socketId, communityId, t),
      disconnect: (socketId, reason, t) => this.disconnect(socketId, reason, t),
      onMalformed: () => this.stats.malformed++,
    });
  }

  // What an engine adds.

  /** Where this node's entries of a community are recorded. */
  protected abstract log(told: Told): EntryLog;
  /** States of this node's logs for a heartbeat; all of them, or what is worth saying now. */
  protected abstract states(full: boolean): Extract<Message, { kind: 'beat' }>['states'];
  protected abstract onPeerUp(peer: Peer): void;
  /** The peer is silent or gone: it is not waited for. */
  protected abstract onPeerAway(peer: Peer): void;
  protected abstract onPeerHidden(peer: Peer, t: Instant): void;
  protected abstract onPeerGone(peer: Peer, reason: NodeDownReason, t: Instant): void;
  protected abstract onPeerForgotten(peer: Peer): void;
  /** The medium between the nodes is back. */
  protected abstract onHealed(t: Instant): void;
  protected abstract onMessage(peer: Peer, message: Message): void;
  /** Gets to know what the others have of a community, or makes sure that it still holds. */
  protected abstract learn(told: Told): void;
  /** Whether a socket may be sent the list as it is known now. */
  protected abstract isFresh(told: Told): boolean;
  /** Nothing about the community is known to be missing. */
  protected abstract isUpToDate(told: Told): boolean;
  /** Nobody here needs the community any more. */
  protected abstract onForget(told: Told): void;
  /** How long a socket waits for its first list before it gets what is known. */
  protected abstract readonly firstListWaitMs: number;
  /** Work of the engine's own for a flush, and when it is due. */
  protected abstract flushOwn(t: Instant): void;
  protected abstract readonly hasOwnWork: boolean;
  protected abstract tickOwn(t: Instant): void;
  protected abstract ownDueAt(): number;
  protected abstract closeOwn(t: Instant): void;
  abstract fetch(communityId: string, timeoutMs: number, t: Instant): number;

  // Life.

  start(t: Instant): void {
    this.t = t;
    if (this.#started) return;
    this.#started = true;
    this.membership.start(t);
    this.#beatAt = t.now + this.o.heartbeatMs * (0.75 + this.o.random() / 4);
    this.#discovery.start(t, READY_TIMEOUT_MS);
    if (this.o.solo) this.#discovery.skip();
  }

  close(t: Instant): void {
    this.t = t;
    if (this.#closed) return;
    if (this.#started) this.closeOwn(t);
    this.#closed = true;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get isDegraded(): boolean {
    return this.membership.degraded;
  }

  /** Says so when this node began or ceased to be degraded. */
  protected reportDegraded(): void {
    const degraded = this.isDegraded;
    if (degraded === this.#toldDegraded) return;
    this.#toldDegraded = degraded;
    this.out.push({ kind: 'degraded', degraded });
  }

  protected get isDiscovered(): boolean {
    return this.#discovery.isDone;
  }

  take(): EngineEffect[] {
    return this.out.splice(0);
  }

  get hasEffects(): boolean {
    return this.out.length > 0;
  }

  protected nextRequest(): number {
    return ++this.#requests;
  }

  protected send(message: Message): void {
    const data = this.encode(message);
    if (data !== undefined) this.out.push({ kind: 'send', data });
  }

  protected encode(message: Message): string | undefined {
    if (this.#closed || this.o.solo) return undefined;
    const data = encodeMessage(this.#cluster, this.nodeId, this.lamport, message);
    this.stats.messagesSent++;
    this.stats.bytesSent += data.length;
    return data;
  }

  get #cluster(): string {
    return this.o.cluster ?? 'rollcall';
  }

  // This node's sockets.

  connect(socketId: string, identity: Identity, t: Instant): void {
    this.t = t;
    this.devices.connect(socketId, identity, t);
  }

  join(socketId: string, communityId: string, t: Instant): void {
    this.t = t;
    if (this.#closed || !this.devices.has(socketId)) return;
    const told = this.need(communityId);
    told.local = true;
    const isMember = this.devices.communitiesOf(socketId)?.has(communityId) === true;
    if (isMember || (this.#started && this.isFresh(told))) {
      this.#enter(told, socketId);
      return;
    }
    if (!told.joins.some((join) => join.socketId === socketId)) {
      told.joins.push({ socketId, until: t.now + this.firstListWaitMs });
    }
    this.learn(told);
  }

  #enter(told: Told, socketId: string): void {
    const community = this.view.activate(told.id, told.index);
    this.devices.join(socketId, told.id, this.t);
    this.view.await(community, socketId);
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    this.t = t;
    this.#cancelJoin(this.told.get(communityId), socketId);
    this.#untell(socketId, communityId);
    this.devices.leave(socketId, communityId, t);
  }

  update(socketId: string, patch: DevicePatch, t: Instant): boolean {
    this.t = t;
    return this.devices.update(socketId, patch, t);
  }

  disconnect(socketId: string, reason: DropReason, t: Instant): void {
    this.t = t;
    this.suspend(socketId);
    for (const told of this.told.values()) this.#cancelJoin(told, socketId);
    this.devices.disconnect(socketId, reason, t);
  }

  #cancelJoin(told: Told | undefined, socketId: string): void {
    if (told === undefined || !told.joins.some((join) => join.socketId === socketId)) return;
    told.joins = told.joins.filter((join) => join.socketId !== socketId);
    this.#free(told);
  }

  alive(socketId: string, t: Instant): void {
    this.t = t;
    this.devices.alive(socketId, t);
    // A socket that counted as lost may have been the community's last.
    for (const communityId of this.devices.communitiesOf(socketId) ?? []) {
      if (this.view.get(communityId)?.active !== true) {
        this.#enter(this.need(communityId), socketId);
      }
    }
  }

  suspend(socketId: string): void {
    for (const communityId of this.devices.communitiesOf(socketId) ?? []) {
      this.#untell(socketId, communityId);
    }
  }

  #untell(socketId: string, communityId: string): void {
    const community = this.view.get(communityId);
    if (community !== undefined) this.view.leave(community, socketId);
  }

  resume(socketId: string, t: Instant): void {
    this.t = t;
    for (const communityId of this.devices.communitiesOf(socketId) ?? []) {
      const community = this.view.get(communityId);
      if (community?.active === true) this.view.await(community, socketId);
    }
  }

  // Communities.

  protected need(communityId: string): Told {
    let told = this.told.get(communityId);
    if (told === undefined) {
      // The view may still have what is expected elsewhere of an earlier time.
      told = new Told(communityId, this.view.get(communityId)?.shard ?? ++this.#indexes);
      told.quietUntil = this.t.now + READY_TIMEOUT_MS;
      this.told.set(communityId, told);
      this.#byIndex.set(told.index, told);
      if (this.#started) this.learn(told);
    }
    return told;
  }

  #free(told: Told | undefined): void {
    if (told === undefined || told.joins.length > 0 || this.devices.hosts(told.id)) return;
    told.local = false;
    if (told.readUntil > this.t.now) return;
    this.told.delete(told.id);
    const community = this.view.get(told.id);
    if (community?.active === true) this.view.deactivate(community);
    this.onForget(told);
    this.#byIndex.delete(told.index);
  }

  /** What the others have of a community is known now, or will not be soon. */
  protected settle(told: Told, isKnown: boolean): void {
    told.known = isKnown;
    told.quiet = false;
    for (const { socketId } of told.joins.splice(0)) this.#enter(told, socketId);
    this.view.release(told.index);
  }

  /** Everybody here starts over with a new list. */
  protected relist(told: Told): void {
    const community = this.view.get(told.id);
    for (const socketId of community?.sockets ?? []) {
      this.view.await(community as Community, socketId);
    }
  }

  #isComplete(told: Told | undefined): boolean {
    return this.#ready && !this.isDegraded && told?.known === true;
  }

  /** Whether a device that is gone here would be known if it were elsewhere. */
  #hearsAll(told: Told | undefined): boolean {
    if (told === undefined) return true;
    return told.known && !this.isDegraded && this.isUpToDate(told);
  }

  // Messages.

  receive(data: unknown, t: Instant): void {
    this.t = t;
    if (this.#closed || !this.#started) return;
    const envelope = decodeMessage(data, this.#cluster, this.o.maxMessageBytes * 4);
    if (typeof envelope === 'string') {
      this.stats.faults[envelope]++;
      return;
    }
    const { from, lamport, message } = envelope;
    if (from === this.nodeId) return;
    const peer = this.membership.hear(from, t.now);
    if (peer === undefined) {
      this.stats.messagesFenced++;
      return;
    }
    this.stats.messagesReceived++;
    this.stats.bytesReceived += (data as string).length;
    if (lamport > this.lamport) this.lamport = lamport;
    this.membership.revive(peer, t);
    switch (message.kind) {
      case 'hello':
        peer.name = message.name;
        peer.entries = message.entries;
        this.#owe({ nodeId: peer.nodeId, request: message.request });
        break;
      case 'beat':
        peer.name = message.name;
        peer.entries = message.entries;
        for (const { nodeId, request } of message.answers) {
          if (nodeId === this.nodeId) this.#discovery.answered(peer, request, t.now);
        }
        break;
      case 'leave':
        this.onMessage(peer, message);
        this.membership.left(peer, t);
        return;
      case 'ask':
        this.send({
          kind: 'answer',
          to: peer.nodeId,
          request: message.request,
          body: this.#queries.bodyOf(this.devices.entriesOf(message.userId)),
        });
        break;
      case 'answer':
        if (message.to !== this.nodeId) break;
        if (!this.#queries.answer(message.request, peer.owner, message.body)) {
          this.stats.malformed++;
        }
        break;
      case 'pull':
        if (message.to === undefined || message.to === this.nodeId) {
          this.#owe({ nodeId: peer.nodeId, request: message.request });
        }
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
        break;
    }
    this.onMessage(peer, message);
  }

  /** The next answer, a full heartbeat, says that this request has been heard. */
  #owe(answer: Answered): void {
    this.#answers.push(answer);
    if (this.#answerAt !== Infinity) return;
    this.#answerAt = Math.max(this.t.now, this.#lastAnswerAt + ANSWER_WINDOW_MS);
  }

  #hello(): number {
    const request = this.nextRequest();
    const { entries } = this.devices;
    this.send({ kind: 'hello', request, name: this.nodeName, entries, states: this.states(true) });
    return request;
  }

  #beat(full: boolean, answers: readonly Answered[]): void {
    const { entries } = this.devices;
    const states = this.states(full);
    this.send({ kind: 'beat', full, name: this.nodeName, entries, states, answers });
  }

  #reportDown(peer: Peer, reason: NodeDownReason): void {
    this.out.push({ kind: 'nodeDown', nodeId: peer.nodeId, nodeName: peer.name, reason });
    this.#queries.stopAwaiting(peer.nodeId);
    this.#operations.stopAwaiting(peer.nodeId);
  }

  probed(id: number, ok: boolean, t: Instant): void {
    this.t = t;
    this.membership.probed(id, ok, t);
  }

  strained(): void {
    this.membership.strained();
  }

  // Time.

  nextTickAt(): number {
    if (!this.#started || this.#closed) return Infinity;
    let at = Math.min(
      this.membership.nextDue(),
      this.#beatAt,
      this.devices.nextDue(),
      this.view.nextExpiry(),
      this.#answerAt,
      this.#discovery.nextDue(),
      this.#queries.nextDue(),
      this.#operations.nextDue(),
      this.ownDueAt(),
    );
    for (const told of this.told.values()) {
      const join = told.joins[0];
      if (join !== undefined) at = Math.min(at, join.until);
    }
    if (this.view.hasWork || this.hasOwnWork) {
      at = this.#continuing ? -Infinity : Math.min(at, this.#lastFlush + this.o.flushMs);
    }
    return at;
  }

  tick(t: Instant): void {
    this.t = t;
    if (!this.#started || this.#closed) return;
    this.membership.tick(t);
    this.devices.tick(t);
    this.view.expire(t.now);
    if (this.#discovery.tick(t)) for (const told of this.told.values()) this.learn(told);
    this.tickOwn(t);
    this.#tickTold(t);
    this.#tickReady(t);
    const work = this.view.hasWork || this.hasOwnWork;
    if (work && (this.#continuing || t.now >= this.#lastFlush + this.o.flushMs)) {
      this.flushOwn(t);
      this.view.flush();
      this.#continuing = this.view.hasWork || this.hasOwnWork;
      if (!this.#continuing) this.#lastFlush = t.now;
    }
    if (t.now >= this.#answerAt) {
      this.#lastAnswerAt = t.now;
      this.#answerAt = Infinity;
      this.#beat(true, this.#answers.splice(0));
    }
    if (t.now >= this.#beatAt) {
      this.#beatAt = t.now + this.o.heartbeatMs;
      this.#beat(false, []);
    }
    this.#queries.tick(t.now, this.#ready && !this.isDegraded);
    this.#operations.tick(t);
  }

  #tickTold(t: Instant): void {
    for (const told of this.told.values()) {
      while (told.joins.length > 0 && (told.joins[0] as PendingJoin).until <= t.now) {
        this.#enter(told, (told.joins.shift() as PendingJoin).socketId);
      }
      if (told.quiet && t.now >= told.quietUntil) {
        told.quiet = false;
        this.view.release(told.index);
      }
      if (!told.local && told.readUntil <= t.now) this.#free(told);
    }
  }

  #tickReady(t: Instant): void {
    if (this.#ready) return;
    const done = this.isDiscovered && [...this.told.values()].every((told) => told.known);
    if (!done && !this.#discovery.isOverdue(t.now)) return;
    this.#ready = true;
    for (const told of this.told.values()) if (told.known) this.view.release(told.index);
    this.out.push({ kind: 'ready', complete: done && !this.isDegraded });
  }

  // Reading.

  isOnline(userId: string): boolean {
    return this.view.isOnline(userId);
  }

  onlineUsers(communityId: string): readonly UserPresence[] {
    return this.view.list(communityId);
  }

  user(userId: string): readonly UserPresence[] {
    return this.view.user(userId);
  }

  localUsers(communityId: string | undefined): readonly UserPresence[] {
    return this.view.localUsers(communityId);
  }

  info(communityId: string): ListInfo {
    const complete = this.#isComplete(this.told.get(communityId));
    return { communityId, complete, nodes: this.membership.size + 1 };
  }

  encodedList(communityId: string): EncodedUsers {
    return this.view.encoded(communityId);
  }

  own(communityId: string, userId: string): UserPresence | null {
    return this.view.own(communityId, userId);
  }

  userOf(socketId: string): string | undefined {
    return this.devices.userOf(socketId);
  }

  socketsOf(userId: string, communityId: string): readonly string[] {
    return this.devices.socketsOf(userId, communityId);
  }

  community(communityId: string): Community | undefined {
    return this.view.get(communityId);
  }

  touch(communityId: string, t: Instant): void {
    this.t = t;
    if (this.#closed) return;
    const told = this.need(communityId);
    told.readUntil = t.now + READ_INTEREST_MS;
    this.view.activate(communityId, told.index);
  }

  fetchUser(userId: string, t: Instant): number {
    this.t = t;
    const request = this.nextRequest();
    const awaiting = new Set<string>();
    for (const peer of this.membership.peers) {
      if (peer.state !== 'down') awaiting.add(peer.nodeId);
    }
    if (awaiting.size > 0) this.send({ kind: 'ask', request, userId });
    const own: readonly Entry[] = this.devices.entriesOf(userId);
    this.#queries.begin(request, userId, own, this.self, awaiting, t.now);
    return request;
  }

  explain(userId: string, t: Instant): number {
    this.t = t;
    return this.#operations.explain(userId, t);
  }

  evict(target: EvictionTarget, reason: string, t: Instant): number {
    this.t = t;
    return this.#operations.evict(target, reason, t);
  }

  oldestProofMs(now: number): number {
    return Math.max(this.devices.oldestProofMs(now), this.membership.oldestSilenceMs(now));
  }

  /** Asks every node how it is; a `surveyed` effect follows. */
  survey(t: Instant): number {
    this.t = t;
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
      changes: this.devices.changes,
      messagesSent: this.stats.messagesSent,
      messagesReceived: this.stats.messagesReceived,
      peers,
    };
  }

  nodes(now: number): NodeView[] {
    const { nodeId, nodeName } = this;
    const self = { nodeId, nodeName, state: 'self' as const, lastHeardMs: 0 };
    const nodes: NodeView[] = [{ ...self, entries: this.devices.entries }];
    for (const peer of this.membership.peers) {
      const lastHeardMs = Math.max(0, now - peer.lastHeard);
      const { name, state, entries } = peer;
      nodes.push({ nodeId: peer.nodeId, nodeName: name, state, entries, lastHeardMs });
    }
    return nodes;
  }

  gauges(_now: number): NodeGauges {
    return {
      entriesOwned: this.devices.entries,
      entriesHeld: this.view.entries,
      usersOnline: this.view.usersOnline,
      sockets: this.devices.socketCount,
      nodes: this.membership.size + 1,
      shards: this.told.size,
      replicas: 0,
      bufferedDeltas: 0,
      keptDeltas: 0,
      waiting: this.devices.waiting + this.view.expiring,
      fenced: this.membership.fenced,
      health: this.membership.health,
      lagMs: 0,
    };
  }
}
