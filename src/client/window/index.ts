export {
  createPresenceWindow,
  type PresenceWindow,
  type PresenceWindowQuery,
  type PresenceWindowSnapshot,
} from './window.js';
