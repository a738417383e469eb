import { isCount, isId, isObject, isTime } from './entry.js';
import type { PeerState, SettableStatus } from './types.js';

/**
 * Why somebody is online: what owners say of their own devices, and how it looks from here. For
 * operators only: it shows invisible devices and names nodes.
 */

/**
 * What a node knows of a device that is connected to it, in one community. Spans are relative, in ms:
 * clocks of two nodes are never compared.
 */
export interface DeviceFacts {
  readonly communityId: string;
  readonly deviceId: string;
  readonly status: SettableStatus;
  /** The user is invisible: offline to everybody else. */
  readonly isHidden: boolean;
  /** False where a later connection of the same device stands elsewhere. */
  readonly counts: boolean;
  readonly sockets: number;
  /** Wall-clock times in ms since the epoch, for display. */
  readonly onlineSince: number;
  readonly connectedAt: number;
  readonly lastActiveAt: number;
  /** Since one of its sockets last showed life. */
  readonly provenMs: number;
  /** Its sockets must show life within this, or null. */
  readonly proofLeftMs: number | null;
  /** It ends after this because no socket holds it, or null. */
  readonly lingerLeftMs: number | null;
}

/** One device in one community, and what would end it. */
export interface DeviceExplanation extends DeviceFacts {
  readonly nodeId: string;
  readonly nodeName: string | null;
  readonly nodeState: PeerState | 'self' | 'gone';
  /** `owner`: the node that holds it said so just now. `copy`: only the answering node has it (still). */
  readonly source: 'owner' | 'copy';
  /** Others see the user online on its account. */
  readonly isSeen: boolean;
  /** In words. */
  readonly endsWhen: string;
}

/** A node that was asked. */
export interface AskedNode {
  readonly nodeId: string;
  readonly nodeName: string | null;
  readonly state: PeerState | 'self';
  readonly lastHeardMs: number;
  readonly hasAnswered: boolean;
}

/** Why a user is online, or not: every device that any node knows. */
export interface UserExplanation {
  readonly userId: string;
  /** Every node that is not down has answered. */
  readonly complete: boolean;
  /** Sorted by community, device and node. Empty where nobody knows the user. */
  readonly devices: readonly DeviceExplanation[];
  readonly nodes: readonly AskedNode[];
}

/** Whom to evict: a user, or one device; from everything, or from one community. */
export interface EvictionTarget {
  readonly userId: string;
  readonly deviceId?: string | undefined;
  readonly communityId?: string | undefined;
}

/** A device that an eviction ended in one community. */
export interface EvictedDevice {
  readonly communityId: string;
  readonly deviceId: string;
  readonly nodeId: string;
}

/** What became of an eviction. */
export interface Eviction {
  readonly userId: string;
  /** Every node has done it that is there, and no other is known to hold the user. */
  readonly complete: boolean;
  /** What ended, per community. */
  readonly devices: readonly EvictedDevice[];
  /** Sockets that were disconnected, or taken out of the community. */
  readonly sockets: number;
  /** Nodes that did not answer: what they hold ends when they are taken for dead and the linger is over. Try again. */
  readonly silentNodes: readonly string[];
}

/** Most devices in one answer. */
const MOST_FACTS = 1000;
const STATUSES: readonly SettableStatus[] = ['active', 'idle', 'busy', 'invisible'];

export function encodeFacts(facts: readonly DeviceFacts[]): string {
  return JSON.stringify(facts.slice(0, MOST_FACTS));
}

/** Reads an answer as untrusted input; undefined where it is not what the protocol allows. */
export function decodeFacts(body: string): DeviceFacts[] | undefined {
  return decodeArray(body, (value) => {
    if (!isObject(value)) return undefined;
    const { communityId, deviceId, status, isHidden, counts, sockets } = value;
    const { onlineSince, connectedAt, lastActiveAt, provenMs, proofLeftMs, lingerLeftMs } = value;
    if (!isId(communityId) || !isId(deviceId) || !isStatus(status)) return undefined;
    if (typeof isHidden !== 'boolean' || typeof counts !== 'boolean') return undefined;
    if (!isCount(sockets) || !isTime(onlineSince) || !isTime(connectedAt)) return undefined;
    if (!isTime(lastActiveAt) || !isTime(provenMs)) return undefined;
    if (!isSpan(proofLeftMs) || !isSpan(lingerLeftMs)) return undefined;
    return {
      communityId,
      deviceId,
      status,
      isHidden,
      counts,
      sockets,
      onlineSince,
      connectedAt,
      lastActiveAt,
      provenMs,
      proofLeftMs,
      lingerLeftMs,
    };
  });
}

export function encodeEvicted(devices: readonly Omit<EvictedDevice, 'nodeId'>[]): string {
  const pairs = devices.map(({ communityId, deviceId }) => [communityId, deviceId]);
  return JSON.stringify(pairs.slice(0, MOST_FACTS));
}

export function decodeEvicted(body: string): Omit<EvictedDevice, 'nodeId'>[] | undefined {
  return decodeArray(body, (value) => {
    if (!Array.isArray(value)) return undefined;
    const [communityId, deviceId] = value as unknown[];
    return isId(communityId) && isId(deviceId) ? { communityId, deviceId } : undefined;
  });
}

function decodeArray<T>(body: string, decode: (value: unknown) => T | undefined): T[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length > MOST_FACTS) return undefined;
  const decoded: T[] = [];
  for (const item of value) {
    const one = decode(item);
    if (one === undefined) return undefined;
    decoded.push(one);
  }
  return decoded;
}

function isStatus(value: unknown): value is SettableStatus {
  return STATUSES.includes(value as SettableStatus);
}

function isSpan(value: unknown): value is number | null {
  return value === null || isTime(value);
}

const MOST_REASON = 200;

/** True for the reason of an eviction: short, and fit for one line of a log. */
export function isReason(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MOST_REASON) return false;
  return [...value].every((letter) => letter >= ' ' && !(letter >= '\u007f' && letter < '\u00a0'));
}

/** What would end a device, in words. */
export function endOf(
  device: Pick<
    DeviceExplanation,
    'source' | 'nodeState' | 'counts' | 'sockets' | 'lingerLeftMs' | 'proofLeftMs'
  >,
  silentMs: number,
): string {
  const { source, nodeState, counts, sockets, lingerLeftMs, proofLeftMs } = device;
  if (nodeState === 'gone') {
    return `its node let go of it: it ends in ${seconds(lingerLeftMs ?? 0)} unless the device shows up elsewhere`;
  }
  if (nodeState === 'down') {
    return counts
      ? `its node has been silent for ${seconds(silentMs)} and is taken for dead: it ends in ${seconds(lingerLeftMs ?? 0)} unless the node comes back`
      : 'its node is dead, so it counts no more';
  }
  if (source === 'copy') {
    return nodeState === 'suspect'
      ? `its node has been silent for ${seconds(silentMs)}: it ends when the node is taken for dead and the linger is over`
      : 'its node did not name it: this copy ends when the change arrives, with the next heartbeat at the latest';
  }
  if (!counts) return 'it does not count: a later connection of the same device stands elsewhere';
  if (lingerLeftMs !== null) {
    return `no socket holds it: it ends in ${seconds(lingerLeftMs)} unless the device reconnects`;
  }
  if (proofLeftMs !== null) {
    return `its socket may be dead: it has ${seconds(proofLeftMs)} to show life, then the linger begins`;
  }
  return sockets === 1
    ? 'its socket closes or shows no life, or its node dies; then the linger'
    : `all of its ${sockets} sockets close or show no life, or its node dies; then the linger`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
