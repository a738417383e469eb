import { fnv1a } from './digest.js';
import type { Data, Entry, RemoveReason, SettableStatus } from './types.js';

/**
 * Entries and their changes as they travel between nodes. A put carries a whole entry, a patch only
 * what a device can change on its own, a remove says why. Everything is read as untrusted input.
 */

/** Ids hold no control characters, so this separator cannot be forged. */
const SEPARATOR = '\u0000';

export function entryKey(communityId: string, userId: string, deviceId: string): string {
  return communityId + SEPARATOR + userId + SEPARATOR + deviceId;
}

export function hashKey(key: string): number {
  return fnv1a(key);
}

/** The fields that a patch may carry; all others change only by a put. */
export interface EntryPatch {
  status?: SettableStatus;
  veil?: number;
  connectedAt?: number;
  lastActiveAt?: number;
  since?: number;
  boardId?: string | undefined;
  typing?: boolean;
  meta?: Data | undefined;
}

export type Op =
  | { readonly op: 'put'; readonly entry: Entry }
  | {
      readonly op: 'patch';
      readonly communityId: string;
      readonly userId: string;
      readonly deviceId: string;
      readonly rev: number;
      /** The revision that it changes: a patch on anything else is a wrong merge. */
      readonly baseRev: number;
      readonly patch: EntryPatch;
    }
  | {
      readonly op: 'remove';
      readonly communityId: string;
      readonly userId: string;
      readonly deviceId: string;
      readonly reason: RemoveReason;
      /** Wall time at which the device was last seen, for display. */
      readonly at: number;
    };

const STATUSES: readonly SettableStatus[] = ['active', 'idle', 'busy', 'invisible'];
const REASONS: readonly RemoveReason[] = ['left', 'disconnected', 'timeout', 'node-down', 'moved'];

type WireEntry = (string | number | Data)[];
const ENTRY_FIELDS = 16;

/**
 * An entry as a JSON array; absent values are 0 and trailing zeros are cut. Times and stamps that are
 * mostly close to another are sent as the difference from it.
 */
export function encodeEntry(e: Entry): WireEntry {
  const wire: WireEntry = [
    e.communityId,
    e.userId,
    e.deviceId,
    STATUSES.indexOf(e.status),
    e.veil,
    e.connectedAt,
    e.lastActiveAt - e.connectedAt,
    e.since - e.connectedAt,
    e.session,
    e.rev,
    e.rev - e.born,
    e.infoRev === 0 ? 0 : 1 + e.rev - e.infoRev,
    e.info ?? 0,
    e.boardId ?? 0,
    e.typing ? 1 : 0,
    e.meta ?? 0,
  ];
  while (wire[wire.length - 1] === 0) wire.pop();
  return wire;
}

/** Of two equal ids only one is kept: thousands of entries in a row are of one community. */
function shared(id: unknown, like: string | undefined): unknown {
  return id === like ? like : id;
}

/** Reads an entry; ids that it has in common with the entry `like` are the same strings. */
export function decodeEntry(wire: unknown, like?: Entry): Entry | undefined {
  if (!Array.isArray(wire) || wire.length < 3 || wire.length > ENTRY_FIELDS) return undefined;
  // By index: an iterator would cost more than all the checks.
  const c = shared(wire[0], like?.communityId);
  const u: unknown = wire[1];
  const d = shared(wire[2], like?.deviceId);
  const s = fieldAt(wire, 3);
  const veil = fieldAt(wire, 4);
  const connectedAt = fieldAt(wire, 5);
  const activeAfter = fieldAt(wire, 6);
  const sinceAfter = fieldAt(wire, 7);
  const session = fieldAt(wire, 8);
  const rev = fieldAt(wire, 9);
  const bornBefore = fieldAt(wire, 10);
  const infoBefore = fieldAt(wire, 11);
  const info = fieldAt(wire, 12);
  const board = fieldAt(wire, 13);
  const typing = fieldAt(wire, 14);
  const meta = fieldAt(wire, 15);
  if (!isId(c) || !isId(u) || !isId(d)) return undefined;
  const status = isCount(s) ? STATUSES[s] : undefined;
  if (status === undefined) return undefined;
  if (!isCount(veil) || !isCount(session) || !isCount(rev) || !isTime(connectedAt))
    return undefined;
  if (typeof activeAfter !== 'number' || typeof sinceAfter !== 'number') return undefined;
  // A stamp of `info` may be another node's, whose clock this owner does not follow: beyond `rev`.
  if (!isCount(bornBefore) || !Number.isSafeInteger(infoBefore)) return undefined;
  const lastActiveAt = connectedAt + activeAfter;
  const since = connectedAt + sinceAfter;
  const born = rev - bornBefore;
  const infoRev = infoBefore === 0 ? 0 : 1 + rev - (infoBefore as number);
  if (!isTime(lastActiveAt) || !isTime(since) || !isCount(born) || !isCount(infoRev)) {
    return undefined;
  }
  if (info !== 0 && !isData(info)) return undefined;
  if (meta !== 0 && !isData(meta)) return undefined;
  if (board !== 0 && !isId(board)) return undefined;
  if (typing !== 0 && typing !== 1) return undefined;
  return {
    key: entryKey(c, u, d),
    communityId: c,
    userId: u,
    deviceId: d,
    status,
    veil,
    connectedAt,
    lastActiveAt,
    since,
    session,
    born,
    rev,
    info: info === 0 ? undefined : info,
    infoRev,
    boardId: board === 0 ? undefined : board,
    typing: typing === 1,
    meta: meta === 0 ? undefined : meta,
  };
}

function fieldAt(wire: readonly unknown[], index: number): unknown {
  return index < wire.length ? wire[index] : 0;
}

/** The patch that leads from one entry to the next, or undefined where only a put can. */
export function patchBetween(base: Entry, next: Entry): EntryPatch | undefined {
  if (
    base.info !== next.info ||
    base.infoRev !== next.infoRev ||
    base.session !== next.session ||
    base.born !== next.born
  ) {
    return undefined;
  }
  const patch: EntryPatch = {};
  if (base.status !== next.status) patch.status = next.status;
  if (base.veil !== next.veil) patch.veil = next.veil;
  if (base.connectedAt !== next.connectedAt) patch.connectedAt = next.connectedAt;
  if (base.lastActiveAt !== next.lastActiveAt) patch.lastActiveAt = next.lastActiveAt;
  if (base.since !== next.since) patch.since = next.since;
  if (base.boardId !== next.boardId) patch.boardId = next.boardId;
  if (base.typing !== next.typing) patch.typing = next.typing;
  if (base.meta !== next.meta) patch.meta = next.meta;
  return patch;
}

export function applyPatch(entry: Entry, rev: number, patch: EntryPatch): Entry {
  return { ...entry, ...patch, rev };
}

type WirePatch = Record<string, string | number | Data>;

function encodePatch(patch: EntryPatch): WirePatch {
  const wire: WirePatch = {};
  if (patch.status !== undefined) wire['s'] = STATUSES.indexOf(patch.status);
  if (patch.veil !== undefined) wire['v'] = patch.veil;
  if (patch.connectedAt !== undefined) wire['c'] = patch.connectedAt;
  if (patch.lastActiveAt !== undefined) wire['l'] = patch.lastActiveAt;
  if (patch.since !== undefined) wire['o'] = patch.since;
  if ('boardId' in patch) wire['b'] = patch.boardId ?? 0;
  if (patch.typing !== undefined) wire['t'] = patch.typing ? 1 : 0;
  if ('meta' in patch) wire['m'] = patch.meta ?? 0;
  return wire;
}

function decodePatch(wire: unknown): EntryPatch | undefined {
  if (!isObject(wire)) return undefined;
  const patch: EntryPatch = {};
  for (const key of Object.keys(wire)) {
    const value = wire[key];
    switch (key) {
      case 's': {
        const status = isCount(value) ? STATUSES[value] : undefined;
        if (status === undefined) return undefined;
        patch.status = status;
        break;
      }
      case 'v':
        if (!isCount(value)) return undefined;
        patch.veil = value;
        break;
      case 'c':
        if (!isTime(value)) return undefined;
        patch.connectedAt = value;
        break;
      case 'l':
        if (!isTime(value)) return undefined;
        patch.lastActiveAt = value;
        break;
      case 'o':
        if (!isTime(value)) return undefined;
        patch.since = value;
        break;
      case 'b':
        if (value !== 0 && !isId(value)) return undefined;
        patch.boardId = value === 0 ? undefined : value;
        break;
      case 't':
        if (value !== 0 && value !== 1) return undefined;
        patch.typing = value === 1;
        break;
      case 'm':
        if (value !== 0 && !isData(value)) return undefined;
        patch.meta = value === 0 ? undefined : value;
        break;
      default:
        return undefined;
    }
  }
  return patch;
}

export function encodeOp(op: Op): unknown[] {
  switch (op.op) {
    case 'put':
      return [0, encodeEntry(op.entry)];
    case 'patch':
      return [1, op.communityId, op.userId, op.deviceId, op.rev, encodePatch(op.patch), op.baseRev];
    case 'remove':
      return [2, op.communityId, op.userId, op.deviceId, REASONS.indexOf(op.reason), op.at];
  }
}

function decodeOp(wire: unknown, last: Op | undefined): Op | undefined {
  if (!Array.isArray(wire)) return undefined;
  const code: unknown = wire[0];
  if (code === 0) {
    const entry = decodeEntry(wire[1], last?.op === 'put' ? last.entry : undefined);
    return entry && { op: 'put', entry };
  }
  const c: unknown = wire[1];
  const u: unknown = wire[2];
  const d: unknown = wire[3];
  const x: unknown = wire[4];
  const y: unknown = wire[5];
  const z: unknown = wire[6];
  if (!isId(c) || !isId(u) || !isId(d)) return undefined;
  if (code === 1) {
    const patch = decodePatch(y);
    if (!isCount(x) || !isCount(z) || patch === undefined) return undefined;
    return { op: 'patch', communityId: c, userId: u, deviceId: d, rev: x, baseRev: z, patch };
  }
  if (code === 2) {
    const reason = isCount(x) ? REASONS[x] : undefined;
    if (reason === undefined || !isTime(y)) return undefined;
    return { op: 'remove', communityId: c, userId: u, deviceId: d, reason, at: y };
  }
  return undefined;
}

/** The operations of one delta, or undefined where any part of it is not what the protocol allows. */
export function decodeOps(body: string): Op[] | undefined {
  return decodeList(body, decodeOp);
}

export function decodeEntries(body: string): Entry[] | undefined {
  return decodeList(body, decodeEntry);
}

function decodeList<T>(
  body: string,
  decode: (wire: unknown, last: T | undefined) => T | undefined,
): T[] | undefined {
  let wire: unknown;
  try {
    wire = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!Array.isArray(wire)) return undefined;
  const result: T[] = [];
  let last: T | undefined;
  for (const item of wire) {
    last = decode(item, last);
    if (last === undefined) return undefined;
    result.push(last);
  }
  return result;
}

const MAX_DATA_DEPTH = 8;

/** True for ids as the cluster may send them: 1 to 128 characters, none of them a control character. */
export function isId(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 128) return false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 32 || (code >= 127 && code < 160)) return false;
  }
  return true;
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** True for an object that is not an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isData(value: unknown): value is Data {
  return isObject(value) && isShallow(value, MAX_DATA_DEPTH);
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  for (const item of Object.values(value)) {
    if (typeof item === 'object' && item !== null && !isShallow(item, depth - 1)) return false;
  }
  return true;
}
