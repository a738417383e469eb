import type { Device, Membership } from './connections.js';
import { entryKey } from './entry.js';
import { sameData, type Held, type UserRecord } from './roster.js';
import type { Entry, Instant } from './types.js';

const NOTHING_HELD: readonly Held[] = [];

/**
 * The entry of a membership as it should be now: what its device says of itself, beside what is held of its
 * user in that community, here and elsewhere. Since when a user is online, and which information is the
 * newest, is the user's and not the device's, so it carries over. `stamp` gives the next Lamport stamp.
 */
export function composeEntry(
  membership: Membership,
  user: UserRecord | undefined,
  t: Instant,
  stamp: () => number,
): Entry {
  const { device, communityId } = membership;
  let connectedAt = membership.entry?.connectedAt ?? t.wall;
  let since = membership.entry?.since ?? t.wall;
  let newest: Entry | undefined;
  for (const { entry, owner } of user?.held ?? NOTHING_HELD) {
    if (owner.hidden || entry.veil !== device.veil) continue;
    if (entry.since < since) since = entry.since;
    if (entry.deviceId === device.deviceId && entry.connectedAt < connectedAt) {
      connectedAt = entry.connectedAt;
    }
    if (newest === undefined || entry.infoRev > newest.infoRev) newest = entry;
  }
  if (device.info === undefined) {
    device.infoRev = 0;
  } else if (device.infoRev === 0) {
    const known = newest !== undefined && sameData(newest.info, device.info);
    device.infoRev = known && newest !== undefined ? newest.infoRev : stamp();
  }
  return {
    key: membership.entry?.key ?? keyOf(device, communityId),
    communityId,
    userId: device.userId,
    deviceId: device.deviceId,
    status: device.status,
    veil: device.veil,
    connectedAt,
    // Whoever comes is active, however long they have been connected.
    lastActiveAt: Math.max(device.lastActiveAt, connectedAt),
    since,
    session: device.session,
    born: membership.entry?.born ?? device.born,
    rev: stamp(),
    info: device.info,
    infoRev: device.infoRev,
    boardId: device.boardId,
    typing: device.typing,
    meta: device.meta,
  };
}

function keyOf(device: Device, communityId: string): string {
  if (device.keyOf !== communityId) {
    device.key = entryKey(communityId, device.userId, device.deviceId);
    device.keyOf = communityId;
  }
  return device.key;
}
