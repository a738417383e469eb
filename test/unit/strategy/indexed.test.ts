import { describe, expect, it } from 'vitest';
import { IndexedNode, type Strategy } from '../../../src/strategy/index.js';
import { CommunityIndex } from '../../../src/strategy/indexed/community-index.js';
import { Engines, LINGER_MS, type SimNode } from './engines.js';
import { demandTruth, forSeeds, play } from './random-play.js';
import { SimIndex } from './sim-index.js';

const indexed: Strategy = {
  name: 'dual-write',
  readsLocally: true,
  createEngine: (options) => new IndexedNode(options, true),
};

describe('an index under faults', () => {
  it('ends with the truth on every node', () => {
    forSeeds((seed) => {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      index.lateness = 0.01;
      const trouble = {
        now: ({ random, nodes }: Engines) => {
          const roll = random();
          if (roll < 0.02) index.isAway = true;
          else if (roll < 0.06) index.isAway = false;
          if (index.isAway && random() < 0.1) index.empty();
          if (roll > 0.97) index.cut(nodes[Math.floor(random() * nodes.length)] as SimNode);
        },
        end: () => {
          index.isAway = false;
          index.lateness = 0;
        },
      };
      demandTruth(play(seed, [indexed], trouble, engines));
    });
  });

  it('ends with the truth on every node, though an older copy takes its place now and then', () => {
    forSeeds((seed) => {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      let copy = index.copy();
      const trouble = {
        now: ({ random }: Engines) => {
          if (random() < 0.1) copy = index.copy();
          if (random() < 0.03) index.fallBack(copy);
        },
        end: () => index.fallBack(copy),
      };
      demandTruth(play(seed, [indexed], trouble, engines));
    });
  });

  it('ends with the truth on every node, with all of these faults together', () => {
    forSeeds((seed) => {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      index.lateness = 0.01;
      index.renewalMs = seed % 3 === 0 ? 300 : 0;
      let copy = index.copy();
      const trouble = {
        now: ({ random, nodes }: Engines) => {
          if (random() < 0.1) copy = index.copy();
          if (random() < 0.02) index.fallBack(copy);
          const roll = random();
          if (roll < 0.02) index.isAway = true;
          else if (roll < 0.06) index.isAway = false;
          else if (roll < 0.08) index.cut(nodes[Math.floor(random() * nodes.length)] as SimNode);
        },
        end: () => {
          index.lateness = 0;
          index.isAway = false;
          if (seed % 2 === 0) index.fallBack(copy);
        },
      };
      demandTruth(play(seed, [indexed], trouble, engines));
    });
  });

  it('writes anew what an older copy has of this node, where nothing else shows that it is older', () => {
    const engines = new Engines(1);
    const index = new SimIndex(engines);
    const [a, b] = [engines.start(indexed), engines.start(indexed)];
    engines.run(2000);
    const ann = engines.join(a, 'ann', 'd', 'c');
    engines.run(500);
    const copy = index.copy();
    engines.input(a, (t) => a.engine.update(ann.socketId, { status: 'busy' }, t));
    engines.run(200);
    index.fallBack(copy);
    // A gap has the node read, before it could say which version it had.
    const { epoch, version } = copy.get('c')!;
    const later = { epoch, version: version + 9, author: '', previous: '', mark: '', changes: [] };
    engines.input(a, (t) => (a.engine as IndexedNode).published('c', later, t));
    engines.run(5000);
    const watcher = engines.join(b, 'w', 'd', 'c');
    engines.run(2000);
    expect(watcher.model.user('c', 'ann')?.status).toBe('busy');
  });

  it('ends who had left when an older copy takes its place, in which no lease counts any more', () => {
    const engines = new Engines(1);
    const index = new SimIndex(engines);
    const [a, b] = [engines.start(indexed), engines.start(indexed)];
    engines.run(2000);
    const ann = engines.join(a, 'ann', 'd', 'c');
    engines.join(a, 'bob', 'd', 'c');
    const watcher = engines.join(b, 'w', 'd', 'c');
    engines.run(500);
    const copy = index.copy();
    engines.gone(ann, 'left');
    engines.run(60_000);
    index.fallBack(copy);
    // By this write the index is found out, and all read at once.
    engines.join(b, 'carl', 'd', 'c');
    engines.run(20_000);
    expect(watcher.model.present('c')).toEqual(['bob', 'carl', 'w']);
    const later = engines.join(engines.start(indexed), 'later', 'd', 'c');
    engines.run(5000);
    expect(later.model.present('c')).toEqual(['bob', 'carl', 'later', 'w']);
  });

  it('queues nothing while it is away, however many come and go', () => {
    const index = new CommunityIndex({ id: 'c' } as never, { nodeId: 'n' } as never);
    const entryOf = (userId: string) => ({ key: userId, communityId: 'c', userId }) as never;
    index.put(entryOf('before'));
    index.lose();
    index.remove(entryOf('before'), 'left', 1);
    for (const userId of ['u1', 'u2']) index.put(entryOf(userId));
    index.remove(entryOf('u1'), 'left', 1);
    expect(index.hasPending).toBe(false);
    // Who is there is written when it is back; who went is found by reading.
    index.startOver();
    expect(index.takePending(10).map(({ userId }) => userId)).toEqual(['u2']);
  });

  it('ends who leaves while it is written anew, whenever that is', () => {
    for (let afterMs = 0; afterMs < 1500; afterMs += 25) {
      const engines = new Engines(1);
      const index = new SimIndex(engines);
      const [a, b] = [engines.start(indexed), engines.start(indexed)];
      engines.run(2000);
      engines.join(a, 'bob', 'd', 'c');
      const watcher = engines.join(b, 'w', 'd', 'c');
      engines.run(1000);
      const copy = index.copy();
      const ann = engines.join(a, 'ann', 'd', 'c');
      engines.run(1000);
      // What is read is old by the time that it comes, and writes are under way for long.
      index.latencyMs = 300;
      index.fallBack(copy);
      engines.run(afterMs);
      engines.gone(ann, 'left');
      engines.run(20_000);
      expect(watcher.model.present('c')).toEqual(['bob', 'w']);
    }
  });

  it('makes nobody leave who is connected, when an older copy takes its place', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      const nodes = [1, 2, 3].map(() => engines.start(indexed));
      engines.run(2000);
      const join = (n: number, userId: string) =>
        engines.join(nodes[n] as SimNode, userId, 'd', 'c');
      const clients = [0, 1, 2].map((n) => join(n, `first${n}`));
      engines.run(engines.random() * 2000);
      const copy = index.copy();
      for (let i = 0; i < 4; i++) clients.push(join(i % 3, `second${i}`));
      engines.run(engines.random() * 2000);
      index.fallBack(copy);
      for (let i = 0; i < 4; i++) {
        clients.push(join(i % 3, `third${i}`));
        engines.run(engines.random() * 200);
      }
      engines.run(20_000);
      for (const { model } of clients) {
        expect(model.present('c')).toEqual(engines.truth('c'));
        expect(model.count('userOffline')).toBe(0);
        expect(model.violations).toEqual([]);
      }
    }
  });

  it('is found to be an older copy though a newcomer has written as much as was lost', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      const [a, newcomer] = [engines.start(indexed), engines.start(indexed)];
      engines.run(2000);
      const first = engines.join(a, 'first', 'd', 'c');
      engines.run(500);
      const copy = index.copy();
      for (let i = 0; i < 3; i++) engines.join(a, `lost${i}`, 'd', 'c');
      engines.run(500 + engines.random() * 250);
      index.fallBack(copy);
      for (let i = 0; i < 5; i++) {
        engines.join(newcomer, `new${i}`, 'd', 'c');
        engines.run(30);
      }
      engines.run(20_000);
      for (const { model } of [first, ...engines.clients]) {
        expect(model.present('c')).toEqual(engines.truth('c'));
        expect(model.violations).toEqual([]);
      }
    }
  });

  it('makes nobody leave who is connected, when it comes back empty', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      const nodes = [1, 2, 3].map(() => engines.start(indexed));
      engines.run(2000);
      const clients = nodes.flatMap((node, n) =>
        [1, 2, 3].map((i) => engines.join(node, `u${n}${i}`, 'd', 'c')),
      );
      engines.run(2000);
      index.isAway = true;
      index.empty();
      engines.run(1000 + engines.random() * 8000);
      index.isAway = false;
      engines.run(20_000);
      for (const { model } of clients) {
        expect(model.present('c')).toEqual(engines.truth('c'));
        expect(model.count('userOffline')).toBe(0);
        expect(model.infos.get('c')?.complete).toBe(true);
        expect(model.violations).toEqual([]);
      }
    }
  });

  it('a device that moves while nothing is heard makes no edge', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      const [a, b] = [engines.start(indexed), engines.start(indexed)];
      engines.run(2000);
      const watchers = engines.moveUnheard(a, b, (isUp) => (index.isAway = !isUp));
      for (const { model } of watchers) {
        expect(model.present('c')).toEqual(['u', 'wa', 'wb']);
        expect(model.count('userOffline')).toBe(0);
      }
    }
  });

  it('sweeps who was on a node that died, once', () => {
    const engines = new Engines(7);
    void new SimIndex(engines);
    const [a, b, c] = [1, 2, 3].map(() => engines.start(indexed)) as [SimNode, SimNode, SimNode];
    engines.run(2000);
    const watchers = [engines.join(a, 'wa', 'd', 'c'), engines.join(b, 'wb', 'd', 'c')];
    engines.join(c, 'lost', 'd', 'c');
    engines.run(2000);
    engines.crash(c);
    engines.run(10_000);
    for (const { model } of watchers) {
      expect(model.present('c')).toEqual(['wa', 'wb']);
      expect(model.told.filter(({ event }) => event === 'userOffline')).toMatchObject([
        { userId: 'lost', reason: 'node-down' },
      ]);
    }
  });

  it('has at the end of a node whoever waited for a first list, and all that had changed', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const engines = new Engines(seed);
      void new SimIndex(engines);
      const [a, b] = [engines.start(indexed), engines.start(indexed)];
      engines.run(2000);
      const watcher = engines.join(a, 'watcher', 'd', 'c');
      const leaving = [1, 2].map((i) => engines.join(b, `leaving${i}`, 'd', 'c'));
      engines.run(1000);
      engines.gone(leaving[0]!, 'left');
      // Its write is on its way, or has not begun.
      engines.run(engines.random() * 15);
      engines.gone(leaving[1]!, 'left');
      engines.join(b, 'late', 'd', 'other');
      engines.input(b, (t) => b.engine.close(t));
      engines.run(LINGER_MS / 2);
      const other = engines.join(a, 'watcher', 'd', 'other');
      engines.run(100);
      expect(other.model.present('other')).toEqual(['late', 'watcher']);
      expect(watcher.model.told.filter(({ event }) => event === 'userOffline')).toMatchObject([
        { userId: 'leaving1', reason: 'left' },
        { userId: 'leaving2', reason: 'left' },
      ]);
      engines.run(4 * LINGER_MS);
      expect(other.model.present('other')).toEqual(['watcher']);
      expect(watcher.model.count('userOffline')).toBe(2);
    }
  });

  it('loses whoever comes and goes while a renewal is under way', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const engines = new Engines(seed);
      const index = new SimIndex(engines);
      index.latencyMs = 20;
      index.renewalMs = 100;
      const [a, b] = [engines.start(indexed), engines.start(indexed)];
      const watcher = engines.join(a, 'watcher', 'd', 'c');
      engines.run(2000 + engines.random() * 250);
      const shortly = engines.join(b, 'shortly', 'd', 'c');
      engines.run(engines.random() * 200);
      engines.gone(shortly, 'left');
      engines.run(5000);
      expect(watcher.model.present('c')).toEqual(['watcher']);
    }
  });

  it('writes everything anew after it was taken for dead', () => {
    const engines = new Engines(8);
    const index = new SimIndex(engines);
    const [a, b] = [engines.start(indexed), engines.start(indexed)] as [SimNode, SimNode];
    engines.run(2000);
    const watcher = engines.join(a, 'w', 'd', 'c');
    engines.join(b, 'u', 'd', 'c');
    engines.run(2000);
    // Whatever b does with the store is lost for longer than its lease.
    const perform = engines.onStore;
    engines.onStore = (node, id, command) => {
      if (node !== b) perform(node, id, command);
      else
        engines.after(50, node, (t) =>
          (node.engine as IndexedNode).stored(id, { kind: 'failed' }, t),
        );
    };
    engines.run(8000);
    expect(watcher.model.present('c')).toEqual(['w']);
    engines.onStore = perform;
    void index;
    engines.run(5000);
    expect(watcher.model.present('c')).toEqual(['u', 'w']);
    expect(watcher.model.violations).toEqual([]);
  });
});
