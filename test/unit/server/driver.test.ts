import { describe, expect, it } from 'vitest';
import type { Instant } from '../../../src/core/index.js';
import { Driver } from '../../../src/server/driver.js';
import type { Engine } from '../../../src/strategy/index.js';
import { MemoryBus } from '../../../src/transport/index.js';

describe('the driver', () => {
  it('does not wake up before something is due', async () => {
    const TICKS = 60;
    let dueAt = Infinity;
    let onTime = 0;
    let early = 0;
    let done = (): void => {};
    const finished = new Promise<void>((resolve) => (done = resolve));
    const engine = {
      hasEffects: false,
      take: () => [],
      start: ({ now }: Instant) => void (dueAt = now + 3.3),
      nextTickAt: () => dueAt,
      tick: ({ now }: Instant) => {
        if (now < dueAt) {
          early++;
          return;
        }
        onTime++;
        // Odd fractions of the milliseconds that timers count in.
        dueAt = onTime < TICKS ? now + 2 + (onTime % 10) / 10 : Infinity;
        if (dueAt === Infinity) done();
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
    await finished;
    expect(onTime).toBe(TICKS);
    // A process that is held up between reading the clock and setting the timer may still be early.
    expect(early).toBeLessThan(TICKS / 6);
  });
});
