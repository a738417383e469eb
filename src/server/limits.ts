import type { Data, DevicePatch, SettableStatus } from '../core/index.js';
import { PresenceError } from './errors.js';

/** Bounds on what clients and the application may bring in. Every error names the limit it is about. */
export interface PresenceLimits {
  /** Bytes (UTF-8) of a userId, deviceId, communityId or boardId. Default 128, which is also the most. */
  readonly idBytes: number;
  /** Communities that one socket may be in. Default 50. */
  readonly communitiesPerSocket: number;
  /** Bytes of `meta` as JSON. Default 1024. */
  readonly metaBytes: number;
  /** Bytes of `info` as JSON. Default 2048. */
  readonly infoBytes: number;
  /** How deep `meta` and `info` may nest. Default 4, at most 8. */
  readonly dataDepth: number;
  /** Keys in `meta` and `info`, nested ones included. Default 32. */
  readonly dataKeys: number;
  /** `presenceUpdate`s per second and socket. More are merged and applied later. Default 10. */
  readonly updatesPerSecond: number;
  /** `joinCommunity`, `leaveCommunity`, `presenceSync` and `presenceWatch` per second and socket. More are refused. Default 10. */
  readonly requestsPerSecond: number;
  /** Users in one window, and named users, that a socket may watch with `presenceWatch`. Default 200. */
  readonly watchedUsers: number;
  /** Bytes of one message between nodes. Default 1 MiB; must be the same on every node. */
  readonly messageBytes: number;
  /** Bytes that may wait for one slow socket, beside a list of each of its communities, before it is set aside. Default 1 MiB. */
  readonly slowSocketBytes: number;
  /** Ms that `identify` and `authorize` may take to answer; later they count as a no. Default 10,000, at most an hour. */
  readonly decisionMs: number;
}

/** The limits where the option `limits` says nothing else. */
export const DEFAULT_LIMITS: PresenceLimits = {
  idBytes: 128,
  communitiesPerSocket: 50,
  metaBytes: 1024,
  infoBytes: 2048,
  dataDepth: 4,
  dataKeys: 32,
  updatesPerSecond: 10,
  requestsPerSecond: 10,
  watchedUsers: 200,
  messageBytes: 1024 * 1024,
  slowSocketBytes: 1024 * 1024,
  decisionMs: 10_000,
};

function invalid(message: string): PresenceError {
  return new PresenceError('INVALID_ARGUMENT', message);
}

function exceeded(message: string): PresenceError {
  return new PresenceError('LIMIT_EXCEEDED', message);
}

/** Checks an id. Control characters are refused: they could forge keys and log lines. */
export function checkId(value: unknown, what: string, limits: PresenceLimits): string {
  if (typeof value !== 'string') {
    throw invalid(`${what} must be a string, not ${nameType(value)}`);
  }
  if (value.length === 0) throw invalid(`${what} must not be empty`);
  if (value.length > limits.idBytes || Buffer.byteLength(value) > limits.idBytes) {
    throw exceeded(`${what} is longer than idBytes (${limits.idBytes} bytes)`);
  }
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 32 || (code >= 127 && code < 160)) {
      throw invalid(`${what} must not contain control characters`);
    }
  }
  if (/\p{Surrogate}/u.test(value)) throw invalid(`${what} must be well-formed Unicode`);
  return value;
}

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/** Checks and copies plain JSON data of a client or the application. */
export function checkData(value: unknown, what: 'meta' | 'info', limits: PresenceLimits): Data {
  if (!isPlainObject(value)) throw invalid(`${what} must be an object, not ${nameType(value)}`);
  const budget = { keys: limits.dataKeys };
  const copy = copyData(value, what, limits.dataDepth, budget, limits) as Data;
  const most = what === 'meta' ? limits.metaBytes : limits.infoBytes;
  const bytes = Buffer.byteLength(JSON.stringify(copy));
  if (bytes > most) {
    throw exceeded(`${what} has ${bytes} bytes as JSON, more than ${what}Bytes (${most})`);
  }
  return copy;
}

function copyData(
  value: unknown,
  what: string,
  depth: number,
  budget: { keys: number },
  limits: PresenceLimits,
): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw invalid(`${what} must not contain ${value}`);
      return value;
    case 'object': {
      if (value === null) return null;
      if (depth === 0) {
        throw exceeded(`${what} is nested deeper than dataDepth (${limits.dataDepth})`);
      }
      if (Array.isArray(value)) {
        budget.keys -= value.length;
        checkKeys(what, budget, limits);
        return value.map((item) => copyData(item, what, depth - 1, budget, limits));
      }
      if (!isPlainObject(value)) {
        throw invalid(`${what} must be plain JSON, but contains ${nameType(value)}`);
      }
      const keys = Object.keys(value);
      budget.keys -= keys.length;
      checkKeys(what, budget, limits);
      const copy: Record<string, unknown> = {};
      for (const key of keys) {
        if (FORBIDDEN_KEYS.has(key)) throw invalid(`${what} must not have a key "${key}"`);
        const item = value[key];
        if (item === undefined) continue;
        copy[key] = copyData(item, what, depth - 1, budget, limits);
      }
      return copy;
    }
    default:
      throw invalid(`${what} must be plain JSON, but contains ${nameType(value)}`);
  }
}

function checkKeys(what: string, budget: { keys: number }, limits: PresenceLimits): void {
  if (budget.keys < 0) throw exceeded(`${what} has more keys than dataKeys (${limits.dataKeys})`);
}

const STATUSES: ReadonlySet<unknown> = new Set(['active', 'idle', 'busy', 'invisible']);

export function checkStatus(value: unknown): SettableStatus {
  if (!STATUSES.has(value)) {
    throw invalid('status must be active, idle, busy or invisible, or null to clear it');
  }
  return value as SettableStatus;
}

/** Checks what a client says with `presenceUpdate`. */
export function checkPatch(value: unknown, limits: PresenceLimits): DevicePatch {
  if (!isPlainObject(value)) {
    throw invalid(`presenceUpdate takes an object, not ${nameType(value)}`);
  }
  const patch: { -readonly [K in keyof DevicePatch]: DevicePatch[K] } = {};
  for (const key of Object.keys(value)) {
    const field = value[key];
    if (field === undefined) continue;
    switch (key) {
      case 'status':
        patch.status = field === null ? null : checkStatus(field);
        break;
      case 'boardId':
        patch.boardId = field === null ? null : checkId(field, 'boardId', limits);
        break;
      case 'typing':
        if (field !== null && typeof field !== 'boolean') {
          throw invalid(`typing must be true, false or null, not ${nameType(field)}`);
        }
        patch.typing = field;
        break;
      case 'meta':
        patch.meta = field === null ? null : checkData(field, 'meta', limits);
        break;
      default: {
        const shown = JSON.stringify(key.slice(0, 40));
        throw invalid(
          `presenceUpdate does not know ${shown}; it takes status, boardId, typing and meta`,
        );
      }
    }
  }
  return patch;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function nameType(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') {
    return isPlainObject(value) ? 'an object' : `a ${value.constructor?.name ?? 'value'}`;
  }
  return `a ${typeof value}`;
}

/** A token bucket. Time comes in as a parameter, in ms. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #size: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, size: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#size = size;
    this.#tokens = size;
    this.#at = now;
  }

  /** Takes a token, or says in how many ms there will be one. */
  take(now: number): number {
    this.#tokens = Math.min(this.#size, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return 0;
    }
    return Math.ceil((1 - this.#tokens) / this.#perMs);
  }
}
