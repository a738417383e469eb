export { createPresenceClient, type PresenceClient, type PresenceClientOptions } from './client.js';
export { createPresenceDevice, type PresenceDevice, type PresenceDeviceOptions } from './device.js';
export { emptySnapshot } from './community.js';
export type {
  ClientSnapshot,
  CommunitySnapshot,
  CommunityStore,
  Data,
  DevicePatch,
  DevicePresence,
  PresenceSocket,
  PresenceState,
  Refusal,
  SelfPresence,
  SettableStatus,
  Status,
  UpdateResult,
  UserPresence,
} from './types.js';
