import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { WatchConnection } from '../../../src/redis/channel-link.js';
import { DeathWatch } from '../../../src/redis/death-watch.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A watch that has begun, whose connections open when they are told to. */
function start(): { watch: DeathWatch; opened: { closed: number; come: () => void }[] } {
  const opened: { closed: number; come: () => void }[] = [];
  const open = (): Promise<WatchConnection> =>
    new Promise((resolve) => {
      const each = { closed: 0, come: () => resolve(connection) };
      const connection: WatchConnection = {
        isOpen: true,
        count: async (channels) => channels.map(() => 1),
        close: () => each.closed++,
      };
      opened.push(each);
    });
  const watch = new DeathWatch({
    open,
    own: 'own',
    channelOf: (nodeId) => nodeId,
    onGone: () => {},
    onFault: () => {},
  });
  watch.watch('other', true);
  watch.start();
  return { watch, opened };
}

it('a connection that comes when nobody waits for it any more is closed', async () => {
  const { watch, opened } = start();
  // Redis hangs: each attempt is given up after two seconds, and another begins a second later.
  await vi.advanceTimersByTimeAsync(4000);
  expect(opened).toHaveLength(2);
  opened[0]?.come();
  await vi.advanceTimersByTimeAsync(0);
  expect(opened[0]?.closed).toBe(1);
  // One that is in time stays until the watch ends.
  opened[1]?.come();
  await vi.advanceTimersByTimeAsync(1000);
  expect(opened).toHaveLength(2);
  expect(opened[1]?.closed).toBe(0);
  watch.close();
  expect(opened[1]?.closed).toBe(1);
});

it('a connection that comes after the watch has ended is closed', async () => {
  const { watch, opened } = start();
  await vi.advanceTimersByTimeAsync(200);
  watch.close();
  opened[0]?.come();
  await vi.advanceTimersByTimeAsync(0);
  expect(opened[0]?.closed).toBeGreaterThan(0);
});
