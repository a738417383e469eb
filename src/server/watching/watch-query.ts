import { PresenceError } from '../errors.js';
import { checkId, type PresenceLimits } from '../limits.js';

/** By availability (active, busy, idle) and then by name, or by name alone. */
export type WatchSort = 'availability' | 'name';

/** What a client watches of a community. Without any of these: all of it. */
export interface WatchQuery {
  /** A part of the sorted list. Defaults: offset 0, limit 50, sort `availability`. */
  readonly window?: WatchWindow | undefined;
  /** These users, wherever they stand in the list. */
  readonly users?: readonly string[] | undefined;
  /** Only how many users are online. */
  readonly countOnly?: boolean | undefined;
}

export interface WatchWindow {
  readonly offset: number;
  readonly limit: number;
  readonly sort: WatchSort;
}

const SORTS: ReadonlySet<unknown> = new Set<WatchSort>(['availability', 'name']);
const MAX_OFFSET = 1_000_000;

function invalid(message: string): PresenceError {
  return new PresenceError('INVALID_ARGUMENT', message);
}

/** Checks what a client asks for with `presenceWatch`; null ends watching. */
export function checkWatch(value: unknown, limits: PresenceLimits): WatchQuery | null {
  if (value === null) return null;
  if (value === undefined) return {};
  const query = checkObject(value, 'presenceWatch', ['window', 'users', 'countOnly']);
  const { window, users, countOnly } = query;
  if (countOnly !== undefined && typeof countOnly !== 'boolean') {
    throw invalid('countOnly must be true or false');
  }
  if (countOnly === true && (window !== undefined || users !== undefined)) {
    throw invalid('countOnly goes with neither window nor users');
  }
  return {
    ...(window !== undefined && { window: checkWindow(window, limits) }),
    ...(users !== undefined && { users: checkUsers(users, limits) }),
    ...(countOnly === true && { countOnly }),
  };
}

function checkWindow(value: unknown, limits: PresenceLimits): WatchWindow {
  const window = checkObject(value, 'window', ['offset', 'limit', 'sort']);
  const { offset = 0, limit = Math.min(50, limits.watchedUsers), sort = 'availability' } = window;
  if (!isWhole(offset, 0, MAX_OFFSET)) {
    throw invalid(`window.offset must be a whole number from 0 to ${MAX_OFFSET}`);
  }
  if (!isWhole(limit, 1, limits.watchedUsers)) {
    throw invalid(
      `window.limit must be a whole number from 1 to watchedUsers (${limits.watchedUsers})`,
    );
  }
  if (!SORTS.has(sort)) throw invalid('window.sort must be availability or name');
  return { offset, limit, sort: sort as WatchSort };
}

function checkUsers(value: unknown, limits: PresenceLimits): readonly string[] {
  if (!Array.isArray(value)) throw invalid('users must be an array of user ids');
  if (value.length > limits.watchedUsers) {
    throw new PresenceError(
      'LIMIT_EXCEEDED',
      `${value.length} users are more than watchedUsers (${limits.watchedUsers})`,
    );
  }
  return [...new Set(value.map((id) => checkId(id, 'userId', limits)))].sort();
}

function checkObject(
  value: unknown,
  what: string,
  known: readonly string[],
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${what} takes an object of ${known.join(', ')}`);
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    throw invalid(
      `${what} does not know ${JSON.stringify(key.slice(0, 40))}; it takes ${known.join(', ')}`,
    );
  }
  return value as Record<string, unknown>;
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}
