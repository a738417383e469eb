import { PresenceError } from '../errors.js';
import { checkData, checkId, checkStatus, type PresenceLimits } from '../limits.js';
import type { PresenceIdentity } from '../options.js';

/**
 * Who a socket is, as the application said and rollcall takes it: what `identify` gives may have come
 * from a client, and is held to the same limits.
 */

/** A device that the application has named, after all checks. */
export interface Identified extends PresenceIdentity {
  readonly deviceId: string;
  readonly communities: readonly string[];
}

/** Checks what `identify` gave, and fills in the device. */
export function checkIdentity(
  given: PresenceIdentity,
  socketId: string,
  limits: PresenceLimits,
): Identified {
  if (typeof given !== 'object') {
    throw new PresenceError('INVALID_ARGUMENT', 'identify must give an object or null');
  }
  const communities: unknown = given.communities ?? [];
  if (!Array.isArray(communities)) {
    throw new PresenceError('INVALID_ARGUMENT', 'communities must be an array of community ids');
  }
  if (communities.length > limits.communitiesPerSocket) {
    throw new PresenceError(
      'LIMIT_EXCEEDED',
      `${communities.length} communities are more than communitiesPerSocket (${limits.communitiesPerSocket})`,
    );
  }
  const { session } = given;
  if (session !== undefined && (!Number.isSafeInteger(session) || session < 0)) {
    throw new PresenceError('INVALID_ARGUMENT', 'session must be a whole number of at least 0');
  }
  return {
    userId: checkId(given.userId, 'userId', limits),
    deviceId: checkId(given.deviceId ?? socketId, 'deviceId', limits),
    communities: [...new Set(communities.map((id) => checkId(id, 'communityId', limits)))],
    ...(given.info !== undefined && { info: checkData(given.info, 'info', limits) }),
    ...(session !== undefined && { session }),
    ...(given.status !== undefined && { status: checkStatus(given.status) }),
  };
}
