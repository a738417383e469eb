import { describe, expect, it } from 'vitest';
import type { Instant } from '../../../src/core/index.js';
import { Driver } from '../../../src/server/driver.js';
import type { Engine } from '../../../src/strategy/index.js';
import { MemoryBus } from '../../../src/transport/index.js';

/** A driver of an engine that has something to do when the test says so, and how often it was ticked. */
function drive(
  start: number,
  onDue: (t: Instant) => number,
): { driver: Driver; early: () => number; due: (at: number) => void } {
  let dueAt = Infinity;
  let early = 0;
  const engine = {
    hasEffects: false,
    take: () => [],
    start: ({ now }: Instant) => void (dueAt = now + start),
    nextTickAt: () => dueAt,
    tick: (t: Instant) => {
      if (t.now < dueAt) early++;
      else dueAt = onDue(t);
    },
  };
  const driver = new Driver(engine as unknown as Engine, new MemoryBus().transport(), {
    perform: () => {},
    onError: (error) => {
      throw error;
    },
    onTick: () => {},
    onUnsent: () => {},
  });
  driver.start();
  return { driver, early: () => early, due: (at) => driver.input(() => (dueAt = at)) };
}

describe('the driver', () => {
  it('does not wake up before something is due', async () => {
    const TICKS = 60;
    let onTime = 0;
    const early = await new Promise<number>((resolve) => {
      const driven = drive(3.3, ({ now }) => {
        // Odd fractions of the milliseconds that timers count in.
        if (++onTime < TICKS) return now + 2 + (onTime % 10) / 10;
        resolve(driven.early());
        return Infinity;
      });
    });
    expect(onTime).toBe(TICKS);
    // A process that is held up between reading the clock and setting the timer may still be early.
    expect(early).toBeLessThan(TICKS / 6);
  });

  it('does not wake up for what has been done in the meantime', async () => {
    const ROUNDS = 12;
    let done = 0;
    const early = await new Promise<number>((resolve) => {
      const driven = drive(5, ({ now }) => {
        if (++done === 2 * ROUNDS) {
          resolve(driven.early());
          return Infinity;
        }
        if (done % 2 === 0) return now + 15;
        // It is due in a while, and then at once.
        setImmediate(() => driven.due(-Infinity));
        return now + 5;
      });
    });
    expect(done).toBe(2 * ROUNDS);
    expect(early).toBeLessThan(ROUNDS / 3);
  });
});
