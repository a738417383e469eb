import type {
  Effect,
  Entry,
  EvictionTarget,
  Instant,
  ListInfo,
  NodeDownReason,
  NodeGauges,
  NodeReport,
  NodeView,
} from '../core/index.js';
import { Membership, type Peer } from '../core/membership.js';
import { DEFAULT_CLUSTER } from '../core/node-options.js';
import { Operations } from '../core/operations.js';
import { reportOf } from '../core/report.js';
import { asks, routeOf, type Route } from '../core/route.js';
import {
  decodeMessage,
  encodeMessage,
  laterClock,
  startOfMessages,
  nameIn,
  type Answered,
  type Keeping,
  type Message,
} from '../core/wire.js';
import { Discovery } from '../core/discovery.js';
import { FlushWindow } from '../core/flush-window.js';
import type { Engine, EngineOptions } from './engine.js';
import { READY_TIMEOUT_MS, TellingNode } from './telling-node.js';
import { UserQueries } from '../core/user-queries.js';

const ANSWER_WINDOW_MS = 100;

/**
 * What the engines have in common that do not replicate, beside telling: who else is there, the messages
 * that every node sends and answers, and time.
 */
export abstract class ToldNode extends TellingNode implements Engine {
  protected readonly membership: Membership;
  readonly #queries: UserQueries;
  readonly #discovery: Discovery;
  readonly #operations: Operations;
  #requests = 0;
  #ready = false;
  #solo: boolean;
  #toldDegraded = false;
  #beatAt = Infinity;
  #answers: Answered[] = [];
  #answerAt = Infinity;
  #lastAnswerAt = -Infinity;
  readonly #window: FlushWindow;
  /** How everything begins that this node says itself. */
  readonly #ownStart: string;
  readonly #keeping: Keeping;

  constructor(options: EngineOptions, keeping: Keeping) {
    super(options);
    const o = options;
    this.#keeping = keeping;
    this.#solo = o.solo;
    this.#window = new FlushWindow(o.flushMs);
    this.#ownStart = startOfMessages(this.#cluster, o.nodeId);
    this.membership = new Membership(
      o.nodeId,
      o.nodeName,
      {
        keeping,
        heartbeatMs: o.heartbeatMs,
        downAfterMs: o.downAfterMs,
        lingerMs: o.lingerMs,
        forgetAfterMs: o.forgetAfterMs,
        canProbe: o.canProbe,
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
        onStranger: ({ nodeId, name: nodeName }) =>
          this.out.push({ kind: 'strategyConflict', nodeId, nodeName }),
        onStall: (_late, t) => this.devices.prove(this.devices.connections.socketIds, t),
      },
    );
    this.#discovery = new Discovery({
      random: o.random,
      peers: () => this.membership.peers,
      hello: () => this.#hello(),
    });
    this.#queries = new UserQueries({
      onAnswered: (answer) => this.out.push(answer),
      shown: (userId) => this.view.telling.online.get(userId),
    });
    this.#operations = new Operations({
      self: this.self,
      name: o.nodeName,
      devices: this.devices,
      membership: this.membership,
      view: this.view,
      lingerMs: o.lingerMs,
      isReady: () => this.#ready && this.isDiscovered,
      onEvict: (target, t) => this.onEvict(target, t),
      out: this.out as Effect[],
      report: (now) => this.report(now),
      nextRequest: () => this.nextRequest(),
      send: (message) => this.send(message),
      leave: (socketId, communityId, t) => this.leave(socketId, communityId, t),
      disconnect: (socketId, reason, t) => this.disconnect(socketId, reason, t),
      onMalformed: () => this.stats.malformed++,
    });
  }

  // What an engine adds.

  /** States of this node's logs for a heartbeat; all of them, or what is worth saying now. */
  protected abstract states(full: boolean): Extract<Message, { kind: 'beat' }>['states'];
  protected abstract onPeerUp(peer: Peer): void;
  /** The peer is silent or gone: it is not waited for. */
  protected abstract onPeerAway(peer: Peer): void;
  protected abstract onPeerHidden(peer: Peer, t: Instant): void;
  protected abstract onPeerGone(peer: Peer, reason: NodeDownReason, t: Instant): void;
  protected abstract onPeerForgotten(peer: Peer): void;
  /** The medium between the nodes is back, or is there for the first time. */
  protected abstract onHealed(t: Instant): void;
  protected abstract onMessage(peer: Peer, message: Message): void;
  /** A user's devices are ended here; what an engine has of them elsewhere it ends, too. */
  protected onEvict(_target: EvictionTarget, _t: Instant): void {}
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
    if (this.phase !== 'new') return;
    this.phase = 'running';
    this.membership.start(t);
    this.#beatAt = t.now + this.o.heartbeatMs * (0.75 + this.o.random() / 4);
    this.#discovery.start(t, READY_TIMEOUT_MS);
    if (this.#solo) this.#discovery.skip();
  }

  meetOthers(t: Instant): void {
    this.t = t;
    if (!this.#solo) return;
    this.#solo = false;
    if (this.phase !== 'running') return;
    this.#discovery.start(t, READY_TIMEOUT_MS);
    this.onHealed(t);
  }

  close(t: Instant): void {
    this.t = t;
    if (this.phase === 'running') {
      // Their devices are here, and linger like the others.
      this.enterAll();
      this.closeOwn(t);
    }
    this.phase = 'closed';
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get isDegraded(): boolean {
    return this.membership.degraded;
  }

  protected get hearsOfAll(): boolean {
    return !this.membership.degraded && !this.membership.hasStrangers;
  }

  /** Says so when this node began or ceased to be degraded. */
  protected reportDegraded(): void {
    const degraded = this.isDegraded;
    if (degraded === this.#toldDegraded) return;
    this.#toldDegraded = degraded;
    this.out.push({ kind: 'degraded', degraded });
  }

  /** There can be no other node. */
  protected get isSolo(): boolean {
    return this.#solo;
  }

  protected get isDiscovered(): boolean {
    return this.#discovery.isDone;
  }

  protected nextRequest(): number {
    return ++this.#requests;
  }

  protected send(message: Message, route: Route = routeOf(message)): void {
    const data = this.encode(message);
    if (data !== undefined) this.out.push({ kind: 'send', data, route, asks: asks(message) });
  }

  protected encode(message: Message): string | undefined {
    if (this.phase === 'closed' || this.#solo) return undefined;
    const data = encodeMessage(this.#ownStart, this.lamport, message);
    this.stats.messagesSent++;
    this.stats.bytesSent += data.length;
    return data;
  }

  get #cluster(): string {
    return this.o.cluster ?? DEFAULT_CLUSTER;
  }

  // Messages.

  receive(data: unknown, t: Instant): void {
    this.t = t;
    if (this.phase !== 'running') return;
    // Most media bring back what this node has sent.
    if (typeof data === 'string' && data.startsWith(this.#ownStart)) return;
    const envelope = decodeMessage(data, this.#cluster, this.o.maxMessageBytes * 4);
    if (typeof envelope === 'string') {
      this.stats.faults[envelope]++;
      return;
    }
    const { from, lamport, message } = envelope;
    if (from === this.nodeId) return;
    const peer = this.membership.hear(from, t.now, nameIn(message));
    if (peer === undefined) {
      this.stats.messagesFenced++;
      return;
    }
    this.stats.messagesReceived++;
    this.stats.bytesReceived += (data as string).length;
    this.lamport = laterClock(this.lamport, lamport);
    this.membership.revive(peer, t);
    switch (message.kind) {
      case 'hello':
        this.membership.describe(peer, message);
        this.#owe({ nodeId: peer.nodeId, request: message.request });
        break;
      case 'beat':
        this.membership.describe(peer, message);
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
          body: this.#queries.bodyOf(this.devices.connections.entriesOf(message.userId)),
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

  get #description() {
    return { name: this.nodeName, keeping: this.#keeping, entries: this.devices.entries };
  }

  #hello(): number {
    const request = this.nextRequest();
    this.send({ kind: 'hello', request, ...this.#description, states: this.states(true) });
    return request;
  }

  #beat(full: boolean, answers: readonly Answered[]): void {
    const states = this.states(full);
    this.send({ kind: 'beat', full, ...this.#description, states, answers });
  }

  #reportDown(peer: Peer, reason: NodeDownReason): void {
    // Lists may be complete again.
    if (peer.isStranger) this.releaseAll();
    this.out.push({ kind: 'nodeDown', nodeId: peer.nodeId, nodeName: peer.name, reason });
    this.#queries.stopAwaiting(peer.nodeId);
    this.#operations.stopAwaiting(peer.nodeId);
  }

  probed(id: number, ok: boolean, t: Instant): void {
    this.t = t;
    this.membership.probed(id, ok, t);
  }

  gone(nodeId: string, forMs: number, t: Instant): void {
    this.t = t;
    this.membership.gone(nodeId, forMs, t);
  }

  returned(t: Instant): void {
    this.t = t;
    this.membership.returned(t);
    if (this.phase !== 'running' || this.isDegraded) return;
    this.#beat(true, []);
    for (const { nodeId, state } of this.membership.peers) {
      if (state === 'down') continue;
      this.send({ kind: 'pull', request: this.nextRequest(), to: nodeId, wants: [] });
    }
  }

  showLife(t: Instant): void {
    this.t = t;
    if (this.phase === 'running') this.#beat(false, []);
  }

  strained(): void {
    this.membership.strained();
  }

  // Time.

  nextTickAt(): number {
    if (this.phase !== 'running') return Infinity;
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
    at = Math.min(at, this.toldDueAt());
    return this.#hasWork ? Math.min(at, this.#window.dueAt()) : at;
  }

  get #hasWork(): boolean {
    return this.view.telling.hasWork || this.hasOwnWork;
  }

  tick(t: Instant): void {
    this.t = t;
    if (this.phase !== 'running') return;
    this.membership.tick(t);
    this.devices.tick(t);
    this.view.expire(t.now);
    if (this.#discovery.tick(t)) for (const told of this.told.values()) this.learn(told);
    this.tickOwn(t);
    this.tickTold(t);
    this.#tickReady(t);
    if (this.#hasWork && t.now >= this.#window.dueAt()) {
      this.flushOwn(t);
      this.view.telling.flush();
      this.#window.done(this.#hasWork, t.now);
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
    this.#queries.tick(t.now, this.#ready && this.isDiscovered && !this.isDegraded);
    this.#operations.tick(t);
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

  info(communityId: string): ListInfo {
    const complete = this.isComplete(this.told.get(communityId));
    return { communityId, complete, nodes: this.membership.size + 1 };
  }

  fetchUser(userId: string, t: Instant): number {
    this.t = t;
    const request = this.nextRequest();
    const awaiting = new Set<string>();
    for (const peer of this.membership.peers) {
      if (peer.state !== 'down') awaiting.add(peer.nodeId);
    }
    if (awaiting.size > 0) this.send({ kind: 'ask', request, userId });
    const own: readonly Entry[] = this.devices.connections.entriesOf(userId);
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
    return Math.max(
      this.devices.connections.oldestProofMs(now),
      this.membership.oldestSilenceMs(now),
    );
  }

  /** Asks every node how it is; a `surveyed` effect follows. */
  survey(t: Instant): number {
    this.t = t;
    return this.#operations.survey(t);
  }

  /** How this node is, and how it sees the others. */
  report(now: number): NodeReport {
    return reportOf(this, this.devices.changes, now);
  }

  nodes(now: number): NodeView[] {
    return this.membership.nodes(this.devices.entries, now);
  }

  gauges(_now: number): NodeGauges {
    return {
      entriesOwned: this.devices.entries,
      entriesHeld: this.view.entries,
      usersOnline: this.view.usersOnline,
      sockets: this.devices.connections.socketCount,
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
