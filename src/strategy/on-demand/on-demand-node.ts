import { shardOf, type Instant, type NodeDownReason } from '../../core/index.js';
import type { EntryLog } from '../../core/devices.js';
import { decodeOps } from '../../core/entry.js';
import type { Peer } from '../../core/membership.js';
import { DEFAULT_LOG_LIMITS } from '../../core/log.js';
import { Publisher, SNAPSHOT_PIECES } from '../../core/publisher.js';
import { RollCallAnswers } from '../../core/roll-call.js';
import type { Held } from '../../core/roster.js';
import type { DeltaItem, Message, ShardState } from '../../core/wire.js';
import type { EngineOptions } from '../engine.js';
import { SHARDS, type Told } from '../telling-node.js';
import { ToldNode } from '../told-node.js';
import { fold, type OwnedEntry } from '../../core/user-queries.js';
import { Calls, type Call } from './calls.js';
import { Copy, type CopyHost } from './copy.js';

/** Connects within this time of a roll call share its result. */
const CACHE_MS = 200;
/** How long a gap may last before the roll is called again: adapters reorder for a moment. */
const GAP_GRACE_MS = 250;
/** A call that was not answered by all is repeated after this, then after twice as long, … */
const REPEAT_MS = 1000;
const REPEAT_MAX_MS = 8000;
/** Above this many who leave at once, the whole community is asked for. */
const ASK_USERS = 50;

/** What is known of a community that this node tells of. */
interface Roll {
  readonly told: Told;
  readonly copies: Map<string, Copy>;
  /** The call that is open for the whole community. */
  call: Call | null;
  freshUntil: number;
  callAt: number;
  repeatMs: number;
  /** Give everybody a new list after the next call. */
  relist: boolean;
  /** Users of whom a device has gone here since the last flush. */
  readonly leaving: Set<string>;
}

/** Deltas that are told when the questions that they raised have been answered. */
interface Outgoing {
  readonly items: readonly DeltaItem[];
  readonly asking: Set<number>;
}

/**
 * One node under `on-demand`: nothing of the others is kept but the told views. They are filled by
 * roll calls and followed by the owners' deltas; whatever may have been missed is asked for again.
 */
export class OnDemandNode extends ToldNode {
  readonly #rolls = new Map<string, Roll>();
  readonly #byShard = new Map<number, Set<Roll>>();
  /** Those of which something may be missing, or to be forgotten. */
  readonly #unsure = new Set<Roll>();
  /** Those that somebody here has left since the last flush. */
  readonly #left = new Set<Roll>();
  readonly #calls = new Calls();
  readonly #publisher: Publisher;
  readonly #rollCalls = new RollCallAnswers();
  readonly #copyHost: CopyHost;
  #outgoing: Outgoing[] = [];
  protected readonly firstListWaitMs: number;

  constructor(options: EngineOptions, rollCallTimeoutMs: number) {
    super(options, 'log');
    this.#publisher = new Publisher({
      limits: DEFAULT_LOG_LIMITS,
      pieces: SNAPSHOT_PIECES,
      stats: this.stats,
      isRouted: options.isRouted === true,
      send: (message, route) => this.send(message, route),
    });
    this.firstListWaitMs = rollCallTimeoutMs;
    this.#copyHost = {
      view: this.view,
      lingerMs: options.lingerMs,
      // It asks the others first, and says it with its next flush.
      explainMs: rollCallTimeoutMs + GAP_GRACE_MS,
      onEntry: (entry, owner) => this.devices.onRemote(entry, owner, true, this.t),
      onGone: (entry, reason) => this.devices.onRemoteGone(entry, reason, this.t),
    };
  }

  // The owner's side.

  protected log({ id, index, shard }: Told): EntryLog {
    const log = this.#publisher.change(shard);
    return {
      shard: index,
      put: (entry) => log.put(entry),
      remove: (entry, reason, at) => {
        log.remove(entry, reason, at);
        const roll = reason === 'moved' ? undefined : this.#rolls.get(id);
        if (roll === undefined) return;
        roll.leaving.add(entry.userId);
        this.#left.add(roll);
      },
    };
  }

  protected states(full: boolean): ShardState[] {
    return full ? this.#publisher.allStates() : this.#publisher.statesToSay(this.t.now);
  }

  protected get hasOwnWork(): boolean {
    return this.#publisher.hasWork || this.#rollCalls.hasWork;
  }

  protected flushOwn(): void {
    this.#seal();
    this.#publisher.stepSnapshots();
    this.#rollCalls.step((message) => this.send(message));
  }

  /** Who goes is removed here first; then the others are asked for the user, and then they are told. */
  #seal(): void {
    const items = this.#publisher.seal(this.t.now);
    if (items.length === 0) return;
    const asking = new Set<number>();
    for (const { told, leaving } of this.#left) {
      const userIds = leaving.size > ASK_USERS ? undefined : [...leaving];
      leaving.clear();
      const call = this.#call(told.id, userIds, this.t.now + this.firstListWaitMs, ({ id }) => {
        for (const waiting of this.#outgoing) waiting.asking.delete(id);
        this.#tell();
      });
      asking.add(call.id);
    }
    this.#left.clear();
    this.#outgoing.push({ items, asking });
    this.#tell();
  }

  #tell(): void {
    while (this.#outgoing[0]?.asking.size === 0) {
      const { items } = this.#outgoing.shift() as Outgoing;
      this.#publisher.announce(items);
    }
  }

  protected closeOwn(): void {
    const waiting = this.#outgoing.splice(0).flatMap(({ items }) => items);
    const items = this.#publisher.carry([...waiting, ...this.#publisher.seal(this.t.now)]);
    this.send({ kind: 'leave', states: this.states(true), items });
  }

  // Calling the roll.

  #call(
    communityId: string,
    userIds: readonly string[] | undefined,
    until: number,
    onEnd: (call: Call) => void,
  ): Call {
    const awaiting = new Set<string>();
    const silent = new Set<string>();
    for (const peer of this.membership.peers) {
      if (peer.state === 'alive') awaiting.add(peer.nodeId);
      else if (peer.state === 'suspect') silent.add(peer.nodeId);
    }
    const id = this.nextRequest();
    const startedAt = this.t.now;
    if (awaiting.size + silent.size > 0) {
      const data = this.encode({ kind: 'call', request: id, communityId, userIds });
      if (data !== undefined) this.out.push({ kind: 'call', data, route: 'all', asks: true });
    }
    return this.#calls.begin({
      id,
      communityId,
      userIds,
      startedAt,
      until,
      awaiting,
      silent,
      onEnd,
    });
  }

  protected isFresh(told: Told): boolean {
    const roll = this.#rolls.get(told.id);
    return told.known && roll !== undefined && (this.isSolo || this.t.now < roll.freshUntil);
  }

  protected isUpToDate(told: Told): boolean {
    for (const peer of this.membership.peers) {
      if (peer.state === 'down') continue;
      const copy = this.#rolls.get(told.id)?.copies.get(peer.nodeId);
      if (peer.state === 'suspect' || copy === undefined || copy.behindSince !== null) return false;
    }
    return true;
  }

  protected learn(told: Told): void {
    const roll = this.#roll(told);
    if (roll.call !== null || !this.isDiscovered) return;
    roll.call = this.#call(told.id, undefined, this.t.now + this.firstListWaitMs, (call) =>
      this.#onCalled(roll, call),
    );
  }

  #roll(told: Told): Roll {
    let roll = this.#rolls.get(told.id);
    if (roll === undefined) {
      roll = {
        told,
        copies: new Map(),
        call: null,
        freshUntil: 0,
        callAt: Infinity,
        repeatMs: REPEAT_MS,
        relist: false,
        leaving: new Set(),
      };
      this.#rolls.set(told.id, roll);
      let shared = this.#byShard.get(told.shard);
      if (shared === undefined) {
        this.#byShard.set(told.shard, (shared = new Set()));
        this.out.push({ kind: 'interest', shard: told.shard, on: true });
      }
      shared.add(roll);
    }
    return roll;
  }

  #onCalled(roll: Roll, call: Call): void {
    roll.call = null;
    const { now } = this.t;
    const took = now - call.startedAt;
    this.stats.primes++;
    this.stats.primeMsTotal += took;
    this.stats.primeMsMax = Math.max(this.stats.primeMsMax, took);
    const missing = [...call.awaiting, ...call.silent];
    if (missing.length > 0) {
      this.stats.incompleteLists++;
      this.out.push({ kind: 'incomplete', communityId: call.communityId, missing });
    }
    if (this.#rolls.get(roll.told.id) !== roll) return;
    this.#doubt(roll);
    const known = this.#knows(roll);
    roll.freshUntil = known ? now + CACHE_MS : 0;
    if (known && missing.length === 0) {
      roll.callAt = Infinity;
      roll.repeatMs = REPEAT_MS;
    } else {
      roll.callAt = now + roll.repeatMs;
      roll.repeatMs = Math.min(2 * roll.repeatMs, REPEAT_MAX_MS);
    }
    this.settle(roll.told, known);
    if (!roll.relist) return;
    roll.relist = false;
    this.relist(roll.told);
  }

  /** Everybody who is there has answered. */
  #knows(roll: Roll): boolean {
    for (const peer of this.membership.peers) {
      if (peer.state !== 'down' && roll.copies.get(peer.nodeId)?.isKnown !== true) return false;
    }
    return true;
  }

  /** Looks at it with the next tick, unless it has been forgotten meanwhile. */
  #doubt(roll: Roll): void {
    if (this.#rolls.get(roll.told.id) === roll) this.#unsure.add(roll);
  }

  #recheck(roll: Roll): void {
    const known = this.isDiscovered && this.#knows(roll);
    if (!known && roll.callAt === Infinity) {
      roll.callAt = this.t.now + GAP_GRACE_MS;
      this.#doubt(roll);
    }
    if (known === roll.told.known) return;
    if (!known) roll.told.known = false;
    else if (roll.call === null) this.settle(roll.told, true);
  }

  #copy(roll: Roll, peer: Peer): Copy {
    let copy = roll.copies.get(peer.nodeId);
    if (copy === undefined) {
      copy = new Copy(peer.owner, roll.told.index, this.#copyHost);
      roll.copies.set(peer.nodeId, copy);
    }
    return copy;
  }

  // What the others say.

  protected onMessage(peer: Peer, message: Message): void {
    switch (message.kind) {
      case 'hello':
        this.#onStates(peer, message.states, true);
        break;
      case 'beat':
        this.#onStates(peer, message.states, message.full);
        break;
      case 'delta':
      case 'leave':
        for (const item of message.items) this.#onDelta(peer, item);
        break;
      case 'pull':
        if (message.to !== undefined && message.to !== this.nodeId) break;
        this.#seal();
        this.#publisher.give(
          message.wants.map(({ shard, have }) => [shard, have]),
          { nodeId: peer.nodeId },
        );
        break;
      case 'call': {
        this.#seal();
        const { communityId, request, userIds } = message;
        const log = this.#publisher.log(shardOf(communityId, SHARDS));
        const entries = log
          .entries()
          .filter((e) => e.communityId === communityId && (userIds?.includes(e.userId) ?? true));
        this.#rollCalls.add(peer.nodeId, request, log.state(), entries);
        break;
      }
      case 'present':
        if (message.to === this.nodeId) this.#onPresent(peer, message);
        break;
      default:
        break;
    }
  }

  #onStates(peer: Peer, states: readonly ShardState[], full: boolean): void {
    const seqs = new Map(states.map(({ shard, seq }) => [shard, seq]));
    for (const roll of this.#rolls.values()) {
      const seq = seqs.get(roll.told.shard) ?? (full ? 0 : undefined);
      const copy = this.#copy(roll, peer);
      if (seq !== undefined) copy.onState(seq, this.t.now);
      if (copy.behindSince !== null) this.#doubt(roll);
      this.#recheck(roll);
    }
  }

  #onDelta(peer: Peer, { shard, seq, body }: DeltaItem): void {
    const rolls = this.#byShard.get(shard);
    if (rolls === undefined) return;
    const ops = decodeOps(body);
    if (ops === undefined) {
      this.stats.malformed++;
      return;
    }
    for (const roll of rolls) {
      const own = ops.filter(
        (op) => (op.op === 'put' ? op.entry : op).communityId === roll.told.id,
      );
      this.#doubt(roll);
      if (this.#copy(roll, peer).onDelta(seq, own, this.t)) this.stats.deltasApplied++;
      else this.stats.deltasIgnored++;
    }
  }

  #onPresent(peer: Peer, message: Extract<Message, { kind: 'present' }>): void {
    const answer = this.#calls.take(peer.owner, message);
    if (answer === null) this.stats.malformed++;
    if (!answer) return;
    this.stats.snapshotsApplied++;
    const roll = this.#rolls.get(answer.call.communityId);
    if (roll !== undefined) {
      const { seq, entries } = answer;
      this.#doubt(roll);
      this.#copy(roll, peer).onAnswer(seq, entries, answer.call.userIds, this.t);
      this.#recheck(roll);
    }
    this.#calls.tick(this.t.now);
  }

  // Who is there.

  protected onPeerUp(peer: Peer): void {
    for (const roll of this.#rolls.values()) this.#copy(roll, peer);
  }

  protected onPeerAway(peer: Peer): void {
    this.#calls.stopAwaiting(peer.nodeId, peer.state === 'suspect');
  }

  protected onPeerHidden(peer: Peer, t: Instant): void {
    const seenAt = Math.round(Math.max(0, t.wall - (t.now - peer.lastHeard)));
    for (const roll of this.#rolls.values()) {
      for (const held of roll.copies.get(peer.nodeId)?.held ?? []) {
        this.view.touch(held, 'node-down', seenAt);
        // What is here of the user may have changed since it was last heard.
        if (!peer.owner.hidden) this.devices.onRemote(held.entry, peer.owner, false, t);
      }
      this.#startOver(roll);
    }
  }

  protected onPeerGone(peer: Peer, reason: NodeDownReason, t: Instant): void {
    const why = reason === 'superseded' ? 'node-down' : 'disconnected';
    this.#dispose(peer, (held) => {
      if (peer.owner.hidden) this.view.drop(held, 'node-down', t.wall, false);
      else this.view.expect(held, t.now + this.o.lingerMs, why, t.wall);
    });
    for (const roll of this.#rolls.values()) this.#recheck(roll);
  }

  protected onPeerForgotten(peer: Peer): void {
    this.#dispose(peer, (held) => this.view.drop(held, 'node-down', this.t.wall, false));
  }

  #dispose(peer: Peer, each: (held: Held) => void): void {
    for (const roll of this.#rolls.values()) {
      roll.copies.get(peer.nodeId)?.dispose(each);
      roll.copies.delete(peer.nodeId);
    }
  }

  /** A node was lost: who was on it beyond what has been told here is not known, so all start over. */
  #startOver(roll: Roll): void {
    roll.relist = true;
    this.learn(roll.told);
  }

  protected onHealed(): void {
    for (const roll of this.#rolls.values()) {
      roll.told.known = false;
      this.hush(roll.told, 2 * this.firstListWaitMs);
      this.#startOver(roll);
    }
  }

  protected onForget(told: Told): void {
    const roll = this.#rolls.get(told.id);
    if (roll === undefined) return;
    this.#rolls.delete(told.id);
    this.#unsure.delete(roll);
    this.#left.delete(roll);
    const shared = this.#byShard.get(told.shard);
    shared?.delete(roll);
    if (shared?.size === 0) {
      this.#byShard.delete(told.shard);
      this.out.push({ kind: 'interest', shard: told.shard, on: false });
    }
    for (const copy of roll.copies.values()) {
      copy.dispose((held) => this.view.drop(held, 'left', 0, false));
    }
  }

  // Time.

  protected ownDueAt(): number {
    let at = this.#calls.nextDue();
    if (!this.#mayCallAgain) return at;
    for (const roll of this.#unsure) {
      if (roll.call === null) at = Math.min(at, this.#callAgainAt(roll));
    }
    return at;
  }

  get #mayCallAgain(): boolean {
    return this.isDiscovered && !this.isDegraded;
  }

  /** When something that may have been missed is worth a new call. */
  #callAgainAt(roll: Roll): number {
    let at = roll.callAt;
    for (const { behindSince, owner } of roll.copies.values()) {
      // Of a node that is taken for dead nothing is to be had.
      if (behindSince === null || owner.hidden || owner.down) continue;
      at = Math.min(at, behindSince + GAP_GRACE_MS);
    }
    // Not at once again where the last call did not mend it.
    return roll.callAt === Infinity ? at : Math.max(at, roll.callAt);
  }

  protected tickOwn(t: Instant): void {
    this.#calls.tick(t.now);
    for (const roll of this.#unsure) {
      let isSure = roll.call === null && roll.callAt === Infinity;
      for (const copy of roll.copies.values()) {
        if (!copy.trim(t.now) || copy.behindSince !== null) isSure = false;
      }
      if (isSure) this.#unsure.delete(roll);
      if (roll.call !== null || !this.#mayCallAgain || t.now < this.#callAgainAt(roll)) continue;
      this.stats.gaps++;
      this.stats.pulls++;
      this.learn(roll.told);
    }
  }

  // Reading.

  fetch(communityId: string, timeoutMs: number, t: Instant): number {
    this.t = t;
    return this.#call(communityId, undefined, t.now + timeoutMs, (call) => {
      const missing = new Set([...call.awaiting, ...call.silent]);
      const entries: OwnedEntry[] = [...call.answers];
      for (const user of this.view.get(communityId)?.users.values() ?? []) {
        for (const held of user.held) {
          const { owner, until } = held;
          // Who lingers from a node that is gone, or on the way to another, is known here alone.
          const isKnownHere = until !== 0 || owner.down || missing.has(owner.nodeId);
          if (owner === this.self || isKnownHere) entries.push(held);
        }
      }
      const complete = missing.size === 0 && this.isReady && this.hearsOfAll;
      this.out.push({ kind: 'fetched', id: call.id, complete, users: fold(entries) });
    }).id;
  }
}
