import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { WatchConnection } from '../../../src/redis/channel-link.js';
import { DeathWatch } from '../../../src/redis/death-watch.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('a connection that comes when nobody waits for it any more is closed', async () => {
  const connections: { close: number; open: (connection: WatchConnection) => void }[] = [];
  const watch = new DeathWatch({
    open: () =>
      new Promise((resolve) => {
        connections.push({ close: 0, open: resolve });
      }),
    own: 'own',
    channelOf: (nodeId) => nodeId,
    onGone: () => {},
    onFault: () => {},
  });
  watch.watch('other', true);
  watch.start();
  const come = (index: number): void => {
    const each = connections[index];
    each?.open({
      isOpen: true,
      count: async (channels) => channels.map(() => 1),
      close: () => each.close++,
    });
  };
  // Redis hangs: each attempt is given up after two seconds, and another begins a second later.
  await vi.advanceTimersByTimeAsync(4000);
  expect(connections).toHaveLength(2);
  come(0);
  await vi.advanceTimersByTimeAsync(0);
  expect(connections[0]?.close).toBe(1);
  // One that is in time stays until the watch ends.
  come(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(connections).toHaveLength(2);
  expect(connections[1]?.close).toBe(0);
  watch.close();
  expect(connections[1]?.close).toBe(1);
});

it('a connection that comes after the watch has ended is closed', async () => {
  let close = 0;
  let open: (connection: WatchConnection) => void = () => {};
  const watch = new DeathWatch({
    open: () => new Promise((resolve) => (open = resolve)),
    own: 'own',
    channelOf: (nodeId) => nodeId,
    onGone: () => {},
    onFault: () => {},
  });
  watch.watch('other', true);
  watch.start();
  await vi.advanceTimersByTimeAsync(200);
  watch.close();
  open({ isOpen: true, count: async () => [], close: () => close++ });
  await vi.advanceTimersByTimeAsync(0);
  expect(close).toBeGreaterThan(0);
});
