export { createPresence } from './create-presence.js';
export type { CommunityList, Presence, PresenceEvents, UserCommunities } from './presence.js';
export {
  resolveOptions,
  type PresenceIdentity,
  type PresenceLogger,
  type PresenceOptions,
} from './options.js';
export { DEFAULT_LIMITS, type PresenceLimits } from './limits.js';
export { createHttpApi, type HttpApi, type HttpApiOptions } from './http/api.js';
export { failure, sendJson, type Answer } from './http/json.js';
export type { Access } from './http/access.js';
export type { Dashboard, DashboardOptions } from './http/dashboard.js';
export { checkIdentity } from './sockets/identity.js';
export { PresenceError, type PresenceErrorCode } from './errors.js';
export type { PresenceClientToServerEvents, PresenceServerToClientEvents } from './events.js';
export {
  dualWrite,
  lastSeenIn,
  onDemand,
  redisOnly,
  replicated,
  type IndexOptions,
  type LastSeen,
  type MediumOptions,
  type OnDemandOptions,
} from '../redis/index.js';
export type { Strategy, StrategyName } from '../strategy/index.js';
export type {
  AskedNode,
  ClusterReport,
  DeviceExplanation,
  DeviceFacts,
  DevicePresence,
  EvictedDevice,
  Eviction,
  EvictionTarget,
  ListInfo,
  NodeReport,
  NodeView,
  OfflineReason,
  ReportedPeer,
  SettableStatus,
  Status,
  UserExplanation,
  UserPresence,
} from '../core/index.js';
