import { Deadlines, LOOK_AGAIN_MS } from './deadlines.js';
import { composeEntry } from './compose-entry.js';
import {
  Connections,
  type ConnectionsHost,
  type Device,
  type LocalSocket,
  type Membership,
} from './connections.js';
import { isLater, isVeiled, sameData, type Held, type Owner, type UserRecord } from './roster.js';
import type { DevicePatch, Effect, Entry, Identity, Instant, RemoveReason } from './types.js';
import type { View } from './view.js';

/**
 * The devices that are connected to this node: their sockets, the communities they are in, and the
 * entries that follow from both. Only this file writes entries of this node.
 *
 * An entry outlives its last socket by the linger; the same device seen elsewhere ends it at once
 * without an edge. A socket that may be dead (half open, or after a stall) must show life.
 */

/** Where this node's entries are recorded. */
export interface EntryLog {
  readonly shard: number;
  put(entry: Entry): void;
  /** `isNews`: others must learn of it even where the entry came and went before they heard of it. */
  remove(entry: Entry, reason: RemoveReason, at: number, isNews: boolean): void;
}

export interface DevicesHost extends ConnectionsHost {
  readonly view: View;
  readonly self: Owner;
  readonly out: Effect[];
  readonly lingerMs: number;
  readonly typingTimeoutMs: number;
  readonly proofMs: number;
  readonly log: (communityId: string) => EntryLog;
  /** The next Lamport stamp. */
  readonly stamp: () => number;
  /** Whether this node would know if a device that is gone here were elsewhere. Default: always. */
  readonly hearsAll?: (communityId: string) => boolean;
  /** How long beyond the linger a device is counted while that is not so. Default 0. */
  readonly deafLingerMs?: number;
}

type Due =
  | { readonly type: 'linger'; readonly membership: Membership }
  | { readonly type: 'typing'; readonly device: Device }
  | { readonly type: 'proof'; readonly socket: LocalSocket };

/** How long a socket has to show life when the same device appears elsewhere. */
const CONTEST_MS = 2000;

export type DropReason = 'left' | 'disconnected' | 'timeout';

export class Devices {
  readonly connections: Connections;
  readonly #host: DevicesHost;
  readonly #due = new Deadlines<Due>();
  entries = 0;
  /** Changes of entries so far. */
  changes = 0;

  constructor(host: DevicesHost) {
    this.#host = host;
    this.connections = new Connections(host);
  }

  // Sockets.

  connect(socketId: string, identity: Identity, t: Instant): void {
    const { connections } = this;
    if (connections.has(socketId)) this.disconnect(socketId, 'disconnected', t);
    let device = connections.device(identity.userId, identity.deviceId);
    if (device === undefined) {
      device = connections.addDevice(identity, t);
    } else {
      // An older socket of this device may be half open: it must show life to go on counting.
      this.prove(device.sockets, t);
      device.session = Math.max(device.session, identity.session ?? 0);
      if (identity.info !== undefined && !sameData(device.info, identity.info)) {
        device.info = identity.info;
        device.infoRev = 0;
        for (const membership of device.memberships.values()) {
          if (membership.entry !== null) this.#write(membership, this.#compose(membership, t));
        }
      }
      if (identity.status !== undefined && identity.status !== device.status) {
        this.#patch(device, { status: identity.status }, t);
      }
    }
    device.born = this.#host.stamp();
    device.provenAt = t.now;
    connections.addSocket(socketId, device);
  }

  /** Ends at once what lingers of a user whose sockets here are gone. */
  end(
    userId: string,
    deviceId: string | undefined,
    communityId: string | undefined,
    t: Instant,
  ): void {
    for (const device of this.connections.devicesOf(userId)) {
      if (deviceId !== undefined && device.deviceId !== deviceId) continue;
      for (const membership of device.memberships.values()) {
        if (communityId !== undefined && membership.communityId !== communityId) continue;
        if (membership.sockets.size > 0 || this.#hides(membership)) continue;
        this.#exit(membership, 'left', t);
        this.#end(membership);
      }
    }
  }

  /** Deadlines that wait; bounded by devices and sockets, not by how often they change. */
  get waiting(): number {
    return this.#due.size;
  }

  join(socketId: string, communityId: string, t: Instant): void {
    const socket = this.connections.socket(socketId);
    if (socket === undefined) return;
    socket.communities.add(communityId);
    if (!socket.lost) this.#hold(socket, communityId, t);
  }

  #hold(socket: LocalSocket, communityId: string, t: Instant): void {
    const { device } = socket;
    const membership =
      device.memberships.get(communityId) ?? this.connections.addMembership(device, communityId);
    membership.sockets.add(socket.id);
    membership.lingerUntil = 0;
    membership.rivalLeft = false;
    // A new connection is the device's latest, wherever else it was.
    membership.shadowed = false;
    const { entry, held } = membership;
    if (entry === null) {
      this.#enter(membership, t);
      return;
    }
    // The others must know that this is the device's latest connection.
    if (entry.born < device.born) {
      this.#write(membership, { ...this.#compose(membership, t), born: device.born });
    }
    if (held !== null && isVeiled(entry.veil) && membership.sockets.size === 1) {
      // An invisible user is told to the user's own sockets, and here is the first of them.
      this.#host.view.replace(held, membership.entry ?? entry, true);
    }
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    const socket = this.connections.socket(socketId);
    if (socket === undefined || !socket.communities.delete(communityId)) return;
    this.#release(socket, communityId, 'left', t);
  }

  disconnect(socketId: string, reason: DropReason, t: Instant): void {
    const socket = this.connections.socket(socketId);
    if (socket === undefined) return;
    this.connections.deleteSocket(socket);
    for (const communityId of socket.communities) this.#release(socket, communityId, reason, t);
    this.connections.forget(socket.device);
  }

  #release(socket: LocalSocket, communityId: string, reason: DropReason, t: Instant): void {
    const membership = socket.device.memberships.get(communityId);
    if (membership === undefined || !membership.sockets.delete(socket.id)) return;
    membership.droppedAt = t.wall;
    const { sockets } = membership;
    for (const id of sockets) if (this.connections.socket(id)?.proofUntil === 0) return;
    const isOver = reason === 'left' || membership.entry === null;
    if (sockets.size === 0 && isOver && !this.#hides(membership)) {
      this.#exit(membership, reason, t);
      this.#end(membership);
      return;
    }
    if (sockets.size > 0 && reason !== 'left') return;
    membership.lingerReason = reason;
    this.#linger(membership, t);
  }

  /**
   * Without its entry its invisible user would be seen again: by a device of which nobody can say that it is
   * invisible, because its node has died or has left.
   */
  #hides(membership: Membership): boolean {
    const { entry } = membership;
    if (entry === null || !isVeiled(entry.veil)) return false;
    const held = this.#recordOf(membership)?.held ?? [];
    return held.some((other) => !other.owner.hidden && other.entry.veil < entry.veil);
  }

  #linger(membership: Membership, t: Instant): void {
    membership.lingerUntil = t.now + this.#host.lingerMs;
    membership.hides = this.#hides(membership);
    if (membership.lingerQueued) return;
    membership.lingerQueued = true;
    this.#due.push(membership.lingerUntil, { type: 'linger', membership });
  }

  #end(membership: Membership): void {
    membership.lingerUntil = 0;
    this.connections.deleteMembership(membership);
  }

  // Entries.

  #enter(membership: Membership, t: Instant): void {
    const { device, communityId } = membership;
    const user = this.#recordOf(membership);
    let earlier: Held | undefined;
    if (user !== undefined) {
      for (const held of user.held) {
        if (held.owner.hidden) continue;
        // In its other communities this device is to be seen, or not, as in this one.
        if (held.entry.veil > device.veil) this.#take(device, held.entry.veil, t);
        if (held.entry.deviceId !== device.deviceId) continue;
        if (
          earlier === undefined ||
          isLater(held.entry, held.owner.nodeId, earlier.entry, earlier.owner.nodeId)
        ) {
          earlier = held;
        }
      }
      if (earlier !== undefined && device.fresh) {
        const { entry } = earlier;
        if (!device.isStatusGiven) device.status = entry.status;
        device.boardId = entry.boardId;
        device.meta = entry.meta;
        device.lastActiveAt = entry.lastActiveAt;
      }
    }
    // Said as it connects it counts, as later. What it said once does not: another device may have taken it back.
    const hides = device.fresh && device.isStatusGiven && device.status === 'invisible';
    if (hides && !isVeiled(device.veil)) {
      device.veil = 2 * this.#host.stamp() + 1;
    }
    if (device.said?.status !== undefined && 2 * device.saidAt < device.veil) {
      // Another device has said since whether the user is to be seen.
      const { status, ...said } = device.said;
      if (status !== 'invisible') device.status = status ?? 'active';
      device.said = said;
    }
    membership.wasElsewhere = earlier !== undefined;
    device.fresh = false;
    // Not when it connected: a node that has just started had heard nobody's clock by then.
    device.born = this.#host.stamp();
    const entry = composeEntry(membership, user, t, this.#host.stamp);
    membership.entry = entry;
    this.entries++;
    this.changes++;
    const log = this.#host.log(communityId);
    log.put(entry);
    membership.held = this.#host.view.add(this.#host.self, entry, log.shard, true);
    // Another of the user's devices may not know what this one has learnt.
    this.#adopt(device.userId, device.veil, t);
    const { said } = device;
    device.said = undefined;
    if (said !== undefined) this.#patch(device, said, t);
  }

  /** What is held of the membership's user in its community, here and elsewhere. */
  #recordOf({ device, communityId }: Membership): UserRecord | undefined {
    return this.#host.view.get(communityId)?.users.get(device.userId);
  }

  #compose(membership: Membership, t: Instant): Entry {
    return composeEntry(membership, this.#recordOf(membership), t, this.#host.stamp);
  }

  #write(membership: Membership, entry: Entry): void {
    this.changes++;
    membership.entry = entry;
    this.#host.log(membership.communityId).put(entry);
    if (membership.held !== null) this.#host.view.replace(membership.held, entry, true);
  }

  #exit(membership: Membership, reason: RemoveReason, t: Instant): void {
    const { entry, held } = membership;
    if (entry === null) return;
    const at = membership.sockets.size === 0 ? membership.droppedAt : t.wall;
    // A device that has left for good has left where it was before, too.
    const isNews = reason === 'left' && membership.wasElsewhere;
    this.#host.log(membership.communityId).remove(entry, reason, at, isNews);
    if (held !== null) {
      this.#host.view.drop(held, reason === 'moved' ? 'disconnected' : reason, at, true);
    }
    membership.entry = null;
    membership.held = null;
    this.entries--;
    this.changes++;
  }

  // What a device says of itself.

  /** Applies a change of one socket's device. True when something changed. */
  update(socketId: string, patch: DevicePatch, t: Instant): boolean {
    const socket = this.connections.socket(socketId);
    if (socket === undefined) return false;
    // Whoever speaks is alive, and here.
    this.alive(socketId, t);
    for (const communityId of socket.communities) {
      const membership = socket.device.memberships.get(communityId);
      if (membership?.shadowed !== true) continue;
      membership.shadowed = false;
      this.#enter(membership, t);
    }
    const { device } = socket;
    if (!device.fresh) return this.#patch(device, patch, t);
    device.said = { ...device.said, ...patch };
    if (patch.status !== undefined) device.saidAt = this.#host.stamp();
    return true;
  }

  #patch(device: Device, patch: DevicePatch, t: Instant): boolean {
    let changed = false;
    if (patch.status !== undefined) {
      const status = patch.status ?? 'active';
      const was = device.status;
      if (was !== status) {
        device.status = status;
        changed = true;
      }
      if (status === 'invisible') {
        // Said again it counts again: another device may have said otherwise where it is not heard.
        device.veil = 2 * this.#host.stamp() + 1;
        changed = true;
      } else if (isVeiled(device.veil) && (was === 'invisible' || status !== 'idle')) {
        // Going idle is not a wish to be seen again, unless on the device that hid.
        this.#unveil(device, 2 * this.#host.stamp(), t);
        changed = true;
      }
    }
    if (patch.boardId !== undefined && (patch.boardId ?? undefined) !== device.boardId) {
      device.boardId = patch.boardId ?? undefined;
      changed = true;
    }
    if (patch.meta !== undefined && !sameData(patch.meta ?? undefined, device.meta)) {
      device.meta = patch.meta ?? undefined;
      changed = true;
    }
    if (patch.typing !== undefined) {
      const typing = patch.typing === true;
      if (typing !== device.typing) {
        device.typing = typing;
        changed = true;
      }
      if (typing) {
        device.typingUntil = t.now + this.#host.typingTimeoutMs;
        if (!device.typingQueued) {
          device.typingQueued = true;
          this.#due.push(device.typingUntil, { type: 'typing', device });
        }
      }
    }
    if (!changed) return false;
    device.fresh = false;
    if (device.status !== 'idle') device.lastActiveAt = t.wall;
    this.#rewrite(device, t);
    this.#adopt(device.userId, device.veil, t);
    return true;
  }

  #rewrite(device: Device, t: Instant): void {
    for (const membership of device.memberships.values()) {
      if (membership.entry !== null) this.#write(membership, this.#compose(membership, t));
    }
  }

  /** Being seen again starts every time that is shown anew, so that it tells nothing of before. */
  #unveil(device: Device, veil: number, t: Instant): void {
    device.veil = veil;
    device.lastActiveAt = t.wall;
    for (const membership of device.memberships.values()) {
      if (membership.entry === null) continue;
      membership.entry = { ...membership.entry, veil, connectedAt: t.wall, since: t.wall };
    }
  }

  /** Visibility is the user's: every device takes over the newest register. */
  #adopt(userId: string, veil: number, t: Instant): void {
    for (const device of this.connections.devicesOf(userId)) {
      if (device.veil < veil) this.#take(device, veil, t);
    }
  }

  #take(device: Device, veil: number, t: Instant): void {
    if (isVeiled(device.veil) && !isVeiled(veil)) this.#unveil(device, veil, t);
    else device.veil = veil;
    this.#rewrite(device, t);
  }

  // What other nodes say.

  /**
   * An entry of another node came or changed: it may be of a device or a user that is here too. `isNews`:
   * it has just happened, and was not missed before.
   */
  onRemote(entry: Entry, owner: Owner, isNews: boolean, t: Instant): void {
    const { connections } = this;
    if (!connections.knows(entry.userId)) return;
    this.#adopt(entry.userId, entry.veil, t);
    const device = connections.device(entry.userId, entry.deviceId);
    const membership = device?.memberships.get(entry.communityId);
    if (membership === undefined || membership.entry === null || owner.hidden) return;
    if (!isLater(entry, owner.nodeId, membership.entry, this.#host.self.nodeId)) return;
    const proofMs = Math.min(this.#host.proofMs, CONTEST_MS);
    const isHeld = this.connections.isHeld(membership);
    if (entry.session === membership.entry.session && (isHeld || !isNews)) {
      // Only the client's own count proves which connection is the later one: stamps of nodes that
      // could not hear each other do not. Whichever socket is alive counts, and a linger lasts.
      const rival = `${owner.nodeId}/${entry.born}`;
      if (membership.rival === rival) return;
      membership.rival = rival;
      membership.rivalLeft = false;
      if (isHeld) this.prove(membership.sockets, t, proofMs);
      return;
    }
    this.#exit(membership, 'moved', t);
    if (membership.sockets.size === 0) {
      this.#end(membership);
    } else {
      membership.shadowed = true;
      // They may be in communities that the device has left since, over there.
      if (isHeld) this.prove(membership.sockets, t, proofMs);
    }
  }

  /** An entry of another node is gone: a socket here that it stood in for may take over again. */
  onRemoteGone(entry: Entry, reason: RemoveReason, t: Instant): void {
    const membership = this.connections
      .device(entry.userId, entry.deviceId)
      ?.memberships.get(entry.communityId);
    if (membership === undefined) return;
    if (membership.shadowed) {
      this.prove(membership.sockets, t);
    } else if (reason === 'moved' && membership.rival !== '' && membership.lingerUntil > 0) {
      // It was over there last: from now on it is looked for as long as if it had been here.
      this.#linger(membership, t);
    } else if (reason === 'left' && membership.rival !== '') {
      membership.rivalLeft = true;
      if (membership.sockets.size > 0) return;
      this.#exit(membership, 'left', t);
      this.#end(membership);
    }
  }

  // Proof of life.

  /** Asks these sockets to show life; whoever does not in time counts as disconnected. */
  prove(socketIds: Iterable<string>, t: Instant, withinMs = this.#host.proofMs): void {
    const asked: string[] = [];
    for (const id of socketIds) {
      const socket = this.connections.socket(id);
      if (socket === undefined || socket.lost) continue;
      const until = t.now + withinMs;
      if (socket.proofUntil === 0 || socket.proofUntil > until) {
        socket.proofUntil = until;
        this.#due.push(socket.proofUntil, { type: 'proof', socket });
      }
      asked.push(id);
    }
    if (asked.length > 0) this.#host.out.push({ kind: 'prove', socketIds: asked });
  }

  /** The socket has shown life. */
  alive(socketId: string, t: Instant): void {
    const socket = this.connections.socket(socketId);
    if (socket === undefined) return;
    socket.proofUntil = 0;
    socket.lost = false;
    const { device } = socket;
    device.provenAt = t.now;
    for (const communityId of socket.communities) {
      const membership = device.memberships.get(communityId);
      if (membership === undefined || !membership.sockets.has(socketId)) {
        this.#hold(socket, communityId, t);
        continue;
      }
      membership.lingerUntil = 0;
      membership.rivalLeft = false;
      if (membership.entry !== null) continue;
      if (this.#isElsewhere(membership)) continue;
      membership.shadowed = false;
      this.#enter(membership, t);
    }
  }

  /** Whether another node holds the same device in the same community. */
  #isElsewhere(membership: Membership): boolean {
    const { device, held: own } = membership;
    return (
      this.#recordOf(membership)?.held.some(
        (held) =>
          held !== own &&
          held.entry.deviceId === device.deviceId &&
          !held.owner.hidden &&
          held.until === 0,
      ) === true
    );
  }

  // Time.

  nextDue(): number {
    return this.#due.next();
  }

  /** Ends what is due: lingers, typing, proofs of life. */
  tick(t: Instant): void {
    for (;;) {
      const due = this.#due.pop(t.now);
      if (due === undefined) return;
      switch (due.type) {
        case 'linger':
          this.#lingered(due.membership, due, t);
          break;
        case 'typing':
          this.#typed(due.device, due, t);
          break;
        case 'proof':
          this.#unproved(due.socket, t);
          break;
      }
    }
  }

  #lingered(membership: Membership, due: Due, t: Instant): void {
    membership.lingerQueued = false;
    if (membership.lingerUntil === 0) return;
    if (membership.lingerUntil > t.now) {
      membership.lingerQueued = true;
      this.#due.push(membership.lingerUntil, due);
      return;
    }
    const { hearsAll, lingerMs, deafLingerMs = 0 } = this.#host;
    if (t.now < membership.lingerUntil + deafLingerMs) {
      const hid = membership.hides;
      membership.hides = this.#hides(membership);
      // It may be elsewhere by now, where nothing is heard from. Unknown is not offline.
      const isDeaf = hearsAll?.(membership.communityId) === false;
      if (isDeaf || membership.hides || hid) {
        membership.lingerQueued = true;
        // The others may find a little later than this node that what it hid is gone.
        const waitMs = isDeaf || membership.hides ? LOOK_AGAIN_MS : lingerMs;
        this.#due.push(t.now + waitMs, due);
        return;
      }
    }
    this.#exit(membership, membership.lingerReason, t);
    membership.lingerUntil = 0;
    if (membership.sockets.size === 0) this.#end(membership);
  }

  #typed(device: Device, due: Due, t: Instant): void {
    device.typingQueued = false;
    if (!device.typing) return;
    if (device.typingUntil > t.now) {
      device.typingQueued = true;
      this.#due.push(device.typingUntil, due);
      return;
    }
    device.typing = false;
    this.#rewrite(device, t);
  }

  #unproved(socket: LocalSocket, t: Instant): void {
    if (socket.proofUntil === 0 || socket.lost || this.connections.socket(socket.id) !== socket)
      return;
    if (socket.proofUntil > t.now) {
      this.#due.push(socket.proofUntil, { type: 'proof', socket });
      return;
    }
    socket.lost = true;
    for (const communityId of socket.communities) {
      const membership = socket.device.memberships.get(communityId);
      if (membership?.sockets.size === 1 && this.#isElsewhere(membership)) {
        this.#exit(membership, 'moved', t);
        membership.shadowed = true;
      } else if (membership?.sockets.size === 1 && membership.rivalLeft) {
        this.#exit(membership, 'left', t);
        this.#end(membership);
      } else {
        this.#release(socket, communityId, 'timeout', t);
      }
    }
  }
}
