import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PresenceNode } from 'rollcall/core';
import {
  decodeMessage,
  encodeMessage,
  startOfMessages,
  type Message,
} from '../../../src/core/wire.js';
import { encodeOp, entryKey } from '../../../src/core/entry.js';
import { IndexedNode, onDemand, type Strategy } from '../../../src/strategy/index.js';
import { Engines } from '../strategy/engines.js';
import { ALL_KINDS, hostile, mutate, recordedMessages, type Hostile } from './hostile-messages.js';

/** Nodes that each take up to `MOST` messages, as chance has it: 130,000 in all, give or take some thousands; more for a release. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1350);
/** One of them takes 5 ms or so, and ten times as long is no failure yet. */
const TIMEOUT_MS = Math.max(120_000, RUNS * 50);
const MOST = 200;
const SHARDS = 4;

const ENGINES: [string, Strategy][] = [
  ['on-demand', onDemand()],
  [
    'dual-write',
    {
      name: 'dual-write',
      readsLocally: true,
      createEngine: (options) => new IndexedNode(options, true),
    },
  ],
];

const recorded = recordedMessages();
const byKind = ALL_KINDS.map((kind) => recorded.filter((one) => one.kind === kind));

const prototypes = [Object, Array, String, Number, Function, Map, Set].map((type) => ({
  of: type.prototype as object,
  keys: Reflect.ownKeys(type.prototype).length,
}));

function pollution(): string[] {
  return prototypes.flatMap(({ of, keys }) =>
    Reflect.ownKeys(of).length === keys && !('isPolluted' in of) ? [] : [String(of)],
  );
}

const NOBODY = { userId: 'nobody', deviceId: undefined, communityId: undefined };

const NO_NEWS = {
  kind: 'beat' as const,
  full: true,
  name: undefined,
  keeping: 'log' as const,
  entries: 0,
  states: [],
  answers: [],
} satisfies Message;

/** A node in virtual time that hears what it is given, with a socket that watches the community. */
class Listener {
  readonly node: PresenceNode;
  now = 0;
  #fresh = 0;

  constructor() {
    this.node = new PresenceNode({
      nodeId: 'listener',
      nodeName: 'name',
      random: () => 0.5,
      canProbe: true,
      shards: SHARDS,
    });
    this.node.start(this.t);
    // Until it is ready it tells nobody's coming one by one.
    this.run(6000);
    for (const communityId of ['c', 'other']) this.join(communityId);
    for (const nodeId of ['a', 'b', 'c', 'late']) {
      this.hear(encodeMessage(startOfMessages('rollcall', nodeId), 1, NO_NEWS));
    }
    this.run(50);
    // What is asked now waits for answers.
    this.node.fetchUser('alice', this.t);
    this.node.explain('alice', this.t);
    this.node.survey(this.t);
    this.node.evict({ userId: 'bob', deviceId: undefined, communityId: undefined }, 'x', this.t);
  }

  get t(): { now: number; wall: number } {
    return { now: this.now, wall: 1e12 + this.now };
  }

  join(communityId: string): void {
    const socketId = `socket-${communityId}`;
    this.node.connect(socketId, { userId: 'own', deviceId: socketId }, this.t);
    this.node.join(socketId, communityId, this.t);
  }

  hear(data: unknown): void {
    this.node.receive(data, this.t);
  }

  run(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, Math.max(this.now + 1, this.node.nextTickAt()));
      this.node.tick(this.t);
      for (const effect of this.node.take()) {
        if (effect.kind === 'probe') this.node.probed(effect.id, true, this.t);
        // What it has heard must not make it say what others refuse.
        if (effect.kind === 'send') {
          expect(decodeMessage(effect.data, 'rollcall', 4 * 1024 * 1024)).toBeTypeOf('object');
        }
      }
    }
  }

  say(from: string, message: Message): void {
    this.hear(encodeMessage(startOfMessages('rollcall', from), 1, message));
  }

  /** Whether it takes in what a node says that it has not heard of: that somebody is in `c`. */
  learnsOfSomebody(): boolean {
    const name = `fresh-${this.#fresh++}`;
    this.say(name, deltaOf(name, this.shardOfC));
    this.run(100);
    const online = this.node.onlineUsers('c').map(({ userId }) => userId);
    return online.includes(name) && online.includes('own');
  }

  get shardOfC(): number {
    return this.node.inspect().shardOf('c');
  }
}

function deltaOf(userId: string, shard: number, seq = 1): Message {
  const entry = {
    key: entryKey('c', userId, 'd'),
    communityId: 'c',
    userId,
    deviceId: 'd',
    status: 'active' as const,
    veil: 0,
    connectedAt: 1,
    lastActiveAt: 1,
    since: 1,
    session: 0,
    born: 1,
    rev: 1,
    infoRev: 0,
    info: undefined,
    boardId: undefined,
    typing: false,
    meta: undefined,
  };
  const body = JSON.stringify([encodeOp({ op: 'put', entry })]);
  return { kind: 'delta', items: [{ shard, seq, body }] };
}

/** Evenly over the kinds: there are a hundred beats for each message of the rarer ones. */
function textOf(one: Hostile): { kind: string | undefined; data: unknown } {
  if ('raw' in one) return { kind: undefined, data: one.raw };
  const kind = one.index % byKind.length;
  let of = byKind[kind] as typeof recorded;
  // After a leave nothing of its sender counts: a rare one is enough.
  if (of[0]?.kind === 'leave' && one.index % 10 !== 0) of = byKind[kind - 1] as typeof recorded;
  const chosen = of[Math.floor(one.index / byKind.length) % of.length] as (typeof recorded)[number];
  return { kind: chosen.kind, data: mutate(chosen.data, one.mutations) };
}

describe('messages between nodes that no honest node would send', () => {
  it('has recorded every kind of message', () => {
    expect([...new Set(recorded.map(({ kind }) => kind))].sort()).toEqual(ALL_KINDS);
  });

  it('hears the recorded messages as they are', () => {
    const listener = new Listener();
    for (const { data } of recorded) {
      listener.hear(data);
      listener.run(10);
    }
    const { faults, malformed, divergences, messagesReceived } = listener.node.stats;
    expect({ faults, malformed, divergences }).toEqual({
      faults: { malformed: 0, oversize: 0, version: 0, cluster: 0 },
      malformed: 0,
      divergences: 0,
    });
    expect(messagesReceived).toBeGreaterThan(recorded.length / 2);
  });

  it('goes on, whatever 100,000 messages say (I17, R10)', { timeout: TIMEOUT_MS }, () => {
    const heard = new Map<string, number>();
    let given = 0;
    let taken = 0;
    fc.assert(
      fc.property(
        fc.array(hostile, { minLength: 1, maxLength: MOST, size: 'max' }),
        fc.nat(50),
        (inputs, idle) => {
          const listener = new Listener();
          given += inputs.length;
          for (const input of inputs) {
            const { kind, data } = textOf(input);
            if (kind !== undefined) heard.set(kind, (heard.get(kind) ?? 0) + 1);
            listener.hear(data);
            if (idle < 5) listener.run(idle);
          }
          listener.run(200);
          taken += listener.node.stats.messagesReceived;
          expect(listener.learnsOfSomebody()).toBe(true);
          const gauges = listener.node.gauges(listener.now);
          expect(gauges.shards).toBeLessThanOrEqual(SHARDS);
          expect(gauges.bufferedDeltas).toBeLessThanOrEqual(32 * gauges.replicas);
          expect(pollution()).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
    expect([...heard.keys()].sort()).toEqual(ALL_KINDS);
    // Many were understood: a node that drops everything would pass all of the above.
    if (process.env['FUZZ_RUNS'] !== undefined) console.log(`${given} messages, ${taken} taken in`);
    expect(given).toBeGreaterThan(RUNS * 75);
    expect(taken).toBeGreaterThan(given / 10);
  });

  it.each(ENGINES)('are nothing to fear for an engine of %s either', (_name, strategy) => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: MOST, size: 'max' }), (inputs) => {
        const engines = new Engines(1);
        const { engine } = engines.start(strategy);
        engines.run(500);
        const t = (): { now: number; wall: number } => ({ now: engines.now, wall: 1e12 });
        for (const [i, input] of inputs.entries()) {
          engine.receive(textOf(input).data, t());
          if (i % 10 === 0) engines.run(10);
        }
        engines.run(100);
        const heard = engine.stats.messagesReceived;
        engine.receive(encodeMessage(startOfMessages('rollcall', 'fresh'), 1, NO_NEWS), t());
        expect(engine.stats.messagesReceived).toBe(heard + 1);
        expect(pollution()).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('outlasts a snapshot that changes its mind half-way', () => {
    const listener = new Listener();
    const shard = listener.shardOfC;
    const piece = (seq: number, part: number, last: boolean): Message => {
      const state = { shard, seq, a: 0, b: 0 };
      return { kind: 'snapshot', state, id: 1, part, last, body: '[]' };
    };
    listener.say('a', piece(2, 0, false));
    listener.say('a', { ...NO_NEWS, states: [{ shard, seq: 9, a: 0, b: 0 }] });
    for (const seq of [1, 2, 3]) listener.say('a', deltaOf(`u${seq}`, shard, seq));
    listener.say('a', piece(8, 1, true));
    expect(listener.learnsOfSomebody()).toBe(true);
  });

  it('still speaks after the greatest clock that can be heard', () => {
    const listener = new Listener();
    for (const lamport of [2 ** 50, Number.MAX_SAFE_INTEGER]) {
      listener.hear(encodeMessage(startOfMessages('rollcall', 'a'), lamport, NO_NEWS));
      listener.join(`after-${lamport}`);
      listener.run(2000);
    }
    expect(listener.learnsOfSomebody()).toBe(true);
  });

  it('keeps no more than its limits of what many unknown nodes say', () => {
    const listener = new Listener();
    const shard = listener.shardOfC;
    for (let i = 0; i < 6000; i++) {
      listener.say(`crowd-${i}`, { ...NO_NEWS, name: `name-${i}` });
      if (i % 3 === 0) listener.say(`crowd-${i}`, { kind: 'leave', states: [], items: [] });
    }
    for (let i = 0; i < 2000; i++) {
      listener.say('a', deltaOf(`u${i}`, shard, 5 + i));
      listener.say('b', { kind: 'call', request: i, communityId: 'c', userIds: undefined });
      listener.say('b', { kind: 'pull', request: i, to: undefined, wants: [{ shard, have: -1 }] });
      listener.say('b', { kind: 'evict', request: i, target: NOBODY, reason: 'x' });
    }
    const { nodes, fenced, bufferedDeltas } = listener.node.gauges(listener.now);
    expect(nodes).toBeLessThanOrEqual(1025);
    expect(fenced).toBeLessThanOrEqual(4096);
    expect(bufferedDeltas).toBeLessThanOrEqual(32);
    // What is owed to them is paid off in a moment, and then nothing is left to do.
    listener.run(3000);
    const sent = listener.node.stats.messagesSent;
    listener.run(1000);
    expect(listener.node.stats.messagesSent - sent).toBeLessThan(100);
    // Unknown nodes that are silent are forgotten, and with them what they hold up.
    listener.run(120_000);
    expect(listener.node.gauges(listener.now).nodes).toBe(1);
    expect(listener.learnsOfSomebody()).toBe(true);
  });
});
