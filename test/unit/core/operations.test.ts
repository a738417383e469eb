import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PresenceNode, type Effect, type Eviction, type UserExplanation } from 'rollcall/core';
import {
  decodeMessage,
  encodeMessage,
  startOfMessages,
  type Message,
} from '../../../src/core/wire.js';

/** Two nodes in virtual time over a medium that may lose what the test says. */
class Pair {
  now = 0;
  readonly a = new PresenceNode({ nodeId: 'a', random: () => 0.5 });
  readonly b = new PresenceNode({ nodeId: 'b', random: () => 0.5 });
  readonly effects: Effect[] = [];
  isLost: (data: string) => boolean = () => false;

  constructor() {
    for (const node of [this.a, this.b]) node.start(this.t);
    this.run(2000);
  }

  get t(): { now: number; wall: number } {
    return { now: this.now, wall: 1e12 + this.now };
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) this.step();
  }

  step(): void {
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
    ] as const) {
      if (this.now >= from.nextTickAt()) from.tick(this.t);
      for (const effect of from.take()) {
        if (effect.kind !== 'send') this.effects.push(effect);
        else if (!this.isLost(effect.data)) to.receive(effect.data, this.t);
      }
    }
  }

  join(node: PresenceNode, socketId: string, userId: string): void {
    node.connect(socketId, { userId, deviceId: `device of ${socketId}` }, this.t);
    node.join(socketId, 'c', this.t);
    this.run(500);
  }

  /** Runs until an effect of this kind comes, and gives it. */
  result<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }> {
    for (let i = 0; i < 500; i++) {
      const at = this.effects.findIndex((effect) => effect.kind === kind);
      if (at !== -1) return this.effects.splice(at, 1)[0] as Extract<Effect, { kind: K }>;
      this.run(10);
    }
    throw new Error(`no ${kind} came`);
  }

  explain(node: PresenceNode, userId: string): UserExplanation {
    node.explain(userId, this.t);
    return this.result('explained').explanation;
  }

  evict(node: PresenceNode, userId: string): Eviction {
    node.evict({ userId }, 'test', this.t);
    return this.result('evicted').eviction;
  }
}

describe('an eviction', () => {
  it('has been told when it says so, also of what another node has ended', () => {
    const pair = new Pair();
    pair.join(pair.a, 's1', 'ada');
    pair.join(pair.b, 's2', 'zoe');
    pair.join(pair.b, 's3', 'ada');
    expect(pair.b.onlineUsers('c').map(({ userId }) => userId)).toHaveLength(2);
    expect(pair.evict(pair.b, 'ada')).toMatchObject({ complete: true });
    expect(pair.b.onlineUsers('c').map(({ userId }) => userId)).toEqual(['zoe']);
  });

  it('is asked for again when the medium loses it, and done once', () => {
    const pair = new Pair();
    pair.join(pair.a, 's1', 'ada');
    pair.join(pair.b, 's2', 'zoe');
    let lost = 0;
    pair.isLost = (data) => data.includes('"k":"evicted"') && lost++ === 0;
    pair.b.evict({ userId: 'ada' }, 'test', pair.t);
    pair.run(100);
    expect(pair.b.onlineUsers('c').map(({ userId }) => userId)).toEqual(['zoe']);
    // Ada is back before the question comes a second time.
    pair.join(pair.a, 's3', 'ada');
    const { eviction } = pair.result('evicted');
    expect(eviction).toMatchObject({ complete: true, sockets: 1, silentNodes: [] });
    expect(eviction.devices).toEqual([{ communityId: 'c', deviceId: 'device of s1', nodeId: 'a' }]);
    expect(lost).toBe(2);
    expect(pair.b.onlineUsers('c').map(({ userId }) => userId)).toHaveLength(2);
  });

  it('names the nodes that cannot be reached', () => {
    const pair = new Pair();
    pair.join(pair.a, 's1', 'ada');
    pair.isLost = (data) => data.includes('"k":"evict"');
    expect(pair.evict(pair.b, 'ada')).toMatchObject({
      complete: false,
      sockets: 0,
      silentNodes: ['a'],
    });
  });

  it('names a node that is taken for dead for as long as the user is shown on its account', () => {
    const pair = new Pair();
    pair.join(pair.a, 's1', 'ada');
    pair.join(pair.b, 's2', 'zoe');
    pair.isLost = () => true;
    const seen = (): string[] => pair.b.onlineUsers('c').map(({ userId }) => userId);
    pair.run(6000);
    expect(pair.b.nodes(pair.now)).toMatchObject([{}, { nodeId: 'a', state: 'down' }]);
    expect(pair.evict(pair.b, 'ada')).toMatchObject({ complete: false, silentNodes: ['a'] });
    expect(pair.evict(pair.b, 'eve')).toMatchObject({ complete: true, silentNodes: [] });
    expect(seen()).toEqual(['ada', 'zoe']);
    pair.run(5000);
    expect(seen()).toEqual(['zoe']);
    expect(pair.evict(pair.b, 'ada')).toMatchObject({ complete: true, silentNodes: [] });
  });

  it('ends what is expected from a node that left in order', () => {
    const pair = new Pair();
    pair.join(pair.a, 's1', 'ada');
    pair.join(pair.b, 's2', 'zoe');
    pair.a.close(pair.t);
    pair.run(100);
    expect(pair.explain(pair.b, 'ada').devices).toMatchObject([
      { source: 'copy', nodeState: 'gone', nodeId: 'a', isSeen: true },
    ]);
    pair.effects.length = 0;
    pair.evict(pair.b, 'ada');
    pair.run(100);
    expect(pair.effects).toContainEqual(
      expect.objectContaining({
        kind: 'event',
        event: expect.objectContaining({ type: 'userOffline', userId: 'ada', reason: 'left' }),
      }),
    );
    expect(pair.explain(pair.b, 'ada').devices).toEqual([]);
  });
});

it('reports how every node is and how it sees the others, without those that hang', () => {
  const pair = new Pair();
  pair.join(pair.a, 's1', 'ada');
  // A heartbeat says how many entries there are.
  pair.run(1500);
  pair.b.survey(pair.t);
  const { report } = pair.result('surveyed');
  expect(report).toMatchObject({
    complete: true,
    nodes: [
      { nodeId: 'b', entries: 0, peers: [{ nodeId: 'a', state: 'alive', entries: 1 }] },
      { nodeId: 'a', entries: 1, sockets: 1, changes: 1, peers: [{ nodeId: 'b' }] },
    ],
  });
  pair.isLost = (data) => data.includes('"k":"surveyed"');
  pair.b.survey(pair.t);
  expect(pair.result('surveyed').report).toMatchObject({ complete: false, nodes: [{}] });
});

describe('messages of operations', () => {
  const ids = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' });
  const kinds: fc.Arbitrary<Message> = fc.oneof(
    fc.record({ kind: fc.constant('inspect' as const), request: fc.nat(), userId: ids }),
    fc.record({
      kind: fc.constant('inspected' as const),
      to: ids,
      request: fc.nat(),
      body: fc.json(),
    }),
    fc.record({
      kind: fc.constant('evict' as const),
      request: fc.nat(),
      target: fc.record({
        userId: ids,
        deviceId: fc.option(ids, { nil: undefined }),
        communityId: fc.option(ids, { nil: undefined }),
      }),
      reason: ids,
    }),
    fc.record({ kind: fc.constant('survey' as const), request: fc.nat() }),
    fc.record({
      kind: fc.constant('surveyed' as const),
      to: ids,
      request: fc.nat(),
      body: fc.json(),
    }),
    fc.record({
      kind: fc.constant('evicted' as const),
      to: ids,
      request: fc.nat(),
      sockets: fc.nat(),
      body: fc.json(),
    }),
  );

  it('come out as they went in', () => {
    fc.assert(
      fc.property(kinds, (message) => {
        const start = startOfMessages('k', 'n"1');
        const text = encodeMessage(start, 1, message);
        expect(text.startsWith(start)).toBe(true);
        const read = decodeMessage(text, 'k', 1e6);
        expect(read).toEqual({ cluster: 'k', from: 'n"1', lamport: 1, message });
      }),
    );
  });

  it('of any content neither throw nor end anybody who is not named', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('inspect', 'inspected', 'evict', 'evicted', 'survey', 'surveyed'),
        fc.dictionary(fc.constantFrom('r', 'q', 't', 'd', 'g', 'y', 'e'), fc.jsonValue()),
        fc.option(fc.oneof(fc.json(), fc.string()), { nil: undefined }),
        (kind, fields, body) => {
          const pair = new Pair();
          pair.join(pair.a, 's1', 'ada');
          pair.a.explain('ada', pair.t);
          pair.a.survey(pair.t);
          pair.a.evict({ userId: 'nobody' }, 'test', pair.t);
          // The numbers that the requests above have are small, so some answers match them.
          for (const r of [fields['r'], 1, 2, 3, 4, 5, 6, 7, 8]) {
            const head = { v: 1, c: 'rollcall', f: 'b', l: 1, k: kind, t: 'a', e: 0, ...fields, r };
            const data = JSON.stringify(head) + (body === undefined ? '' : `\n${body}`);
            pair.a.receive(data, pair.t);
          }
          pair.run(3000);
          expect(pair.a.onlineUsers('c').map(({ userId }) => userId)).toEqual(['ada']);
        },
      ),
      { numRuns: 200 },
    );
  });
});
