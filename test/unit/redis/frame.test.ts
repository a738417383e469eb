import { deflateRawSync } from 'node:zlib';
import { assert, integer, property, string, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PresenceNode, type Effect } from 'rollcall/core';
import { decodeFrame, encodeEcho, encodeFrame } from '../../../src/redis/frame.js';

const MAX = 4 * 1024 * 1024;

/** As it comes in again: clients may send a string, and hear bytes. */
const heard = (text: string): Buffer => Buffer.from(encodeFrame(text) as string);

describe('a frame', () => {
  it('gives back what was put in, whatever the text', () => {
    assert(
      property(string({ unit: 'grapheme', maxLength: 2000 }), (text) => {
        expect(decodeFrame(heard(text), MAX)).toEqual({ kind: 'message', text });
      }),
    );
    expect(decodeFrame(encodeEcho('token'), MAX)).toEqual({ kind: 'echo', token: 'token' });
  });

  it('is read without fear, whatever the bytes', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), integer({ min: 0, max: 4 }), (bytes, kind) => {
        const frame = decodeFrame(Buffer.from([kind, ...bytes]), MAX);
        if (kind > 2) expect(frame).toBeUndefined();
      }),
      { numRuns: 5000 },
    );
    expect(decodeFrame(Buffer.alloc(0), MAX)).toBeUndefined();
    const whole = heard('x'.repeat(2000));
    for (let end = 1; end < whole.length; end++) {
      expect(decodeFrame(whole.subarray(0, end), MAX)).toBeUndefined();
    }
  });

  it('inflates no further than a message may be long', () => {
    const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 });
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) {
      expect(decodeFrame(Buffer.concat([Buffer.of(1), bomb]), 1024 * 1024)).toBeUndefined();
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    expect(decodeFrame(heard('x'.repeat(1100)), 1050)).toBeUndefined();
    expect(decodeFrame(heard('x'.repeat(120)), 100)).toBeUndefined();
  });

  it('holds a batch of joins and leaves in at most 45 bytes for each', () => {
    const node = new PresenceNode({ nodeId: 'a', random: () => 0.5, isRouted: true });
    const wall = 1_700_000_000_000;
    node.start({ now: 0, wall });
    const readyAt = 6000;
    for (let now = 0; now < readyAt; now += 100) node.tick({ now, wall: wall + now });
    node.take();
    let bytes = 0;
    const socketOf = (i: number): string => `socket-${i}`;
    for (let now = readyAt, i = 0; i < 4000; now += 25) {
      const t = { now, wall: wall + now };
      for (let n = 0; n < 200; n++, i++) {
        const k = (i * 7919) % 1_000_003;
        const userId = `user-${k}`;
        const info = { name: `User Number ${k}`, avatar: `https://cdn.example.com/a/${k}.png` };
        node.connect(socketOf(i), { userId, deviceId: `${k.toString(36)}-tab`, info }, t);
        node.join(socketOf(i), 'team-1', t);
        if (i >= 1000) node.disconnect(socketOf(i - 1000), 'left', t);
      }
      while (node.nextTickAt() <= now) node.tick(t);
      for (const effect of node.take()) {
        if (!isDelta(effect)) continue;
        bytes += heard(effect.data).length;
      }
    }
    const changes = node.stats.opsSent;
    expect(changes).toBeGreaterThan(6000);
    expect(bytes / changes).toBeLessThan(45);
  });
});

function isDelta(effect: Effect): effect is Extract<Effect, { kind: 'send' }> {
  return effect.kind === 'send' && effect.data.includes('"k":"delta"');
}
