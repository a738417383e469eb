import { isCount, isId, isObject, isTime } from './entry.js';
import type { NodeGauges, NodeStats } from './stats.js';
import type { NodeView, PeerState } from './types.js';

/** How a node is, and how it sees the others: what a live view of the cluster is made of. */

/** Another node, as the reporting one sees it. */
export interface ReportedPeer {
  readonly nodeId: string;
  readonly nodeName: string | null;
  readonly state: PeerState;
  /** Entries that it says it owns. */
  readonly entries: number;
  /** Since anything of it was heard, in ms; heartbeats come on a fixed interval. */
  readonly lastHeardMs: number;
}

/** How a node is, as it says itself. */
export interface NodeReport {
  readonly nodeId: string;
  readonly nodeName: string | null;
  readonly isReady: boolean;
  /** It cannot reach the medium between the nodes. */
  readonly isDegraded: boolean;
  /** 0 (well) to 7: how little it trusts its own sense of time. */
  readonly health: number;
  /** Devices in communities that it holds itself. */
  readonly entries: number;
  /** Entries that it knows, its own included. */
  readonly heldEntries: number;
  readonly users: number;
  readonly sockets: number;
  /** Age of the oldest gap towards another node, in ms: how far it is behind. */
  readonly lagMs: number;
  /** Age of the oldest sign of life among the entries that it knows, in ms. */
  readonly oldestProofMs: number;
  /** Since its start: changes of its own entries, and messages between nodes. */
  readonly changes: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly peers: readonly ReportedPeer[];
}

/** The reports of a cluster’s nodes at one moment. */
export interface ClusterReport {
  /** Every node that is not down has answered. */
  readonly complete: boolean;
  /** The answering node's first. */
  readonly nodes: readonly NodeReport[];
}

/** What a report is made of, under every strategy. */
export interface Reporting {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly isReady: boolean;
  readonly isDegraded: boolean;
  readonly stats: NodeStats;
  readonly gauges: (now: number) => NodeGauges;
  readonly nodes: (now: number) => readonly NodeView[];
  readonly oldestProofMs: (now: number) => number;
}

/** How a node is, and how it sees the others. `changes`: of its own entries since its start. */
export function reportOf(node: Reporting, changes: number, now: number): NodeReport {
  const { entriesOwned, entriesHeld, usersOnline, sockets, health, lagMs } = node.gauges(now);
  const peers = node
    .nodes(now)
    .flatMap(({ nodeName = null, state, lastHeardMs, ...peer }) =>
      state === 'self' ? [] : [{ ...peer, nodeName, state, lastHeardMs: Math.round(lastHeardMs) }],
    );
  return {
    nodeId: node.nodeId,
    nodeName: node.nodeName ?? null,
    isReady: node.isReady,
    isDegraded: node.isDegraded,
    health,
    entries: entriesOwned,
    heldEntries: entriesHeld,
    users: usersOnline,
    sockets,
    lagMs: Math.round(lagMs),
    oldestProofMs: Math.round(node.oldestProofMs(now)),
    changes,
    messagesSent: node.stats.messagesSent,
    messagesReceived: node.stats.messagesReceived,
    peers,
  };
}

const MOST_PEERS = 1024;
const STATES: readonly PeerState[] = ['alive', 'suspect', 'down'];

export function encodeReport(report: NodeReport): string {
  return JSON.stringify(report);
}

/** Reads a report of another node as untrusted input. */
export function decodeReport(body: string): NodeReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { nodeId, nodeName, isReady, isDegraded, health, entries, heldEntries, users } = value;
  const { sockets, lagMs, oldestProofMs, changes, messagesSent, messagesReceived } = value;
  if (!isId(nodeId) || !isNodeName(nodeName)) return undefined;
  if (typeof isReady !== 'boolean' || typeof isDegraded !== 'boolean') return undefined;
  if (!isCount(health) || !isCount(entries) || !isCount(heldEntries)) return undefined;
  if (!isCount(users) || !isCount(sockets) || !isTime(lagMs) || !isTime(oldestProofMs)) {
    return undefined;
  }
  if (!isCount(changes) || !isCount(messagesSent) || !isCount(messagesReceived)) return undefined;
  const peers = decodePeers(value['peers']);
  if (peers === undefined) return undefined;
  return {
    nodeId,
    nodeName,
    isReady,
    isDegraded,
    health,
    entries,
    heldEntries,
    users,
    sockets,
    lagMs,
    oldestProofMs,
    changes,
    messagesSent,
    messagesReceived,
    peers,
  };
}

function decodePeers(value: unknown): ReportedPeer[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_PEERS) return undefined;
  const peers: ReportedPeer[] = [];
  for (const item of value) {
    if (!isObject(item)) return undefined;
    const { nodeId, nodeName, entries, lastHeardMs } = item;
    const state = STATES.find((each) => each === item['state']);
    if (!isId(nodeId) || !isNodeName(nodeName) || state === undefined) return undefined;
    if (!isCount(entries) || !isTime(lastHeardMs)) return undefined;
    peers.push({ nodeId, nodeName, state, entries, lastHeardMs });
  }
  return peers;
}

function isNodeName(value: unknown): value is string | null {
  return value === null || isId(value);
}
