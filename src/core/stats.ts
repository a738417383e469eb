import type { ReplicaStats } from './replica.js';
import type { WireFault } from './wire.js';

/** What a node counts since its start, and what it holds at a moment, for metrics and checks of bounds. */

/** What a node has done since its start. */
export interface NodeStats extends ReplicaStats {
  messagesSent: number;
  bytesSent: number;
  messagesReceived: number;
  bytesReceived: number;
  messagesFenced: number;
  faults: Record<WireFault, number>;
  deltasSent: number;
  opsSent: number;
  pulls: number;
  pullsAnswered: number;
  snapshotsSent: number;
  flushes: number;
  lastFlushOps: number;
  primes: number;
  primeMsTotal: number;
  primeMsMax: number;
  incompleteLists: number;
  fenceDrops: number;
}

/** What a node holds at one moment. */
export interface NodeGauges {
  readonly entriesOwned: number;
  readonly entriesHeld: number;
  readonly usersOnline: number;
  readonly sockets: number;
  readonly nodes: number;
  readonly shards: number;
  readonly replicas: number;
  readonly bufferedDeltas: number;
  readonly keptDeltas: number;
  readonly waiting: number;
  readonly fenced: number;
  readonly health: number;
  /** Age of the oldest gap: how far this node is behind somebody. */
  readonly lagMs: number;
}

export function newStats(): NodeStats {
  return {
    messagesSent: 0,
    bytesSent: 0,
    messagesReceived: 0,
    bytesReceived: 0,
    messagesFenced: 0,
    faults: { malformed: 0, oversize: 0, version: 0, cluster: 0 },
    deltasSent: 0,
    opsSent: 0,
    pulls: 0,
    pullsAnswered: 0,
    snapshotsSent: 0,
    flushes: 0,
    lastFlushOps: 0,
    primes: 0,
    primeMsTotal: 0,
    primeMsMax: 0,
    incompleteLists: 0,
    fenceDrops: 0,
    deltasApplied: 0,
    deltasIgnored: 0,
    deltasBuffered: 0,
    deltasDropped: 0,
    snapshotsApplied: 0,
    gaps: 0,
    repairs: 0,
    repairMsTotal: 0,
    repairMsMax: 0,
    divergences: 0,
    malformed: 0,
  };
}
