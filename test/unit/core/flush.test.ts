import { describe, expect, it } from 'vitest';
import { CoreCluster } from '../../support/core-cluster.js';

describe('a flush that takes several turns', () => {
  it('ends with what was there when it began, and what comes meanwhile goes out together', () => {
    const cluster = new CoreCluster();
    cluster.start('a', { log: { opsPerDelta: 10 }, stormChanges: 1000 });
    cluster.start('b');
    cluster.run(3000);
    const sockets = Array.from({ length: 200 }, (_, i) => cluster.join('a', `u${i}`));
    cluster.join('b', 'watcher');
    cluster.run(3000);
    const node = cluster.node('a');
    const board = (i: number): string | undefined =>
      cluster.node('b').user(`u${i}`)[0]?.devices[0]?.boardId;

    const ops: number[] = [];
    const start = cluster.now;
    let next = 0;
    const change = (count: number): void => {
      for (let i = 0; i < count; i++) {
        node.update(sockets[next++ % 200] as string, { boardId: `board-${next}` }, cluster.t);
      }
    };
    // Thirty changes, and five more with each turn of the event loop, a millisecond each.
    change(30);
    for (; cluster.now < start + 20; cluster.now++) {
      node.tick(cluster.t);
      for (const effect of node.take()) {
        if (effect.kind !== 'send') continue;
        cluster.deliver({ from: 'a', to: 'b', data: effect.data });
        ops.push(JSON.parse(effect.data.split('\n')[1] ?? '[]').length as number);
      }
      change(5);
    }
    expect(ops).toEqual([10, 10, 10]);

    cluster.run(100);
    for (let i = 0; i < next; i++) expect(board(i)).toBe(`board-${i + 1}`);
  });
});
