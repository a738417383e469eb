import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

/**
 * What travels on the channels: one byte that says how, then the message as text or as a raw deflate
 * stream (RFC 1951) over a dictionary of what messages have in common.
 */

const TEXT = 0;
const DEFLATED = 1;
const ECHO = 2;

/** A shorter message costs more time than its bytes are worth. */
const DEFLATE_FROM_BYTES = 1024;

/**
 * The likeliest strings stand last. Every node must have the same: another dictionary needs another
 * first byte.
 */
const DICTIONARY = Buffer.from(
  '{"v":1,"c":"rollcall","f":"","l":,"k":"beat","n":"","e":,"s":[[,]],"u":1,"a":[["",]]}' +
    '"k":"snapshot","i":,"p":0,"z":1}"k":"pull","r":,"t":"","w":[[,]]}' +
    '"k":"delta","i":[[,]]}\n[[1,"","","",,{"s":1,"l":,"b":"","t":1,"m":{}},],' +
    '[2,"","","",0,17],[2,"","","",1,17],' +
    '[0,["","","",0,0,17,0,0,0,,1,1,{"name":"","avatar":"https://"}]],[0,["',
);

const DEFLATE = {
  level: constants.Z_BEST_SPEED,
  // Small tables are made faster than large ones, and a message is small.
  windowBits: 12,
  memLevel: 5,
  dictionary: DICTIONARY,
};

const TEXT_PREFIX = String.fromCharCode(TEXT);

/** Encodes a message. A short one stays a string, which clients write together with its command. */
export function encodeFrame(text: string): string | Buffer {
  if (text.length < DEFLATE_FROM_BYTES) return TEXT_PREFIX + text;
  return framed(DEFLATED, deflateRawSync(text, DEFLATE));
}

/** How the frame of a short message begins whose text begins so. */
export function startOfFrame(text: string): Buffer {
  return Buffer.from(TEXT_PREFIX + text);
}

/** A frame that only its sender knows what to do with: it shows that what is sent also comes in. */
export function encodeEcho(token: string): Buffer {
  return framed(ECHO, Buffer.from(token));
}

function framed(kind: number, body: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(1 + body.length);
  frame[0] = kind;
  body.copy(frame, 1);
  return frame;
}

export type Frame =
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'echo'; readonly token: string };

/** Reads a frame as untrusted input; undefined where it is none. Inflates to `maxBytes` at most. */
export function decodeFrame(frame: Buffer, maxBytes: number): Frame | undefined {
  const body = frame.subarray(1);
  switch (frame[0]) {
    case TEXT:
      return body.length > maxBytes ? undefined : { kind: 'message', text: body.toString() };
    case DEFLATED:
      try {
        const options = { dictionary: DICTIONARY, maxOutputLength: maxBytes };
        return { kind: 'message', text: inflateRawSync(body, options).toString() };
      } catch {
        return undefined;
      }
    case ECHO:
      return { kind: 'echo', token: body.toString('latin1', 0, 64) };
    default:
      return undefined;
  }
}
