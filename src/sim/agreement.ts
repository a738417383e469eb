import { foldPublic, Owner, saysTheSame, type UserRecord } from '../core/roster.js';
import type { Entry, UserPresence } from '../core/types.js';
import type { SimNode } from './cluster.js';
import type { World } from './world.js';

/**
 * What must come to hold once the faults have ended (liveness): every node, every client and the
 * truth agree within a bound (I7), and when everybody has gone, nothing is left anywhere (I13).
 */

const LOOK_MS = 250;
/** The longest time-out of a pull, with its jitter. */
const PULL_MS = 10_000;
/** A node's trust in its own timing comes back within this many heartbeats. */
const HEALTH_BEATS = 7;

/** The time that the cluster gets to agree, in ms after the last fault. */
export function agreementBoundMs(world: World): number {
  const { downAfterMs, lingerMs, heartbeatMs } = world.options;
  const ghostMs = Math.max(2 * downAfterMs, downAfterMs + HEALTH_BEATS * heartbeatMs);
  return Math.max(ghostMs, PULL_MS) + lingerMs + 4 * heartbeatMs;
}

export function demandAgreement(world: World): void {
  const { lingerMs, durationMs } = world.options;
  const bound = agreementBoundMs(world);
  let why: string | undefined = 'nothing was compared';
  let agreedAt: number | undefined;
  for (let at = durationMs; at <= durationMs + bound + lingerMs + 5000; at += LOOK_MS) {
    world.runUntil(at);
    why = disagreement(world);
    if (why !== undefined) agreedAt = undefined;
    else agreedAt ??= world.now;
    if (agreedAt === undefined && at > durationMs + bound) break;
    // It must not only be reached, but stay.
    if (agreedAt !== undefined && world.now - agreedAt > lingerMs + 5000) break;
  }
  if (agreedAt === undefined) {
    world.fail(`I7: no agreement ${bound} ms after the faults: ${why}`);
    return;
  }
  world.stats.convergenceMs = agreedAt - durationMs;
  // Nobody has typed since before the faults ended.
  for (const node of world.living) {
    for (const { id, sockets } of node.core?.inspect().view.communities ?? []) {
      // What is only read here has not been compared above, and may still wait for a pull.
      if (sockets.size === 0) continue;
      for (const { userId, devices } of node.engine.onlineUsers(id)) {
        if (!devices.some((device) => device.typing === true)) continue;
        world.fail(`I7: ${userId} types for ever at ${node.engine.nodeId}`);
      }
    }
  }
}

/** Why nodes, clients and the truth do not agree, or undefined. */
function disagreement(world: World): string | undefined {
  const cores = world.living.filter((node) => node.core !== undefined);
  return (cores.length > 0 ? betweenNodes(world, cores) : undefined) ?? betweenClients(world);
}

function betweenNodes(world: World, living: readonly SimNode[]): string | undefined {
  const recorded = new Map<string, UserRecord>();
  for (const node of living) {
    const owner = new Owner(node.engine.nodeId);
    for (const log of node.core?.inspect().logs.values() ?? []) {
      for (const entry of log.entries()) gather(recorded, owner, entry);
    }
  }
  const wrong = wrongRecord(world, recorded);
  if (wrong !== undefined) return wrong;
  const truth = new Map<string, UserPresence>();
  for (const [key, record] of recorded) {
    const presence = foldPublic(record);
    if (presence !== null) truth.set(key, presence);
  }
  for (const node of living) {
    const { nodeId } = node.engine;
    for (const community of node.core?.inspect().view.communities ?? []) {
      if (community.sockets.size === 0) continue;
      const { id } = community;
      const users = node.engine.onlineUsers(id);
      const expected = [...truth.values()].filter((user) => user.communityId === id);
      for (const user of expected) {
        const seen = users.find((other) => other.userId === user.userId);
        if (seen === undefined) return `${user.userId} is missing in ${id} at ${nodeId}`;
        if (!saysTheSame(seen, user)) {
          return `${user.userId} differs in ${id} at ${nodeId}: ${JSON.stringify(seen)} instead of ${JSON.stringify(user)}`;
        }
      }
      if (users.length !== expected.length) {
        const ghost = users.find((user) => !truth.has(`${id}/${user.userId}`));
        return `${ghost?.userId} is a ghost in ${id} at ${nodeId}`;
      }
      if (!node.engine.info(id).complete) return `${id} is not complete at ${nodeId}`;
    }
  }
  return undefined;
}

/** What the clients see against who is connected. */
function betweenClients(world: World): string | undefined {
  for (const { userId, wants, socket } of world.clients) {
    if (socket === null || world.now - socket.since < 1000) continue;
    for (const communityId of wants) {
      const { observer } = socket;
      const info = observer.infos.get(communityId);
      if (info === undefined) return `${socket.id} has no list of ${communityId}`;
      if (!info.complete) return `the last list of ${communityId} at ${socket.id} is not complete`;
      const roster = observer.rosters.get(communityId);
      for (const other of world.clients) {
        // The user's own choice to be invisible is checked by the core's own records above.
        const hides = world.clients.some((c) => c.userId === other.userId && c.hasBeenInvisible);
        if (hides || other.socket === null || !other.wants.has(communityId)) continue;
        if (world.now - other.socket.since < 1000) continue;
        if (roster?.has(other.userId) !== true) {
          return `${other.userId} is missing in ${communityId} for ${socket.id}`;
        }
      }
      for (const seen of roster?.keys() ?? []) {
        const there =
          seen === userId ||
          world.clients.some(
            (c) => c.userId === seen && (c.socket !== null || c.lingersUntil > world.now),
          ) ||
          [...world.nodes].some((node) =>
            [...(node?.sockets.values() ?? [])].some((s) => s.halfOpen && s.client.userId === seen),
          );
        if (!there) return `${seen} is a ghost in ${communityId} for ${socket.id}`;
      }
    }
  }
  return undefined;
}

function gather(recorded: Map<string, UserRecord>, owner: Owner, entry: Entry): void {
  const { communityId, userId } = entry;
  const key = `${communityId}/${userId}`;
  let user = recorded.get(key);
  if (user === undefined) {
    user = { userId, communityId, held: [], told: null, toldOwn: null };
    recorded.set(key, user);
  }
  user.held.push({ entry, owner, user, until: 0, untilReason: 'left', seenAt: 0 });
}

/** Whether the owners record just the clients that are connected. */
function wrongRecord(world: World, recorded: ReadonlyMap<string, UserRecord>): string | undefined {
  const connected = new Set<string>();
  for (const { socket, wants, deviceId, userId } of world.clients) {
    if (socket === null) continue;
    for (const communityId of wants) {
      connected.add(`${communityId}/${deviceId}`);
      const held = recorded.get(`${communityId}/${userId}`)?.held ?? [];
      if (!held.some(({ entry }) => entry.deviceId === deviceId)) {
        return `nobody records ${deviceId} in ${communityId}, which is connected to ${socket.host.engine.nodeId}`;
      }
    }
  }
  const halfOpen = new Set<string>();
  for (const { deviceId, lingersUntil } of world.clients) {
    if (lingersUntil > world.now) halfOpen.add(deviceId);
  }
  for (const node of world.nodes) {
    for (const socket of node?.sockets.values() ?? []) {
      if (socket.halfOpen) halfOpen.add(socket.client.deviceId);
    }
  }
  for (const { held } of recorded.values()) {
    for (const { entry, owner } of held) {
      const known = connected.has(`${entry.communityId}/${entry.deviceId}`);
      if (!known && !halfOpen.has(entry.deviceId)) {
        return `${owner.nodeId} records ${entry.deviceId} in ${entry.communityId}, which is not connected`;
      }
    }
  }
  return undefined;
}

export function demandNothingLeft(world: World): void {
  const { lingerMs, dropDelayMs } = world.options;
  // Half-open sockets end by the server's ping, reads keep their interest for a minute.
  world.runUntil(world.now + lingerMs + dropDelayMs + 65_000);
  for (const node of world.living) {
    const gauges = node.core?.gauges(world.clock(node).now);
    if (gauges === undefined) continue;
    const { entriesOwned, entriesHeld, sockets, shards, waiting, usersOnline } = gauges;
    if (entriesOwned + entriesHeld + sockets + shards + waiting + usersOnline > 0) {
      world.fail(`I13: something is left at ${node.engine.nodeId}: ${JSON.stringify(gauges)}`);
    }
  }
}
