import { describe, expect, it } from 'vitest';
import { listFrame, packetFrame } from '../../../src/server/frames.js';

/** Reads a text frame as a WebSocket client does. */
function textOf(frame: Buffer): string {
  expect(frame[0]).toBe(0x81);
  const short = frame[1] as number;
  const [start, size] =
    short < 126
      ? [2, short]
      : short === 126
        ? [4, frame.readUInt16BE(2)]
        : [10, Number(frame.readBigUInt64BE(2))];
  expect(frame.length).toBe(start + size);
  return frame.toString('utf8', start);
}

const text = (length: number): string => 'aé漢😀'.repeat(Math.ceil(length / 5)).slice(0, length);

describe('a frame', () => {
  it.each([0, 1, 100, 124, 125, 126, 65_534, 65_535, 65_536, 200_000])(
    'of a packet of %i characters has its size',
    (length) => {
      expect(textOf(packetFrame('x'.repeat(length)))).toBe('4' + 'x'.repeat(length));
      expect(textOf(packetFrame(text(length - (length % 5))))).toBe(
        '4' + text(length - (length % 5)),
      );
    },
  );

  it('of a list says the same whatever is copied from the list before', () => {
    const lists = [
      [],
      ['{"a":1}'],
      ['{"a":1}', text(50)],
      ['{"b":2}', text(50), '{"c":3}'],
      [text(50), '{"c":3}'],
      [text(50), text(70_000), '{"c":3}'],
      [text(50), text(70_000), '{"d":4}'],
      [],
    ];
    let known;
    for (const parts of lists) {
      known = listFrame('2["x",[', parts, '],"é"]', known);
      expect(textOf(known.frame)).toBe(`42["x",[${parts.join(',')}],"é"]`);
    }
  });
});
