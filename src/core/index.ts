/** The pure core: no sockets, timers, clock or random numbers of its own. */
export * from './types.js';
export { InvariantError } from './assert.js';
export { shardOf } from './digest.js';
export { isId, isObject } from './entry.js';
export {
  isReason,
  type AskedNode,
  type DeviceExplanation,
  type DeviceFacts,
  type EvictedDevice,
  type Eviction,
  type EvictionTarget,
  type UserExplanation,
} from './explanation.js';
export type { ClusterReport, NodeReport, ReportedPeer } from './report.js';
export type { Route } from './route.js';
export { sameData } from './roster.js';
export type { EncodedUsers } from './view.js';
export { PROTOCOL_VERSION } from './wire.js';
export { PresenceNode, type NodeInspection } from './node.js';
export type { NodeOptions } from './node-options.js';
export type { NodeGauges, NodeStats } from './stats.js';
