import { ChurnMap } from './churn.js';
import type { DeviceFacts } from './explanation.js';
import { isVeiled, type Held } from './roster.js';
import { SmallMap, SmallSet, type SomeSet } from './small.js';
import type {
  Data,
  DevicePatch,
  Entry,
  Identity,
  Instant,
  OfflineReason,
  SettableStatus,
} from './types.js';

/**
 * What is connected to this node: sockets, the devices that they are of, and the communities that these
 * are in. Keeps and finds; what follows from it, entries above all, is decided in `devices.ts`.
 */

export interface Device {
  readonly userId: string;
  readonly deviceId: string;
  info: Data | undefined;
  infoRev: number;
  session: number;
  born: number;
  status: SettableStatus;
  veil: number;
  boardId: string | undefined;
  typing: boolean;
  typingUntil: number;
  typingQueued: boolean;
  meta: Data | undefined;
  lastActiveAt: number;
  /** When one of its sockets last showed life, monotonic. */
  provenAt: number;
  /** It has been nowhere here yet: what is known of the device elsewhere is carried over. */
  fresh: boolean;
  /** Its status, at least, was given with its connection. */
  readonly isStatusGiven: boolean;
  /** What it has said of itself before it was anywhere: that counts on top of what is carried over. */
  said: DevicePatch | undefined;
  /** When it has said of its status what is in `said`, by the clock of stamps. */
  saidAt: number;
  readonly sockets: SmallSet<string>;
  readonly memberships: SmallMap<string, Membership>;
  /** The key of its last entry and of which community that was: made once for who comes and goes. */
  key: string;
  keyOf: string;
}

/** A device in a community. It outlives its last socket there by the linger. */
export interface Membership {
  readonly device: Device;
  readonly communityId: string;
  readonly sockets: SmallSet<string>;
  entry: Entry | null;
  held: Held | null;
  /** The same device was held elsewhere when it came here: what becomes of it here is for that node, too. */
  wasElsewhere: boolean;
  /** The same device is connected elsewhere more recently; this node's socket does not count. */
  shadowed: boolean;
  /** The entry elsewhere on whose account the sockets here had to show life. */
  rival: string;
  /** The device has left deliberately over there: sockets that show no life went with it. */
  rivalLeft: boolean;
  /** 0, or when the entry ends because no socket holds it. */
  lingerUntil: number;
  lingerReason: OfflineReason;
  lingerQueued: boolean;
  /** It lingers, and while its entry is there an invisible user is not seen: see `Devices`. */
  hides: boolean;
  droppedAt: number;
}

export interface LocalSocket {
  readonly id: string;
  readonly device: Device;
  readonly communities: SmallSet<string>;
  /** 0, or until when it must show life. */
  proofUntil: number;
  /** It did not show life in time and does not count until it does. */
  lost: boolean;
}

export interface ConnectionsHost {
  /** A community has its first membership, or lost its last one. */
  readonly onUse: (communityId: string) => void;
  readonly onFree: (communityId: string) => void;
}

export class Connections {
  readonly #host: ConnectionsHost;
  readonly #sockets = new ChurnMap<string, LocalSocket>();
  /** userId → deviceId → device. */
  readonly #users = new ChurnMap<string, SmallMap<string, Device>>();
  /** How many memberships there are of each community. */
  readonly #uses = new ChurnMap<string, { count: number }>();

  constructor(host: ConnectionsHost) {
    this.#host = host;
  }

  // Sockets.

  get socketCount(): number {
    return this.#sockets.size;
  }

  get socketIds(): Iterable<string> {
    return this.#sockets.keys();
  }

  socket(socketId: string): LocalSocket | undefined {
    return this.#sockets.get(socketId);
  }

  has(socketId: string): boolean {
    return this.#sockets.has(socketId);
  }

  addSocket(socketId: string, device: Device): void {
    device.sockets.add(socketId);
    this.#sockets.set(socketId, {
      id: socketId,
      device,
      communities: new SmallSet(),
      proofUntil: 0,
      lost: false,
    });
  }

  /** The device stays until `forget`. */
  deleteSocket(socket: LocalSocket): void {
    this.#sockets.delete(socket.id);
    socket.device.sockets.delete(socket.id);
  }

  communitiesOf(socketId: string): SomeSet<string> | undefined {
    return this.#sockets.get(socketId)?.communities;
  }

  userOf(socketId: string): string | undefined {
    return this.#sockets.get(socketId)?.device.userId;
  }

  /** The sockets of a user in a community, for what only the user's own sockets are told. */
  socketsOf(userId: string, communityId: string): string[] {
    const sockets: string[] = [];
    for (const device of this.devicesOf(userId)) {
      const membership = device.memberships.get(communityId);
      if (membership !== undefined) sockets.push(...membership.sockets);
    }
    return sockets;
  }

  /** The sockets of a user, or of one of the user's devices, whatever they are in. */
  socketsOfDevice(userId: string, deviceId: string | undefined): string[] {
    const sockets: string[] = [];
    for (const device of this.devicesOf(userId)) {
      if (deviceId === undefined || device.deviceId === deviceId) sockets.push(...device.sockets);
    }
    return sockets;
  }

  /** Whether a socket of a membership counts. */
  isHeld(membership: Membership): boolean {
    for (const id of membership.sockets) if (this.#sockets.get(id)?.lost === false) return true;
    return false;
  }

  // Devices.

  devicesOf(userId: string): Iterable<Device> {
    return this.#users.get(userId)?.values() ?? NO_DEVICES;
  }

  /** Whether a user has anything here: of most of whom others tell nothing has. */
  knows(userId: string): boolean {
    return this.#users.has(userId);
  }

  device(userId: string, deviceId: string): Device | undefined {
    return this.#users.get(userId)?.get(deviceId);
  }

  /** A device of which nothing is known yet beyond who it is. */
  addDevice(identity: Identity, t: Instant): Device {
    const { userId, deviceId } = identity;
    let devices = this.#users.get(userId);
    if (devices === undefined) this.#users.set(userId, (devices = new SmallMap()));
    const device: Device = {
      userId,
      deviceId,
      info: identity.info,
      infoRev: 0,
      session: identity.session ?? 0,
      born: 0,
      status: identity.status ?? 'active',
      veil: 0,
      boardId: undefined,
      typing: false,
      typingUntil: 0,
      typingQueued: false,
      meta: undefined,
      lastActiveAt: t.wall,
      provenAt: t.now,
      fresh: true,
      isStatusGiven: identity.status !== undefined,
      said: undefined,
      saidAt: 0,
      sockets: new SmallSet(),
      memberships: new SmallMap(),
      key: '',
      keyOf: '',
    };
    devices.set(deviceId, device);
    return device;
  }

  /** Lets go of a device that has neither sockets nor memberships any more. */
  forget(device: Device): void {
    if (device.sockets.size > 0 || device.memberships.size > 0) return;
    const devices = this.#users.get(device.userId);
    if (devices === undefined || devices.get(device.deviceId) !== device) return;
    devices.delete(device.deviceId);
    if (devices.size === 0) this.#users.delete(device.userId);
  }

  // Memberships.

  addMembership(device: Device, communityId: string): Membership {
    const membership: Membership = {
      device,
      communityId,
      sockets: new SmallSet(),
      entry: null,
      held: null,
      wasElsewhere: false,
      shadowed: false,
      rival: '',
      rivalLeft: false,
      lingerUntil: 0,
      lingerReason: 'disconnected',
      lingerQueued: false,
      hides: false,
      droppedAt: 0,
    };
    device.memberships.set(communityId, membership);
    let uses = this.#uses.get(communityId);
    if (uses === undefined) {
      this.#uses.set(communityId, (uses = { count: 0 }));
      this.#host.onUse(communityId);
    }
    uses.count++;
    return membership;
  }

  deleteMembership(membership: Membership): void {
    const { device, communityId } = membership;
    if (device.memberships.get(communityId) === membership) {
      device.memberships.delete(communityId);
      const uses = this.#uses.get(communityId);
      if (uses !== undefined && --uses.count === 0) {
        this.#uses.delete(communityId);
        this.#host.onFree(communityId);
      }
    }
    this.forget(device);
  }

  /** Whether a user has sockets in a community. */
  isLocal(userId: string, communityId: string): boolean {
    for (const device of this.devicesOf(userId)) {
      if ((device.memberships.get(communityId)?.sockets.size ?? 0) > 0) return true;
    }
    return false;
  }

  /** Whether a community has members here, lingering ones included. */
  hosts(communityId: string): boolean {
    return this.#uses.has(communityId);
  }

  /** This node's entries of a user. */
  entriesOf(userId: string): Entry[] {
    const entries: Entry[] = [];
    for (const device of this.devicesOf(userId)) {
      for (const { entry } of device.memberships.values()) if (entry !== null) entries.push(entry);
    }
    return entries;
  }

  // For operators.

  /** What is known here of a user's devices. */
  facts(userId: string, now: number): DeviceFacts[] {
    const facts: DeviceFacts[] = [];
    for (const device of this.devicesOf(userId)) {
      for (const { communityId, entry, sockets, lingerUntil } of device.memberships.values()) {
        let proofUntil = 0;
        for (const id of sockets) {
          const until = this.#sockets.get(id)?.proofUntil ?? 0;
          if (until === 0) {
            proofUntil = 0;
            break;
          }
          proofUntil = Math.max(proofUntil, until);
        }
        facts.push({
          communityId,
          deviceId: device.deviceId,
          status: device.status,
          isHidden: isVeiled(device.veil),
          counts: entry !== null,
          sockets: sockets.size,
          onlineSince: entry?.since ?? 0,
          connectedAt: entry?.connectedAt ?? 0,
          lastActiveAt: device.lastActiveAt,
          provenMs: Math.round(Math.max(0, now - device.provenAt)),
          proofLeftMs: leftUntil(proofUntil, now),
          lingerLeftMs: leftUntil(lingerUntil, now),
        });
      }
    }
    return facts;
  }

  /** How long ago the entry that has waited longest for a sign of life had one. */
  oldestProofMs(now: number): number {
    let oldest = now;
    for (const devices of this.#users.values()) {
      for (const { provenAt, memberships } of devices.values()) {
        if (memberships.size > 0 && provenAt < oldest) oldest = provenAt;
      }
    }
    return now - oldest;
  }
}

const NO_DEVICES: readonly Device[] = [];

function leftUntil(until: number, now: number): number | null {
  return until === 0 ? null : Math.round(Math.max(0, until - now));
}
