import { describe, expect, it } from 'vitest';
import { decodeMessage } from '../../../src/core/wire.js';
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

describe('what is changed and changed back within a flush', () => {
  it('shows everywhere that somebody was active', () => {
    const cluster = CoreCluster.of('a', 'b');
    const ada = cluster.join('a', 'ada');
    cluster.join('b', 'watcher');
    cluster.run(60_000);
    const at = cluster.t.wall;
    for (const typing of [true, false]) cluster.node('a').update(ada, { typing }, cluster.t);
    cluster.run(1000);
    for (const id of ['a', 'b']) {
      expect(cluster.node(id).user('ada')[0]).toMatchObject({ lastActiveAt: at });
      expect(cluster.count(id, 'userUpdated', 'ada')).toBe(1);
    }
  });
});

describe('a newcomer', () => {
  /** What a tick does, in order: lists of this community, and messages of one kind for the others. */
  const tick = (cluster: CoreCluster, kind = 'delta'): string[] => {
    const node = cluster.node('a');
    node.tick(cluster.t);
    const done: string[] = [];
    for (const effect of node.take()) {
      if (effect.kind === 'list') done.push('list');
      if (effect.kind !== 'send') continue;
      const envelope = decodeMessage(effect.data, 'rollcall', Infinity);
      if (typeof envelope !== 'string' && envelope.message.kind === kind) done.push(kind);
    }
    return done;
  };
  const connect = (cluster: CoreCluster, userId: string): void => {
    const node = cluster.node('a');
    node.connect(userId, { userId, deviceId: 'd' }, cluster.t);
    node.join(userId, 'c', cluster.t);
  };

  /** Node `a` with users who have read their list, and users who are not there to read one. */
  const populated = (readers: number, users: number): CoreCluster => {
    const cluster = CoreCluster.of('a', 'b');
    for (let i = 0; i < readers; i++) cluster.join('a', `reader-${i}`);
    cluster.run(5000);
    for (let i = 0; i < users; i++) cluster.node('a').suspend(cluster.join('a', `u${i}`));
    cluster.run(3000);
    return cluster;
  };

  it.each([
    ['a short list', 1, 3],
    ['a long list, which has a slice of its own', 1, 10_000],
    ['a list after an event to many sockets, which takes a slice', 1400, 3],
  ])('is handed %s in a turn before that of the message to the others', (_what, readers, users) => {
    const cluster = populated(readers, users);
    connect(cluster, 'newcomer');
    const turns: string[][] = [];
    for (let i = 0; i < 20 && turns.at(-1)?.includes('delta') !== true; i++) {
      turns.push(tick(cluster));
    }
    expect(turns.filter((turn) => turn.length > 0)).toEqual([['list'], ['delta']]);
  });

  it('does not let that message wait for one long list after the other', () => {
    const cluster = populated(1, 10_000);
    for (let i = 0; i < 20; i++) connect(cluster, `newcomer-${i}`);
    const turns: string[] = [];
    for (let i = 0; i < 20; i++) turns.push(...tick(cluster));
    expect(turns.filter((one) => one === 'list').length).toBeGreaterThan(6);
    expect(turns.indexOf('delta')).toBeGreaterThan(0);
    expect(turns.indexOf('delta')).toBeLessThan(4);
  });

  it('is handed a list before a heartbeat that is due, which does not wait for one after the other either', () => {
    const cluster = populated(1, 10_000);
    cluster.now += 1500;
    for (let i = 0; i < 20; i++) connect(cluster, `newcomer-${i}`);
    const turns = Array.from({ length: 20 }, () => tick(cluster, 'beat'));
    expect(turns[0]).toEqual(['list']);
    expect(turns.flat().filter((one) => one === 'list').length).toBeGreaterThan(6);
    expect(turns.flat().indexOf('beat')).toBeGreaterThan(0);
    expect(turns.flat().indexOf('beat')).toBeLessThan(4);
  });

  it('gets a list while changes never stop, though those who have one are given another all the time', () => {
    const cluster = CoreCluster.of('a', 'b');
    const sockets = Array.from({ length: 200 }, (_, i) => cluster.join('a', `u${i}`));
    cluster.run(5000);
    let next = 0;
    /** Ten changes every 5 ms, each time more than are told one by one. */
    const run = (ms: number): void => {
      for (const end = cluster.now + ms; cluster.now < end; cluster.run(5)) {
        for (let k = 0; k < 10; k++) {
          const socket = sockets[next++ % 200] as string;
          cluster.node('a').update(socket, { boardId: `board-${next}` }, cluster.t);
        }
      }
    };
    run(500);
    for (let i = 0; i < 10; i++) {
      const newcomer = cluster.join('a', `newcomer-${i}`);
      const lists = (): number =>
        cluster.at('a').told.filter((told) => told.type === 'list' && told.to === newcomer).length;
      const since = cluster.now;
      while (lists() === 0 && cluster.now < since + 5000) run(5);
      expect(cluster.now - since).toBeLessThan(300);
      run(40 + 5 * i);
    }
  });
});
