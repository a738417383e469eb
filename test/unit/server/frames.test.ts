import { describe, expect, it } from 'vitest';
import { listFrame, packetFrame, type ListFrame } from '../../../src/server/frames.js';

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
      expect(known.packet).toBe(`2["x",[${parts.join(',')}],"é"]`);
      expect(textOf(Buffer.concat(known.frame))).toBe('4' + known.packet);
    }
  });

  it('of a long list shares what has not changed with the list before', () => {
    let changes = 0;
    const page = (): string => JSON.stringify({ n: ++changes, text: text(20_000) });
    const parts = Array.from({ length: 40 }, page);
    let known: ListFrame | undefined;
    const shared: boolean[] = [];
    const list = (tail = '],1]'): void => {
      const before = known?.frame[1];
      known = listFrame('2["x",[', [...parts], tail, known);
      shared.push(before !== undefined && known.frame[1] === before);
      expect(textOf(Buffer.concat(known.frame))).toBe('4' + known.packet);
      const [, said, last] = JSON.parse(known.packet.slice(1)) as [string, object[], number];
      const byText = (a: string, b: string): number => (a < b ? -1 : 1);
      expect(said.map((one) => JSON.stringify(one)).toSorted(byText)).toEqual(
        parts.toSorted(byText),
      );
      expect(last).toBe(tail === '],1]' ? 1 : 2);
    };
    list();
    list();
    for (let i = 0; i < 3; i++) {
      parts[39] = page();
      list();
    }
    expect(shared).toEqual([false, false, false, true, true]);
    // Another page changes, comes after those, goes; then another tail, then everything.
    parts[7] = page();
    list();
    parts[7] = page();
    parts[39] = page();
    list();
    parts.push(page());
    list();
    parts.splice(3, 1);
    list();
    list('],2]');
    list('],2]');
    for (let i = 0; i < 40; i++) parts[i] = page();
    list();
    parts.splice(1);
    list();
    expect(shared.slice(5)).toEqual([false, true, true, false, false, true, false, false]);
  });
});
