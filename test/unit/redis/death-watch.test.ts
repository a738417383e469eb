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
    silences: () => [],
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

it('asks only about nodes that are silent, once it has seen them', async () => {
  const asked: (readonly string[])[] = [];
  const gone: [string, number][] = [];
  const counts: Record<string, number> = { own: 1, talks: 1, falls: 1 };
  const heardAt: Record<string, number> = { talks: 0, falls: 0 };
  const connection: WatchConnection = {
    isOpen: true,
    count: async (channels) => {
      asked.push(channels);
      return channels.map((channel) => counts[channel] as number);
    },
    close: () => {},
  };
  const watch = new DeathWatch({
    open: async () => connection,
    own: 'own',
    channelOf: (nodeId) => nodeId,
    silences: () =>
      Object.entries(heardAt).map(([nodeId, at]) => ({
        nodeId,
        lastHeardMs: performance.now() - at,
      })),
    onGone: (nodeId, forMs) => gone.push([nodeId, forMs]),
    onFault: () => {},
  });
  const talking = setInterval(() => {
    heardAt['talks'] = performance.now();
    if (counts['falls'] === 1) heardAt['falls'] = performance.now();
  }, 25);
  watch.watch('talks', true);
  watch.watch('falls', true);
  watch.start();
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toEqual([['own', 'talks', 'falls']]);
  counts['falls'] = 0;
  await vi.advanceTimersByTimeAsync(800);
  expect(new Set(asked.slice(1).flat())).toEqual(new Set(['own', 'falls']));
  expect(gone[0]).toEqual(['falls', expect.closeTo(450, -2)]);
  // It is heard after all: what was seen before counts no more.
  counts['falls'] = 1;
  await vi.advanceTimersByTimeAsync(1000);
  const { length } = gone;
  counts['falls'] = 0;
  await vi.advanceTimersByTimeAsync(500);
  expect(gone).toHaveLength(length);
  await vi.advanceTimersByTimeAsync(300);
  expect(gone.length).toBeGreaterThan(length);
  clearInterval(talking);
  watch.close();
});

it('sees that its connection asks the wrong server, though nobody is silent', async () => {
  const asked: string[][] = [];
  let opened = 0;
  let owned = 1;
  const watch = new DeathWatch({
    open: async () => {
      const turn = opened++;
      return {
        isOpen: true,
        count: async (channels) => {
          (asked[turn] ??= []).push(...channels);
          return channels.map((channel) => (channel === 'own' ? owned : 1));
        },
        close: () => {},
      };
    },
    own: 'own',
    channelOf: (nodeId) => nodeId,
    silences: () => [{ nodeId: 'talks', lastHeardMs: 10 }],
    onGone: () => {},
    onFault: () => {},
  });
  watch.watch('talks', true);
  watch.start();
  await vi.advanceTimersByTimeAsync(1000);
  // The channel of this node is another master's now.
  owned = 0;
  await vi.advanceTimersByTimeAsync(2500);
  owned = 1;
  await vi.advanceTimersByTimeAsync(500);
  expect(opened).toBeGreaterThan(1);
  expect(asked.at(-1)).toContain('talks');
  watch.close();
});
