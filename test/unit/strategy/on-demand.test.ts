import { describe, expect, it } from 'vitest';
import { onDemand, replicated } from '../../../src/strategy/index.js';
import { Engines, LINGER_MS, type SimClient, type SimNode } from './engines.js';
import { demandTruth, forSeeds, play } from './random-play.js';

describe('on-demand under loss, reordering and crashes', () => {
  it('ends with the truth on every node', () => {
    forSeeds((seed) => demandTruth(play(seed, [onDemand()])));
  });

  it('does so in a fleet that is half replicated', () => {
    forSeeds((seed) => demandTruth(play(seed, [onDemand(), replicated()])));
  });

  it('does so over a medium that delivers by address', () => {
    forSeeds((seed) => {
      const engines = new Engines(seed, true);
      demandTruth(play(seed, [onDemand(), replicated()], undefined, engines));
    });
  });
});

/** A node where a user's only device was lost a moment ago, and another node. */
function afterTabWasLost(seed: number): { engines: Engines; b: SimNode; watcher: SimClient } {
  const engines = new Engines(seed);
  const [a, b] = [engines.start(onDemand()), engines.start(onDemand())];
  engines.run(2000);
  const watcher = engines.join(a, 'w', 'd', 'c');
  const tab = engines.join(a, 'u', 'tab', 'c');
  engines.run(500);
  engines.gone(tab, 'disconnected');
  return { engines, b, watcher };
}

describe('on-demand', () => {
  it('calls the roll no more for what is missing of a node that has died', () => {
    const engines = new Engines(1);
    const [a, b] = [engines.start(onDemand()), engines.start(onDemand())];
    engines.run(2000);
    engines.join(a, 'w', 'd', 'c');
    const bob = engines.join(b, 'bob', 'd', 'c');
    engines.run(500);
    for (const boardId of ['lost', 'heard']) {
      // What is asked of it does not arrive either.
      engines.filter = (from) => from === b && boardId === 'heard';
      engines.input(b, (t) => b.engine.update(bob.socketId, { boardId }, t));
      engines.run(100);
    }
    engines.crash(b);
    const { pulls } = a.engine.stats;
    // It throws where an engine is busy without end.
    engines.run(5000);
    expect(a.engine.stats.pulls - pulls).toBeLessThan(5);
  });

  it('a late answer brings nobody back who left while it was on its way', () => {
    const engines = new Engines(1);
    const [a, b, c] = [1, 2, 3].map(() => engines.start(onDemand())) as [SimNode, SimNode, SimNode];
    engines.run(2000);
    const bob = engines.join(b, 'bob', 'd', 'c');
    engines.join(c, 'carol', 'd', 'c');
    engines.run(500);
    // What b answers to a is kept back; its deltas are not.
    const late: string[] = [];
    engines.filter = (from, to, data) => {
      const isAnswer = from === b && to === a && data.includes('"k":"present"');
      if (isAnswer) late.push(data);
      return !isAnswer;
    };
    const alice = engines.join(a, 'alice', 'd', 'c');
    engines.run(300);
    engines.gone(bob, 'left');
    engines.run(300);
    engines.filter = () => true;
    expect(late).toHaveLength(1);
    for (const data of late) engines.input(a, (t) => a.engine.receive(data, t));
    engines.run(5000);
    expect(alice.model.present('c')).toEqual(['alice', 'carol']);
    expect(alice.model.count('userOnline', 'bob')).toBe(0);
    expect(alice.model.violations).toEqual([]);
  });

  it.each([
    ['who was not heard of', true],
    ['what was not heard of', false],
  ])('a change of %s is made up for, though an older answer comes after it', (_what, isNew) => {
    const engines = new Engines(2);
    const [a, b] = [engines.start(onDemand()), engines.start(onDemand())];
    engines.run(2000);
    const watcher = engines.join(b, 'w', 'd', 'c');
    engines.join(a, 'wa', 'd', 'c');
    const say = (patch: object): void =>
      engines.input(a, (t) => a.engine.update(u.socketId, patch, t));
    let u = engines.join(a, 'u', 'd', isNew ? 'other' : 'c');
    engines.run(500);
    // A change is lost, and the answer that holds it is late.
    const late: string[] = [];
    engines.filter = (from, _to, data) => {
      if (from !== a) return true;
      if (data.includes('"k":"present"')) late.push(data);
      return data.includes('"k":"call"');
    };
    if (isNew) u = engines.join(a, 'u', 'd', 'c');
    say({ status: 'busy' });
    engines.run(50);
    engines.join(b, 'late', 'd', 'c');
    engines.run(50);
    engines.filter = () => true;
    // The next change is of what has not been heard of, or not lately.
    say({ boardId: 'board' });
    engines.run(50);
    expect(late).toHaveLength(1);
    for (const data of late) engines.input(b, (t) => b.engine.receive(data, t));
    engines.run(20_000);
    const { status, devices } = watcher.model.user('c', 'u')!;
    expect({ status, boardId: devices[0]?.boardId }).toEqual({
      status: 'busy',
      boardId: 'board',
    });
  });

  it('two nodes whose devices of one user go at once leave no ghost and announce it once', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const engines = new Engines(seed);
      const [a, b] = [engines.start(onDemand()), engines.start(onDemand())];
      engines.run(2000);
      const watchers = [engines.join(a, 'wa', 'd', 'c'), engines.join(b, 'wb', 'd', 'c')];
      const devices = [engines.join(a, 'u', 'one', 'c'), engines.join(b, 'u', 'two', 'c')];
      engines.run(500);
      for (const device of devices) engines.gone(device, 'left');
      engines.run(3000);
      for (const { model } of watchers) {
        expect(model.present('c')).toEqual(['wa', 'wb']);
        expect(model.count('userOffline', 'u')).toBe(1);
      }
    }
  });

  it('a first list waits for nobody longer than the time-out', () => {
    const engines = new Engines(3);
    const [a, b] = [engines.start(onDemand({ rollCallTimeoutMs: 300 })), engines.start(onDemand())];
    engines.run(2000);
    engines.join(b, 'bob', 'd', 'c');
    engines.run(500);
    engines.filter = (from) => from !== b;
    const alice = engines.join(a, 'alice', 'd', 'c');
    engines.run(350);
    expect(alice.model.infos.get('c')?.complete).toBe(false);
    engines.filter = () => true;
    engines.run(3000);
    expect(alice.model.present('c')).toEqual(['alice', 'bob']);
    expect(alice.model.infos.get('c')?.complete).toBe(true);
  });

  it('a device that comes back elsewhere within the linger makes no edge', () => {
    const { engines, b, watcher } = afterTabWasLost(4);
    engines.run(LINGER_MS / 2);
    engines.join(b, 'u', 'tab', 'c');
    engines.run(3 * LINGER_MS);
    expect(watcher.model.count('userOffline')).toBe(0);
    expect(watcher.model.present('c')).toEqual(['u', 'w']);
  });

  it('a device that waits for the first list of a node that leaves has come, and lingers', () => {
    const { engines, b, watcher } = afterTabWasLost(5);
    engines.run(0.8 * LINGER_MS);
    // Nobody answers what the community's newcomer asks.
    engines.filter = (_from, to) => to !== b;
    const late = engines.join(b, 'u', 'tab', 'c');
    engines.run(50);
    expect(late.model.infos.size).toBe(0);
    engines.input(b, (t) => b.engine.close(t));
    engines.crash(b);
    engines.run(0.8 * LINGER_MS);
    expect(watcher.model.present('c')).toEqual(['u', 'w']);
    engines.run(LINGER_MS);
    expect(watcher.model.present('c')).toEqual(['w']);
    expect(watcher.model.count('userOffline', 'u')).toBe(1);
  });

  it('a device that moves while nothing is heard makes no edge', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const engines = new Engines(seed);
      const [a, b] = [engines.start(onDemand()), engines.start(onDemand())];
      engines.run(2000);
      for (const { model } of engines.moveUnheard(a, b)) {
        expect(model.present('c')).toEqual(['u', 'wa', 'wb']);
        expect(model.count('userOffline')).toBe(0);
      }
    }
  });

  it('an answer without somebody who left is no reason to say anything else than the node they left', () => {
    const engines = new Engines(6);
    const [a, b, c] = [1, 2, 3].map(() => engines.start(onDemand())) as [SimNode, SimNode, SimNode];
    engines.run(2000);
    const watchers = [engines.join(a, 'wa', 'd', 'c'), engines.join(b, 'wb', 'd', 'c')];
    const u = engines.join(a, 'u', 'd', 'c');
    engines.run(60_000);
    // The node they left asks one that does not answer, before it tells the others.
    engines.filter = (from) => from !== c;
    engines.gone(u, 'left');
    engines.run(50);
    engines.join(b, 'late', 'd', 'c');
    engines.run(3 * LINGER_MS);
    for (const { model } of watchers) {
      expect(model.present('c')).toEqual(['late', 'wa', 'wb']);
      const [gone] = model.told.filter(({ event }) => event === 'userOffline');
      const { userId, reason, lastSeenAt } = gone!;
      expect({ userId, reason, lastSeenAt }).toEqual({
        userId: 'u',
        reason: 'left',
        lastSeenAt: 1_700_000_000_000 + 62_000,
      });
      expect(model.violations).toEqual([]);
    }
  });

  it('refuses a time-out that makes no sense', () => {
    expect(() => onDemand({ rollCallTimeoutMs: 0 })).toThrow(/rollCallTimeoutMs/);
  });
});
