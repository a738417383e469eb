import { describe, expect, it } from 'vitest';
import { FlushWindow } from '../../../src/core/flush-window.js';
import { CoreCluster } from '../../support/core-cluster.js';

describe('the window of a flush', () => {
  const after = (changes: number): FlushWindow => {
    const window = new FlushWindow(25);
    window.open(changes);
    window.done(false, 1000);
    return window;
  };

  it('grows with what the last flush told, to twice its length', () => {
    expect([0, 4, 8, 16, 1000].map((changes) => after(changes).dueAt())).toEqual([
      1025, 1031.25, 1037.5, 1050, 1050,
    ]);
  });

  it('does not grow for what is urgent', () => {
    expect(after(1000).dueAt(true)).toBe(1025);
  });

  it('is as long as ever after a flush that told little', () => {
    const window = after(1000);
    window.open(0);
    window.done(false, 2000);
    expect(window.dueAt()).toBe(2025);
  });
});

describe('a node where changes never stop', () => {
  const busy = () => {
    const cluster = CoreCluster.of('a', 'b');
    const sockets = Array.from({ length: 200 }, (_, i) => cluster.join('a', `u${i}`));
    cluster.join('b', 'watcher');
    cluster.run(5000);
    // Nobody reads what is told here: a flush is done in one step.
    for (const socket of sockets) cluster.node('a').suspend(socket);
    let next = 0;
    /** Three changes every 5 ms. */
    const run = (ms: number): void => {
      for (const end = cluster.now + ms; cluster.now < end; cluster.run(5)) {
        for (let k = 0; k < 3; k++) {
          const socket = sockets[next++ % 200] as string;
          cluster.node('a').update(socket, { boardId: `board-${next}` }, cluster.t);
        }
      }
    };
    return { cluster, run, flushes: () => cluster.node('a').stats.flushes };
  };

  it('sends one message in 50 ms, twice flushMs', () => {
    const { run, flushes } = busy();
    run(500);
    const before = flushes();
    run(1000);
    expect(flushes() - before).toBeGreaterThanOrEqual(18);
    expect(flushes() - before).toBeLessThanOrEqual(20);
  });

  it('hands newcomers their list within flushMs', () => {
    const { cluster, run } = busy();
    run(500);
    for (let i = 0; i < 20; i++) {
      const socket = cluster.join('a', `newcomer-${i}`);
      const hasList = (): boolean =>
        cluster.at('a').told.some((told) => told.type === 'list' && told.to === socket);
      const since = cluster.now;
      while (!hasList() && cluster.now < since + 1000) run(5);
      expect(cluster.now - since).toBeLessThanOrEqual(30);
      run(40 + 5 * i);
    }
  });

  it('is quick again once they have stopped', () => {
    const { cluster, run } = busy();
    run(500);
    cluster.run(1000);
    const socket = cluster.join('a', 'late');
    cluster.run(200);
    cluster.node('a').update(socket, { boardId: 'now' }, cluster.t);
    cluster.run(5);
    expect(cluster.node('b').user('late')[0]?.devices[0]?.boardId).toBe('now');
  });
});
