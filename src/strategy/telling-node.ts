import {
  shardOf,
  type DevicePatch,
  type Effect,
  type EncodedUsers,
  type Identity,
  type Instant,
  type NodeStats,
  type UserPresence,
} from '../core/index.js';
import type { Community } from '../core/community.js';
import { Devices, type DropReason, type EntryLog } from '../core/devices.js';
import { KEPT_MS } from '../core/interest.js';
import { newStats } from '../core/stats.js';
import { Owner } from '../core/roster.js';
import { View } from '../core/view.js';
import type { EngineEffect, EngineOptions } from './engine.js';

/** Shards of the owners' logs; all nodes of a cluster agree on it. */
export const SHARDS = 64;
/** What is not known by then is told as it is. */
export const READY_TIMEOUT_MS = 5000;
const PROOF_MS = 10_000;
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
 * The near side of an engine that does not replicate: this node's devices, and a told view of each
 * community in use here. How the others' entries get into the view is the engine's own.
 */
export abstract class TellingNode {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly stats: NodeStats = newStats();
  protected readonly o: EngineOptions;
  protected readonly self: Owner;
  protected readonly out: EngineEffect[] = [];
  protected readonly view: View;
  protected readonly devices: Devices;
  protected readonly told = new Map<string, Told>();
  readonly #byIndex = new Map<number, Told>();
  /** Those of which something is due: sockets wait, it is quiet, or nobody here is in it. */
  readonly #pending = new Set<Told>();
  protected phase: 'new' | 'running' | 'closed' = 'new';
  protected t: Instant = { now: 0, wall: 0 };
  protected lamport = 1;
  #indexes = 0;

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
        isComplete: (index) => this.isComplete(this.#byIndex.get(index)),
        isLocal: (userId, communityId) => this.devices.connections.isLocal(userId, communityId),
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
  }

  abstract readonly isReady: boolean;
  abstract readonly isDegraded: boolean;
  /** There is no node of whose users nothing can be known here. */
  protected abstract readonly hearsOfAll: boolean;
  /** Where this node's entries of a community are recorded. */
  protected abstract log(told: Told): EntryLog;
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

  take(): EngineEffect[] {
    return this.out.splice(0);
  }

  get hasEffects(): boolean {
    return this.out.length > 0;
  }

  // This node's sockets.

  connect(socketId: string, identity: Identity, t: Instant): void {
    this.t = t;
    this.devices.connect(socketId, identity, t);
  }

  join(socketId: string, communityId: string, t: Instant): void {
    this.t = t;
    if (this.phase === 'closed' || !this.devices.connections.has(socketId)) return;
    const told = this.need(communityId);
    told.local = true;
    const isMember = this.devices.connections.communitiesOf(socketId)?.has(communityId) === true;
    if (isMember || (this.phase !== 'new' && this.isFresh(told))) {
      this.#enter(told, socketId);
      return;
    }
    if (!told.joins.some((join) => join.socketId === socketId)) {
      told.joins.push({ socketId, until: t.now + this.firstListWaitMs });
      this.#pending.add(told);
    }
    this.learn(told);
  }

  #enter(told: Told, socketId: string): void {
    const community = this.view.activate(told.id, told.index);
    this.devices.join(socketId, told.id, this.t);
    this.view.telling.await(community, socketId);
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    this.t = t;
    this.#cancelJoin(this.told.get(communityId), socketId);
    this.view.get(communityId)?.leave(socketId);
    this.devices.leave(socketId, communityId, t);
  }

  update(socketId: string, patch: DevicePatch, t: Instant): boolean {
    this.t = t;
    return this.devices.update(socketId, patch, t);
  }

  disconnect(socketId: string, reason: DropReason, t: Instant): void {
    this.t = t;
    this.suspend(socketId);
    for (const told of this.#pending) this.#cancelJoin(told, socketId);
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
    for (const communityId of this.devices.connections.communitiesOf(socketId) ?? []) {
      if (this.view.get(communityId)?.active !== true) {
        this.#enter(this.need(communityId), socketId);
      }
    }
  }

  suspend(socketId: string): void {
    for (const communityId of this.devices.connections.communitiesOf(socketId) ?? []) {
      this.view.get(communityId)?.leave(socketId);
    }
  }

  resume(socketId: string, t: Instant): void {
    this.t = t;
    for (const communityId of this.devices.connections.communitiesOf(socketId) ?? []) {
      const community = this.view.get(communityId);
      if (community?.active === true) this.view.telling.await(community, socketId);
    }
  }

  // Communities.

  protected need(communityId: string): Told {
    let told = this.told.get(communityId);
    if (told === undefined) {
      // The view may still have what is expected elsewhere of an earlier time.
      told = new Told(communityId, this.view.get(communityId)?.shard ?? ++this.#indexes);
      this.told.set(communityId, told);
      this.#byIndex.set(told.index, told);
      this.hush(told, READY_TIMEOUT_MS);
      if (this.phase !== 'new') this.learn(told);
    }
    return told;
  }

  #free(told: Told | undefined): void {
    if (told === undefined || told.joins.length > 0 || this.devices.connections.hosts(told.id))
      return;
    if (told.local) {
      told.local = false;
      told.readUntil = Math.max(told.readUntil, this.t.now + KEPT_MS);
    }
    this.#pending.add(told);
    if (told.readUntil > this.t.now) return;
    this.#pending.delete(told);
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
    this.#enterWaiting(told);
    this.view.release(told.index);
  }

  /** What is learnt of a community is not announced person by person for so long. */
  protected hush(told: Told, forMs: number): void {
    told.quiet = true;
    told.quietUntil = this.t.now + forMs;
    this.#pending.add(told);
  }

  /** What is known by now is told, and whether it is all. */
  protected releaseAll(): void {
    for (const { quiet, index } of this.told.values()) if (!quiet) this.view.release(index);
  }

  #enterWaiting(told: Told): void {
    for (const { socketId } of told.joins.splice(0)) this.#enter(told, socketId);
  }

  /** Whoever waits enters now. */
  protected enterAll(): void {
    for (const told of this.#pending) this.#enterWaiting(told);
  }

  /** Everybody here starts over with a new list. */
  protected relist(told: Told): void {
    const community = this.view.get(told.id);
    for (const socketId of community?.sockets ?? []) {
      this.view.telling.await(community as Community, socketId);
    }
  }

  protected isComplete(told: Told | undefined): boolean {
    return this.isReady && this.hearsOfAll && told?.known === true;
  }

  /** Whether a device that is gone here would be known if it were elsewhere. */
  #hearsAll(told: Told | undefined): boolean {
    if (told === undefined) return true;
    return told.known && !this.isDegraded && this.isUpToDate(told);
  }

  // Time.

  protected toldDueAt(): number {
    let at = Infinity;
    for (const { joins } of this.#pending) at = Math.min(at, joins[0]?.until ?? Infinity);
    return at;
  }

  protected tickTold(t: Instant): void {
    for (const told of this.#pending) {
      while (told.joins.length > 0 && (told.joins[0] as PendingJoin).until <= t.now) {
        this.#enter(told, (told.joins.shift() as PendingJoin).socketId);
      }
      if (told.quiet && t.now >= told.quietUntil) {
        told.quiet = false;
        this.view.release(told.index);
      }
      if (told.local && !told.quiet && told.joins.length === 0) this.#pending.delete(told);
      else if (!told.local && told.readUntil <= t.now) this.#free(told);
    }
  }

  // Reading: what was told, so that reads, lists and events agree.

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

  encodedList(communityId: string): EncodedUsers {
    return this.view.encoded(communityId);
  }

  own(communityId: string, userId: string): UserPresence | null {
    return this.view.own(communityId, userId);
  }

  userOf(socketId: string): string | undefined {
    return this.devices.connections.userOf(socketId);
  }

  socketsOf(userId: string, communityId: string): readonly string[] {
    return this.devices.connections.socketsOf(userId, communityId);
  }

  community(communityId: string): Community | undefined {
    return this.view.get(communityId);
  }

  touch(communityId: string, t: Instant): void {
    this.t = t;
    if (this.phase === 'closed') return;
    const told = this.need(communityId);
    told.readUntil = t.now + READ_INTEREST_MS;
    this.view.activate(communityId, told.index);
  }
}
