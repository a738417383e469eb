/** Redis as the engine. Imports no Redis package: the client is the application's own. */
export { dualWrite, redisOnly, type IndexOptions } from './strategies.js';
