/** Redis as the engine. Imports no Redis package: the client is the application's own. */
export { createPresenceReader, type PresenceReader, type PresenceReaderOptions } from './reader.js';
export { lastSeenIn, type LastSeen, type LastSeenOptions } from './last-seen.js';
export {
  dualWrite,
  onDemand,
  redisOnly,
  replicated,
  type IndexOptions,
  type MediumOptions,
  type OnDemandOptions,
} from './strategies.js';
