/**
 * Unmasked WebSocket text frames (RFC 6455, section 5.2) in one piece, for packets that go to many
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

/** The frame of a list, and where in it each part lies. */
export interface ListFrame {
  readonly frame: Buffer;
  readonly parts: readonly string[];
  readonly offsets: readonly number[];
  readonly sizes: readonly number[];
}

/** The frame of `head + parts.join(',') + tail`; parts that `known` has, too, are copied from there. */
export function listFrame(
  head: string,
  parts: readonly string[],
  tail: string,
  known: ListFrame | undefined,
): ListFrame {
  const start = MESSAGE + head;
  const sizes: number[] = [];
  let size = Buffer.byteLength(start) + Buffer.byteLength(tail) + Math.max(0, parts.length - 1);
  for (const [i, part] of parts.entries()) {
    const bytes = known?.parts[i] === part ? (known.sizes[i] as number) : Buffer.byteLength(part);
    sizes.push(bytes);
    size += bytes;
  }
  const frame = Buffer.allocUnsafe(headerSize(size) + size);
  let at = writeHeader(frame, size);
  at += frame.write(start, at);
  const offsets: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (i > 0) frame[at++] = COMMA;
    offsets.push(at);
    if (known?.parts[i] === part) {
      const from = known.offsets[i] as number;
      at += known.frame.copy(frame, at, from, from + (known.sizes[i] as number));
    } else {
      at += frame.write(part, at);
    }
  }
  frame.write(tail, at);
  return { frame, parts, offsets, sizes };
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
