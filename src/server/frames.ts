/**
 * Unmasked WebSocket text frames (RFC 6455, section 5.2) for packets that go to many
 * connections: the adapter's own way encodes them once, and so do these.
 */

/** The text that an Engine.IO message begins with on a WebSocket. */
const MESSAGE = '4';

/** The frame of one packet. */
export function packetFrame(packet: string): Buffer {
  const text = MESSAGE + packet;
  const size = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(headerSize(size) + size);
  frame.write(text, writeHeader(frame, size));
  return frame;
}

/** A list as a packet and its frame, in one piece or two. */
export interface ListFrame {
  readonly packet: string;
  readonly frame: readonly Buffer[];
  readonly parts: readonly string[];
  /** Each part in UTF-8, within the pieces of the frame. */
  readonly bytes: readonly Buffer[];
  readonly base: Base | null;
}

/**
 * The end of the frame of a long list: the parts that have not changed for a while, and the tail. Lists
 * that follow share it, so that a newcomer to ten thousand users costs no copy of them all.
 */
interface Base {
  readonly bytes: Buffer;
  readonly text: string;
  readonly tail: string;
  /** Indexes of its parts. */
  readonly members: ReadonlySet<number>;
}

/** A shorter list is put together anew each time. */
const BASE_FROM_BYTES = 192 * 1024;
/** A base with less of the list than this is made anew. */
const BASE_SHARE = 0.75;

/**
 * The packet and the frame of `head`, `parts` with commas between them, and `tail`. Parts that have not
 * changed since `known` are not encoded again; those that change often come first.
 */
export function listFrame(
  head: string,
  parts: readonly string[],
  tail: string,
  known: ListFrame | undefined,
): ListFrame {
  const start = MESSAGE + head;
  const bytes: (Buffer | undefined)[] = [];
  let size = Buffer.byteLength(start) + Buffer.byteLength(tail) + Math.max(0, parts.length - 1);
  // It runs once for each who comes, and so hardly ever compiled: plain loops are what is quick then.
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    const kept = known?.parts[i] === part ? known.bytes[i] : undefined;
    bytes.push(kept);
    size += kept?.length ?? Buffer.byteLength(part);
  }
  const base = size < BASE_FROM_BYTES ? null : baseOf(parts, bytes, tail, size, known);
  const frontSize = headerSize(size) + size - (base?.bytes.length ?? 0);
  const front = Buffer.allocUnsafe(frontSize);
  let at = writeHeader(front, size);
  at += front.write(start, at);
  let packet = head;
  let isFirst = true;
  for (let i = 0; i < parts.length; i++) {
    if (base?.members.has(i) === true) continue;
    if (!isFirst) {
      front[at++] = COMMA;
      packet += ',';
    }
    isFirst = false;
    const part = parts[i] as string;
    packet += part;
    const from = at;
    at += bytes[i]?.copy(front, at) ?? front.write(part, at);
    bytes[i] = front.subarray(from, at);
  }
  if (base === null) {
    front.write(tail, at);
    packet += tail;
  } else {
    if (!isFirst) {
      front[at] = COMMA;
      packet += ',';
    }
    packet += base.text;
  }
  const frame = base === null ? [front] : [front, base.bytes];
  return { packet, frame, parts, bytes: bytes as Buffer[], base };
}

/** The base of a long list: that of the list before, as long as nothing in it has changed. */
function baseOf(
  parts: readonly string[],
  bytes: (Buffer | undefined)[],
  tail: string,
  size: number,
  known: ListFrame | undefined,
): Base | null {
  const last = known?.base ?? null;
  const isLarge = last !== null && last.bytes.length >= BASE_SHARE * size;
  if (isLarge && last.tail === tail && isUnchanged(last, bytes)) return last;
  // What has changed since the base was made is likely to change again.
  const members = new Set<number>();
  let total = Buffer.byteLength(tail);
  for (const [i, kept] of bytes.entries()) {
    if (kept === undefined || (isLarge && !last.members.has(i))) continue;
    total += kept.length + (members.size > 0 ? 1 : 0);
    members.add(i);
  }
  if (members.size === 0) return null;
  const all = Buffer.allocUnsafe(total);
  let at = 0;
  let text = '';
  for (const i of members) {
    if (at > 0) {
      all[at++] = COMMA;
      text += ',';
    }
    const from = at;
    at += (bytes[i] as Buffer).copy(all, at);
    bytes[i] = all.subarray(from, at);
    text += parts[i] as string;
  }
  all.write(tail, at);
  return { bytes: all, text: text + tail, tail, members };
}

function isUnchanged({ members }: Base, bytes: readonly (Buffer | undefined)[]): boolean {
  for (const i of members) if (bytes[i] === undefined) return false;
  return true;
}

const COMMA = 0x2c;

function headerSize(size: number): number {
  return size < 126 ? 2 : size < 65_536 ? 4 : 10;
}

/** Gives the offset of the payload. */
function writeHeader(frame: Buffer, size: number): number {
  frame[0] = 0x81;
  if (size < 126) {
    frame[1] = size;
    return 2;
  }
  if (size < 65_536) {
    frame[1] = 126;
    return frame.writeUInt16BE(size, 2);
  }
  frame[1] = 127;
  return frame.writeBigUInt64BE(BigInt(size), 2);
}
