import { Owner } from './roster.js';
import type { Replica } from './replica.js';
import type { Instant, NodeDownReason, NodeView, PeerState } from './types.js';
import type { Keeping, Message } from './wire.js';

/**
 * Who else is there. Every node judges for itself from what it hears: anything heard is life, silence
 * makes a peer suspect, then down. Before that is believed, this node doubts itself: a late tick gives
 * everybody more time (after Lifeguard's local health, arXiv 1707.00788), and the medium must be
 * reachable (the probe), because a node that is cut off hears nobody either.
 *
 * Incarnations are unordered. One that left or was superseded is fenced and never comes back.
 */

export interface MembershipOptions {
  readonly keeping: Keeping;
  readonly heartbeatMs: number;
  readonly downAfterMs: number;
  readonly lingerMs: number;
  readonly forgetAfterMs: number;
  /** Whether the host can answer a `probe` effect. */
  readonly canProbe: boolean;
  /** How long between two ticks at most; later than that is lateness. */
  readonly cadenceMs: number;
}

export interface MembershipHost {
  readonly onUp: (peer: Peer) => void;
  readonly onSuspect: (peer: Peer) => void;
  readonly onDown: (peer: Peer) => void;
  /** The peer's entries are no longer shown, or are shown again. */
  readonly onHidden: (peer: Peer, t: Instant) => void;
  /** Nothing of the peer counts any more. */
  readonly onGone: (peer: Peer, reason: NodeDownReason, t: Instant) => void;
  readonly onForgotten: (peer: Peer) => void;
  readonly onProbe: (id: number) => void;
  readonly onDegraded: (degraded: boolean, t: Instant) => void;
  readonly onNameConflict: (name: string, nodeIds: readonly string[]) => void;
  /** The peer's entries cannot be heard of here. */
  readonly onStranger: (peer: Peer) => void;
  /** This node stood still for so long that its own sockets may be dead. */
  readonly onStall: (lateMs: number, t: Instant) => void;
}

/** Another node, as this node knows it. */
export class Peer {
  readonly owner: Owner;
  readonly firstHeard: number;
  readonly replicas = new Map<number, Replica>();
  name: string | undefined;
  /** It keeps its entries where this node does not look. */
  isStranger = false;
  state: PeerState = 'alive';
  lastHeard: number;
  /** When it last said by itself where its logs stand. */
  lastBeat = -Infinity;
  /** When its entries are hidden, once it is down. */
  hideAt = Infinity;
  downAt = 0;
  /** Entries that it says it owns. */
  entries = 0;
  /** It has answered a hello of this node since it started or healed. */
  answered = false;
  /** When it was found down lately; frequent flapping earns a longer deadline. */
  downs: number[] = [];

  constructor(nodeId: string, now: number) {
    this.owner = new Owner(nodeId);
    this.firstHeard = now;
    this.lastHeard = now;
  }

  get nodeId(): string {
    return this.owner.nodeId;
  }
}

type Description = Pick<Extract<Message, { kind: 'beat' }>, 'name' | 'keeping' | 'entries'>;

/** An incarnation of which nothing counts any more. */
interface Fenced {
  /** A superseded one that goes on speaking turns out to be alive; one that left does not. */
  readonly reason: NodeDownReason;
  readonly name: string | undefined;
  readonly lastHeard: number;
  heard: number;
  heardFirst: number;
}

/** A tick later than this means that the process stood still. */
const STALL_MS = 500;
const MAX_HEALTH = 7;
const MAX_PEERS = 1024;
const FENCE_SIZE = 4096;
const FLAP_WINDOW_MS = 5 * 60_000;
const FLAPS = 3;
/** How many beats pass between probes when nobody is silent. */
const IDLE_PROBE_BEATS = 5;
/** Without a probe, all-silent counts as isolation at most this many times `downAfterMs`. */
const UNPROBED_PATIENCE = 3;

export class Membership {
  readonly #options: MembershipOptions;
  readonly #host: MembershipHost;
  readonly #nodeId: string;
  readonly #name: string | undefined;
  readonly #peers = new Map<string, Peer>();
  /** Incarnations that count no more, oldest first. */
  readonly #fence = new Map<string, Fenced>();
  readonly #conflicts = new Set<string>();
  #startedAt = 0;
  #lastTick = 0;
  #health = 0;
  #healthDecayAt = 0;
  #judgeFrom = 0;
  #degraded = false;
  #probeId = 0;
  #probe: { readonly id: number; readonly sentAt: number } | null = null;
  #nextProbeAt = 0;
  #probedAt = -Infinity;
  /** When the last probe that came back well was sent. */
  #vouchedAt = -Infinity;
  #wallOffset: number | null = null;

  constructor(
    nodeId: string,
    name: string | undefined,
    options: MembershipOptions,
    host: MembershipHost,
  ) {
    this.#nodeId = nodeId;
    this.#name = name;
    this.#options = options;
    this.#host = host;
  }

  start(t: Instant): void {
    this.#startedAt = t.now;
    this.#lastTick = t.now;
    this.#healthDecayAt = t.now;
    this.#nextProbeAt = t.now;
  }

  get peers(): Iterable<Peer> {
    return this.#peers.values();
  }

  get(nodeId: string): Peer | undefined {
    return this.#peers.get(nodeId);
  }

  /** Peers that take part, suspects included. */
  get size(): number {
    let size = 0;
    for (const peer of this.#peers.values()) if (peer.state !== 'down') size++;
    return size;
  }

  /** How long the most silent node that still counts, and has entries, has not been heard. */
  oldestSilenceMs(now: number): number {
    let oldest = 0;
    for (const { owner, entries, lastHeard } of this.#peers.values()) {
      if (!owner.hidden && entries > 0) oldest = Math.max(oldest, now - lastHeard);
    }
    return oldest;
  }

  /** This node, which owns so many entries, and the others as it sees them. */
  nodes(entries: number, now: number): NodeView[] {
    const nodes: NodeView[] = [
      { nodeId: this.#nodeId, nodeName: this.#name, state: 'self', entries, lastHeardMs: 0 },
    ];
    for (const peer of this.#peers.values()) {
      const { nodeId, name: nodeName, state } = peer;
      const lastHeardMs = Math.max(0, now - peer.lastHeard);
      nodes.push({ nodeId, nodeName, state, entries: peer.entries, lastHeardMs });
    }
    return nodes;
  }

  get degraded(): boolean {
    return this.#degraded;
  }

  /** 0 (well) to 7: how little this node trusts its own sense of time. */
  get health(): number {
    return this.#health;
  }

  get fenced(): number {
    return this.#fence.size;
  }

  /** When something was heard of this node last, though it is gone; undefined where that is not known (any more). */
  lastHeard(nodeId: string): number | undefined {
    return (this.#peers.get(nodeId) ?? this.#fence.get(nodeId))?.lastHeard;
  }

  isFenced(nodeId: string): boolean {
    return this.#fence.has(nodeId);
  }

  /**
   * Something authentic came from this node, which may say its name. Undefined when nothing of it counts
   * any more.
   */
  hear(nodeId: string, now: number, name?: string): Peer | undefined {
    if (nodeId === this.#nodeId) return undefined;
    const fenced = this.#fence.get(nodeId);
    if (fenced !== undefined && !this.#provesAlive(nodeId, fenced, now)) return undefined;
    let peer = this.#peers.get(nodeId);
    if (peer === undefined) {
      if (this.#peers.size >= MAX_PEERS) return undefined;
      peer = new Peer(nodeId, now);
      peer.name = name;
      this.#peers.set(nodeId, peer);
      this.#host.onUp(peer);
      return peer;
    }
    peer.lastHeard = now;
    return peer;
  }

  /** Late messages of a superseded process are dropped; one that keeps talking lives, and so may its twin. */
  #provesAlive(nodeId: string, fenced: Fenced, now: number): boolean {
    if (fenced.reason !== 'superseded') return false;
    if (fenced.heard++ === 0) fenced.heardFirst = now;
    if (fenced.heard < 3 || now - fenced.heardFirst < this.#options.downAfterMs) return false;
    this.#fence.delete(nodeId);
    if (fenced.name !== undefined) this.#conflict(fenced.name, [nodeId]);
    return true;
  }

  #conflict(name: string, nodeIds: readonly string[]): void {
    if (this.#conflicts.has(name)) return;
    this.#conflicts.add(name);
    this.#host.onNameConflict(name, nodeIds);
  }

  /** What a peer says of itself in its hello and its heartbeats. */
  describe(peer: Peer, { name, keeping, entries }: Description): void {
    peer.name = name;
    peer.entries = entries;
    if (peer.isStranger || keeping === this.#options.keeping) return;
    peer.isStranger = true;
    this.#host.onStranger(peer);
  }

  /** Somebody is there of whose users nothing is known here. */
  get hasStrangers(): boolean {
    for (const { isStranger, state } of this.#peers.values()) {
      if (isStranger && state !== 'down') return true;
    }
    return false;
  }

  /** Brings a peer back that was silent; called once its message has been taken in. */
  revive(peer: Peer, t: Instant): void {
    if (this.#degraded) {
      // The medium carries something again: find out at once whether it carries all.
      if (this.#options.canProbe) this.#nextProbeAt = Math.min(this.#nextProbeAt, t.now);
      else this.#setDegraded(false, t);
    }
    if (peer.state === 'alive') return;
    const wasDown = peer.state === 'down';
    peer.state = 'alive';
    if (!wasDown) return;
    peer.hideAt = Infinity;
    peer.owner.down = false;
    if (peer.owner.hidden) {
      peer.owner.hidden = false;
      this.#host.onHidden(peer, t);
    }
    this.#host.onUp(peer);
  }

  /** The peer said goodbye. */
  left(peer: Peer, t: Instant): void {
    this.#remove(peer, 'left', t);
  }

  #remove(peer: Peer, reason: NodeDownReason, t: Instant): void {
    this.#peers.delete(peer.nodeId);
    const { name, lastHeard } = peer;
    this.#fence.set(peer.nodeId, { reason, name, lastHeard, heard: 0, heardFirst: 0 });
    if (this.#fence.size > FENCE_SIZE) {
      for (const oldest of this.#fence.keys()) {
        this.#fence.delete(oldest);
        break;
      }
    }
    this.#host.onGone(peer, reason, t);
  }

  /** The medium was away for a moment, as the host saw: find out at once whether it is there again. */
  returned(t: Instant): void {
    if (this.#degraded) this.#nextProbeAt = Math.min(this.#nextProbeAt, t.now);
  }

  /** The host's answer to a probe: whether the medium can be reached. */
  probed(id: number, ok: boolean, t: Instant): void {
    if (this.#probe === null || this.#probe.id !== id) return;
    const { sentAt } = this.#probe;
    this.#probe = null;
    if (ok) {
      this.#vouchedAt = sentAt;
      if (this.#degraded) this.#setDegraded(false, t);
    } else {
      this.#setDegraded(true, t);
    }
  }

  #setDegraded(degraded: boolean, t: Instant): void {
    if (this.#degraded === degraded) return;
    this.#degraded = degraded;
    if (!degraded) {
      // Everybody gets a full deadline from here: their silence was ours.
      for (const peer of this.#peers.values()) {
        if (peer.state !== 'down') peer.lastHeard = t.now;
        else if (!peer.owner.hidden) peer.hideAt = t.now + this.#options.lingerMs;
      }
      this.#judgeFrom = t.now + this.#options.heartbeatMs;
    }
    this.#host.onDegraded(degraded, t);
  }

  /** The host saw its event loop lag: trust the own sense of time less. */
  strained(): void {
    this.#health = Math.min(MAX_HEALTH, this.#health + 1);
  }

  /** When `tick` must come at the latest. */
  nextDue(): number {
    return this.#lastTick + this.#options.cadenceMs;
  }

  /** Judges. Must be called after what waited in the sockets has been received (2.3). */
  tick(t: Instant): void {
    // Ticks come more often than anything can change here.
    if (!this.#degraded && t.now < this.nextDue()) return;
    this.#watchOwnTime(t);
    this.#watchMedium(t);
    const { downAfterMs, lingerMs, forgetAfterMs, heartbeatMs } = this.#options;
    const suspectAfter = 2 * heartbeatMs;
    for (const peer of this.#peers.values()) {
      const silence = t.now - peer.lastHeard;
      if (peer.state === 'alive' && silence >= suspectAfter) {
        peer.state = 'suspect';
        this.#host.onSuspect(peer);
      }
      if (this.#degraded) continue;
      if (peer.state === 'suspect') {
        const deadline = downAfterMs * (1 + this.#health) * this.#damping(peer, t.now);
        if (silence >= deadline && this.#mayJudge(peer, suspectAfter, t.now)) {
          this.#down(peer, Math.max(t.now, peer.lastHeard + deadline + lingerMs), t);
        }
      }
      if (peer.state === 'down') {
        if (t.now >= peer.hideAt && !peer.owner.hidden) {
          peer.owner.hidden = true;
          this.#host.onHidden(peer, t);
        }
        if (peer.owner.hidden && t.now >= peer.downAt + forgetAfterMs) {
          this.#peers.delete(peer.nodeId);
          this.#host.onForgotten(peer);
        }
      }
    }
    this.#watchNames(t);
  }

  #down(peer: Peer, hideAt: number, t: Instant): void {
    peer.state = 'down';
    peer.owner.down = true;
    peer.downAt = t.now;
    peer.downs.push(t.now);
    peer.hideAt = hideAt;
    this.#host.onDown(peer);
  }

  /**
   * The medium has had no connection of this node for so long, and had one before: its process has
   * ended. Believed only where nothing was heard of it in that time, and this node trusts its own. Said
   * again for as long as it holds.
   */
  gone(nodeId: string, forMs: number, t: Instant): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || peer.state === 'down') return;
    // A node that has stood still finds that out with its next tick, and judges afterwards.
    if (t.now - this.#lastTick - this.#options.cadenceMs > STALL_MS) return;
    if (this.#degraded || t.now < this.#judgeFrom || t.now - peer.lastHeard < forMs) return;
    this.#down(peer, t.now + this.#options.lingerMs, t);
  }

  #damping(peer: Peer, now: number): number {
    if (peer.downs.length === 0) return 1;
    peer.downs = peer.downs.filter((at) => now - at < FLAP_WINDOW_MS);
    return peer.downs.length >= FLAPS ? 2 : 1;
  }

  #watchOwnTime(t: Instant): void {
    const { cadenceMs, heartbeatMs, downAfterMs } = this.#options;
    const late = t.now - this.#lastTick - cadenceMs;
    this.#lastTick = t.now;
    const offset = t.wall - t.now;
    const slept = this.#wallOffset === null ? 0 : offset - this.#wallOffset;
    this.#wallOffset = offset;
    if (late > STALL_MS) {
      for (const peer of this.#peers.values()) {
        peer.lastHeard = Math.min(t.now, peer.lastHeard + late);
        if (peer.hideAt !== Infinity) peer.hideAt += late;
      }
      this.#health = Math.min(MAX_HEALTH, this.#health + 1);
      this.#healthDecayAt = t.now + heartbeatMs;
      this.#judgeFrom = t.now + heartbeatMs;
    } else if (this.#health > 0 && t.now >= this.#healthDecayAt) {
      this.#health--;
      this.#healthDecayAt = t.now + heartbeatMs;
    }
    // A suspended machine's monotonic clock may not have counted; its wall clock has.
    if (late > downAfterMs || slept > downAfterMs) this.#host.onStall(Math.max(late, slept), t);
  }

  #watchMedium(t: Instant): void {
    const { heartbeatMs, downAfterMs, canProbe } = this.#options;
    let silent = 0;
    let present = 0;
    let longest = 0;
    for (const peer of this.#peers.values()) {
      if (peer.state === 'down') continue;
      present++;
      const silence = t.now - peer.lastHeard;
      if (silence >= 2 * heartbeatMs) silent++;
      if (silence > longest) longest = silence;
    }
    if (!canProbe) {
      // One silent peer of one may be dead or cut off: without a witness only the silence of
      // several at once counts as our own isolation, and not for ever.
      const isolated =
        present >= 2 &&
        silent === present &&
        longest >= downAfterMs &&
        longest < UNPROBED_PATIENCE * downAfterMs;
      if (isolated) this.#setDegraded(true, t);
      else if (this.#degraded && longest >= UNPROBED_PATIENCE * downAfterMs) {
        this.#degraded = false;
        this.#host.onDegraded(false, t);
      }
      return;
    }
    if (this.#probe !== null) {
      if (t.now - this.#probe.sentAt < heartbeatMs || t.now < this.#judgeFrom) return;
      this.#probe = null;
      this.#setDegraded(true, t);
    }
    const pressing = silent > 0 || this.#degraded;
    if (pressing) this.#nextProbeAt = Math.min(this.#nextProbeAt, this.#probedAt + heartbeatMs);
    if (t.now < this.#nextProbeAt) return;
    this.#nextProbeAt = t.now + heartbeatMs * (pressing ? 1 : IDLE_PROBE_BEATS);
    this.#probedAt = t.now;
    this.#probe = { id: ++this.#probeId, sentAt: t.now };
    this.#host.onProbe(this.#probeId);
  }

  /** The medium has been seen to work when the peer had been silent for so long. */
  #mayJudge(peer: Peer, silentMs: number, now: number): boolean {
    if (now < this.#judgeFrom) return false;
    if (!this.#options.canProbe) return true;
    if (this.#vouchedAt >= peer.lastHeard + silentMs) return true;
    this.#nextProbeAt = Math.min(this.#nextProbeAt, now);
    return false;
  }

  /** A newer incarnation of a name supersedes the older, if the older is silent since (2.1, rows 2, 3). */
  #watchNames(t: Instant): void {
    if (this.#degraded || t.now < this.#judgeFrom) return;
    let named = this.#name === undefined ? 0 : 1;
    for (const peer of this.#peers.values()) if (peer.name !== undefined) named++;
    if (named < 2) return;
    const holders = new Map<string, Peer[]>();
    for (const peer of this.#peers.values()) {
      if (peer.name === undefined) continue;
      const same = holders.get(peer.name);
      if (same === undefined) holders.set(peer.name, [peer]);
      else same.push(peer);
    }
    const beat = this.#options.heartbeatMs;
    for (const [name, peers] of holders) {
      const own = name === this.#name;
      if (peers.length + (own ? 1 : 0) < 2 || this.#conflicts.has(name)) continue;
      let newest = own ? this.#startedAt : -Infinity;
      for (const peer of peers) if (peer.firstHeard > newest) newest = peer.firstHeard;
      if (t.now - newest <= 1.5 * beat) continue;
      const living: string[] = own ? [this.#nodeId] : [];
      for (const peer of peers) {
        const heardSince = peer.lastHeard > newest + beat / 2;
        if (peer.firstHeard === newest || heardSince) living.push(peer.nodeId);
        else if (t.now - peer.lastHeard > 1.5 * beat && this.#mayJudge(peer, beat, t.now)) {
          this.#remove(peer, 'superseded', t);
        }
      }
      if (living.length > 1) this.#conflict(name, living);
    }
  }
}
