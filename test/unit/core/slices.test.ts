import { describe, expect, it } from 'vitest';
import { PresenceNode } from 'rollcall/core';
import { CoreCluster } from '../../support/core-cluster.js';

/** Work that is done in slices must look as if it were done at once. */
describe('a first snapshot', () => {
  /** Node `a` with users u0 to u9, and `b` that reveals them two in a slice. */
  const startLate = (): CoreCluster => {
    const cluster = new CoreCluster();
    cluster.start('a', { log: { deltas: 1, bytes: 1, ageMs: 1 } });
    cluster.run(2000);
    for (let i = 0; i < 10; i++) cluster.join('a', `u${i}`);
    cluster.run(2000);
    cluster.start('b', { replica: { sliceEntries: 2 } });
    cluster.join('b', 'watcher');
    return cluster;
  };
  const everybody = [...Array.from({ length: 10 }, (_, i) => `u${i}`), 'watcher'];

  /** Lets `b` go on until it has revealed some entries, but not all. */
  const runIntoReveal = (cluster: CoreCluster): void => {
    const node = cluster.node('b');
    const { view } = node.inspect();
    const counting = (): number => {
      const users = [...(view.get('c')?.users.values() ?? [])];
      return users.filter((user) =>
        user.held.some(({ owner }) => owner.nodeId === 'a' && !owner.hidden),
      ).length;
    };
    for (let i = 0; i < 2000 && counting() < 2; i++) cluster.run(5);
    expect(counting()).toBeGreaterThan(1);
    expect(counting()).toBeLessThan(10);
  };

  it('that is revealed in slices is told as one list', () => {
    const cluster = startLate();
    runIntoReveal(cluster);
    expect(cluster.online('b')).not.toContain('u0');
    cluster.run(3000);
    expect(cluster.online('b')).toEqual(everybody);
    const told = cluster.at('b').told;
    expect(told.filter((one) => one.type === 'userOnline')).toEqual([
      { type: 'userOnline', userId: 'watcher' },
    ]);
    for (const one of told) {
      if (one.type !== 'list') continue;
      expect(one.users).toHaveLength(one.info.complete ? 11 : 1);
    }
    expect(told.at(-1)).toMatchObject({ type: 'list', users: everybody });
  });

  it('of a node that was not heard before is told as one list, too', () => {
    const cluster = new CoreCluster();
    cluster.isLost = ({ from, to }) => from === 'a' || to === 'a';
    cluster.start('a', { log: { deltas: 1, bytes: 1, ageMs: 1 } });
    cluster.start('b', { replica: { sliceEntries: 2 }, stormChanges: 1 });
    cluster.join('b', 'watcher');
    for (let i = 0; i < 10; i++) cluster.join('a', `u${i}`);
    cluster.run(10_000);
    const before = cluster.at('b').told.length;
    cluster.isLost = () => false;
    runIntoReveal(cluster);
    cluster.run(3000);
    // The application hears of each, the socket gets one list.
    const lists = cluster
      .at('b')
      .told.slice(before)
      .filter(({ type }) => type === 'list');
    expect(lists).toMatchObject([{ users: everybody }]);
  });

  it('takes in afterwards what its owner said while it was revealed', () => {
    const cluster = startLate();
    runIntoReveal(cluster);
    cluster.join('a', 'late');
    const leaver = [...cluster.node('a').socketsOf('u3', 'c')][0] as string;
    cluster.drop(leaver, 'left');
    cluster.run(3000);
    expect(cluster.online('b')).toEqual(
      ['late', ...everybody].filter((userId) => userId !== 'u3').sort(),
    );
    expect(cluster.node('b').stats.divergences).toBe(0);
  });

  it('of an owner that leaves while it is revealed leaves nothing behind', () => {
    const cluster = startLate();
    runIntoReveal(cluster);
    cluster.node('a').close(cluster.t);
    cluster.run(20_000);
    expect(cluster.online('b')).toEqual(['watcher']);
    expect(cluster.node('b').gauges(cluster.now)).toMatchObject({
      entriesHeld: 1,
      replicas: 0,
      lagMs: 0,
    });
  });
});

describe.each([
  ['dies', 'node-down', (cluster: CoreCluster): void => cluster.kill('a')],
  ['leaves', 'disconnected', (cluster: CoreCluster): void => cluster.node('a').close(cluster.t)],
] as const)('a node that %s', (_how, reason, end) => {
  it('with more users than fit in a slice is told as one list', () => {
    const cluster = new CoreCluster();
    cluster.start('a');
    cluster.start('b', { replica: { sliceEntries: 2 }, stormChanges: 1 });
    cluster.join('b', 'watcher');
    for (let i = 0; i < 10; i++) cluster.join('a', `u${i}`);
    cluster.run(5000);
    const before = cluster.at('b').told.length;
    end(cluster);
    cluster.run(15_000);
    const told = cluster.at('b').told.slice(before);
    expect(told.filter(({ type }) => type === 'list')).toMatchObject([{ users: ['watcher'] }]);
    // The application hears of each.
    for (let i = 0; i < 10; i++) {
      expect(told).toContainEqual({ type: 'userOffline', userId: `u${i}`, reason });
    }
  });
});

describe('sockets that wait for a first list', () => {
  it('enter in slices, and those that go meanwhile do not', () => {
    const node = new PresenceNode({
      nodeId: 'n',
      random: () => 0,
      replica: { sliceEntries: 2 },
    });
    let now = 0;
    const t = (): { now: number; wall: number } => ({ now, wall: now });
    node.start(t());
    for (let i = 0; i < 7; i++) {
      node.connect(`s${i}`, { userId: `u${i}`, deviceId: 'd' }, t());
      node.join(`s${i}`, 'c', t());
    }
    // Asking twice is asking once.
    node.join('s1', 'c', t());
    const entered = (): number => node.gauges(now).entriesOwned;
    while (entered() === 0) {
      now = Math.max(now, node.nextTickAt());
      node.tick(t());
    }
    expect(entered()).toBe(2);
    node.disconnect('s3', 'left', t());
    node.leave('s4', 'c', t());
    const counts = [2];
    // Nothing else is waited for: as soon as I/O has been read the next slice follows.
    while (node.nextTickAt() <= now) {
      node.tick(t());
      if (entered() !== counts.at(-1)) counts.push(entered());
    }
    expect(counts).toEqual([2, 4, 5]);
    now += 100;
    node.tick(t());
    expect(node.onlineUsers('c').map(({ userId }) => userId)).toEqual([
      'u0',
      'u1',
      'u2',
      'u5',
      'u6',
    ]);
  });
});

describe('a flush', () => {
  it('serves every community, however much there is to tell in one of them', () => {
    const node = new PresenceNode({ nodeId: 'n', random: () => 0, solo: true, stormChanges: 1e6 });
    let now = 0;
    const t = (): { now: number; wall: number } => ({ now, wall: now });
    node.start(t());
    const join = (userId: string, communityId: string): void => {
      node.connect(userId, { userId, deviceId: 'd' }, t());
      node.join(userId, communityId, t());
    };
    for (let i = 0; i < 1000; i++) join(`busy-${i}`, 'busy');
    join('ada', 'quiet');
    const run = (ticks: number, change: (tick: number) => void): void => {
      for (let tick = 0; tick < ticks; tick++) {
        change(tick);
        now += 30;
        node.tick(t());
      }
    };
    run(2000, () => {});
    node.take();
    let toldAfter = -1;
    run(50, (tick) => {
      for (let i = 0; i < 1000; i++) {
        node.update(`busy-${i}`, { status: tick % 2 === 0 ? 'idle' : 'active' }, t());
      }
      if (tick === 10) node.update('ada', { status: 'busy' }, t());
      for (const effect of node.take()) {
        if (effect.kind === 'event' && effect.event.userId === 'ada') toldAfter = tick;
      }
    });
    expect(toldAfter).toBeGreaterThan(10);
    expect(toldAfter).toBeLessThan(14);
  });

  it('gives each long list a slice of its own, and does not put it off for others', () => {
    const node = new PresenceNode({ nodeId: 'n', random: () => 0, solo: true });
    let now = 0;
    const t = (): { now: number; wall: number } => ({ now, wall: now });
    node.start(t());
    const info = { about: 'x'.repeat(1000) };
    const join = (userId: string, communityId: string): void => {
      node.connect(userId, { userId, deviceId: 'd', info }, t());
      node.join(userId, communityId, t());
    };
    for (let i = 0; i < 1200; i++) join(`big-${i}`, 'big');
    for (let i = 0; i < 10; i++) join(`busy-${i}`, 'busy');
    const lists: string[][] = [];
    const run = (ticks: number): void => {
      for (let tick = 0; tick < ticks; tick++) {
        for (let i = 0; i < 10; i++) {
          node.update(`busy-${i}`, { status: tick % 2 === 0 ? 'idle' : 'active' }, t());
        }
        now += 30;
        node.tick(t());
        const told = node.take();
        lists.push(
          told.flatMap((one) => (one.kind === 'list' && one.communityId === 'big' ? one.to : [])),
        );
      }
    };
    run(3000);
    lists.length = 0;
    for (let i = 0; i < 3; i++) node.join(`big-${i}`, 'big', t());
    run(8);
    expect(lists.filter((to) => to.length > 0)).toEqual([['big-0'], ['big-1'], ['big-2']]);
  });
});
