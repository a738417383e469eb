import type { DevicePresence, Entry, OfflineReason, Status, UserPresence } from './types.js';

/**
 * Folding: the entries of one user in one community become one presence.
 * Pure functions; who may be seen is decided here and nowhere else.
 */

/** An owner as the roster sees it: hidden while it is taken for dead. */
export class Owner {
  readonly nodeId: string;
  hidden = false;
  /** Silent for so long that it is taken for dead; its entries are still shown for the linger. */
  down = false;

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }
}

/** An entry in the hands of this node. The owner's changes replace `entry`. */
export interface Held {
  entry: Entry;
  owner: Owner;
  readonly user: UserRecord;
  /** 0, or when to drop it: its owner let go of it and the device is expected elsewhere. */
  until: number;
  /** Why its user is offline if the device does not show up by then. */
  untilReason: OfflineReason;
  /** When it was last seen if it does not, in ms since the epoch. */
  seenAt: number;
}

/** One user in one community: what is held, and what this node has told of it. */
export interface UserRecord {
  readonly userId: string;
  readonly communityId: string;
  held: Held[];
  /** What everybody else has been told; null while offline to them. */
  told: UserPresence | null;
  /** What the user's own sockets have been told. The same object unless the user is invisible. */
  toldOwn: UserPresence | null;
}

/** Which of two entries of one device is the later connection. */
export function isLater(a: Entry, aNode: string, b: Entry, bNode: string): boolean {
  if (a.session !== b.session) return a.session > b.session;
  if (a.born !== b.born) return a.born > b.born;
  return aNode > bNode;
}

/** The highest visibility register among what is held of a user; odd means hidden. */
export function veilOf(held: readonly Held[]): number {
  let veil = 0;
  for (const one of held) {
    if (!one.owner.hidden && one.entry.veil > veil) veil = one.entry.veil;
  }
  return veil;
}

export function isVeiled(veil: number): boolean {
  return veil % 2 === 1;
}

/** The presence that everybody else sees: null when offline or invisible. */
export function foldPublic(record: UserRecord): UserPresence | null {
  const veil = veilOf(record.held);
  return isVeiled(veil) ? null : fold(record, veil);
}

/** The presence that the user's own sockets see: invisibility does not hide people from themselves. */
export function foldOwn(record: UserRecord): UserPresence | null {
  return fold(record, -1);
}

/**
 * Folds devices into a user. With `veil` ≥ 0 only devices that know the user's newest visibility
 * count: one that has not heard of it yet would show times from before the change.
 */
function fold(record: UserRecord, veil: number): UserPresence | null {
  const held = record.held;
  let chosen: Held[];
  if (held.length === 1) {
    const only = held[0] as Held;
    if (only.owner.hidden || (veil >= 0 && only.entry.veil !== veil)) return null;
    chosen = held;
  } else {
    chosen = [];
    for (const one of held) {
      if (one.owner.hidden || (veil >= 0 && one.entry.veil !== veil)) continue;
      const at = chosen.findIndex((other) => other.entry.deviceId === one.entry.deviceId);
      if (at === -1) chosen.push(one);
      else if (isLaterHeld(one, chosen[at] as Held)) chosen[at] = one;
    }
    if (chosen.length === 0) return null;
    if (chosen.length > 1) {
      chosen.sort((a, b) => (a.entry.deviceId < b.entry.deviceId ? -1 : 1));
    }
  }
  // Not pushed one by one: an array that grows has room for many, and there is one for each user.
  const devices = chosen.map(deviceOfHeld);
  let status: Status = 'idle';
  let since = Infinity;
  let lastActiveAt = 0;
  let info = (chosen[0] as Held).entry;
  for (const { entry } of chosen) {
    status = moreAvailable(status, shownStatus(entry));
    if (entry.since < since) since = entry.since;
    if (entry.lastActiveAt > lastActiveAt) lastActiveAt = entry.lastActiveAt;
    if (entry.infoRev > info.infoRev) info = entry;
  }
  const { userId, communityId } = record;
  Object.freeze(devices);
  // Two literals: a spread would cost more than all the rest.
  return Object.freeze(
    info.info === undefined
      ? { userId, communityId, status, devices, onlineSince: since, lastActiveAt }
      : {
          userId,
          communityId,
          status,
          info: info.info,
          devices,
          onlineSince: since,
          lastActiveAt,
        },
  );
}

function isLaterHeld(a: Held, b: Held): boolean {
  if (a.until !== 0 && b.until === 0) return false;
  if (a.until === 0 && b.until !== 0) return true;
  return isLater(a.entry, a.owner.nodeId, b.entry, b.owner.nodeId);
}

function shownStatus({ status }: Entry): Status {
  return status === 'invisible' ? 'active' : status;
}

function deviceOfHeld({ entry }: Held): DevicePresence {
  const { deviceId, connectedAt, lastActiveAt } = entry;
  const status = shownStatus(entry);
  if (entry.boardId === undefined && !entry.typing && entry.meta === undefined) {
    return Object.freeze({ deviceId, status, connectedAt, lastActiveAt });
  }
  return Object.freeze({
    deviceId,
    status,
    ...(entry.boardId !== undefined && { boardId: entry.boardId }),
    ...(entry.typing && { typing: true }),
    ...(entry.meta !== undefined && { meta: entry.meta }),
    connectedAt,
    lastActiveAt,
  });
}

function moreAvailable(a: Status, b: Status): Status {
  if (a === 'busy' || b === 'busy') return 'busy';
  return a === 'active' || b === 'active' ? 'active' : 'idle';
}

/** Whether two presences of one user tell the same. */
export function saysTheSame(a: UserPresence, b: UserPresence): boolean {
  if (a === b) return true;
  if (a.status !== b.status || a.onlineSince !== b.onlineSince) return false;
  if (a.devices.length !== b.devices.length || !sameData(a.info, b.info)) return false;
  for (let i = 0; i < a.devices.length; i++) {
    const x = a.devices[i] as DevicePresence;
    const y = b.devices[i] as DevicePresence;
    if (
      x.deviceId !== y.deviceId ||
      x.status !== y.status ||
      x.boardId !== y.boardId ||
      x.typing !== y.typing ||
      x.connectedAt !== y.connectedAt ||
      x.lastActiveAt !== y.lastActiveAt ||
      !sameData(x.meta, y.meta)
    ) {
      return false;
    }
  }
  return true;
}

/** Deep equality of plain JSON data. */
export function sameData(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) {
    if (!Object.hasOwn(b, key)) return false;
    if (!sameData((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) {
      return false;
    }
  }
  return true;
}
