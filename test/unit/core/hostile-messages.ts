import * as fc from 'fast-check';
import type { Message } from '../../../src/core/wire.js';
import { CoreCluster } from '../../support/core-cluster.js';
import { encodeMessage, startOfMessages } from '../../../src/core/wire.js';

/** Every kind of message between nodes; one that is missing here does not compile. */
const KINDS: Record<Message['kind'], true> = {
  hello: true,
  beat: true,
  delta: true,
  pull: true,
  snapshot: true,
  leave: true,
  ask: true,
  answer: true,
  call: true,
  present: true,
  inspect: true,
  inspected: true,
  survey: true,
  surveyed: true,
  evict: true,
  evicted: true,
};
export const ALL_KINDS = Object.keys(KINDS).sort();

/** The messages of a small cluster in which everything happens that makes a node speak, in order. */
export function recordedMessages(): { kind: string; from: string; data: string }[] {
  const cluster = new CoreCluster();
  const limits = { log: { deltas: 2 } };
  for (const nodeId of ['a', 'b', 'c']) cluster.start(nodeId, limits);
  cluster.run(3000);
  const alice = cluster.join('a', 'alice');
  cluster.join('b', 'bob');
  cluster.join('b', 'bob', 'phone', 'other');
  const carol = cluster.join('c', 'carol');
  for (let i = 0; i < 4; i++) {
    const patch = { boardId: `board-${i}`, meta: { page: { title: 'x', at: [i, null, true] } } };
    cluster.node('a').update(alice, patch, cluster.t);
    cluster.run(200);
  }
  cluster.node('b').fetchUser('alice', cluster.t);
  cluster.node('b').explain('alice', cluster.t);
  cluster.node('b').survey(cluster.t);
  cluster.run(200);
  cluster
    .node('c')
    .evict({ userId: 'bob', deviceId: 'phone', communityId: undefined }, 'x', cluster.t);
  // A latecomer is answered by snapshots: the logs are shorter than what it misses.
  cluster.start('late', limits);
  cluster.join('late', 'dora');
  cluster.run(3000);
  // Nodes under another strategy call the roll.
  const call = { kind: 'call', request: 7, communityId: 'c', userIds: ['alice', 'bob'] } as const;
  cluster.deliver({
    from: 'a',
    to: 'b',
    data: encodeMessage(startOfMessages('rollcall', 'a'), 9, call),
  });
  cluster.run(200);
  cluster.drop(carol);
  cluster.run(500);
  cluster.node('c').close(cluster.t);
  cluster.run(500);
  const recorded = cluster.sent.map(({ data, from, message: { kind } }) => ({ kind, from, data }));
  return [
    ...recorded,
    { kind: 'call', from: 'a', data: encodeMessage(startOfMessages('rollcall', 'a'), 9, call) },
  ];
}

const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);
const poisoned = (text: string): unknown => JSON.parse(text);

/** What has broken readers of JSON before. */
const VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'NaN',
  'Infinity',
  '1e999',
  '__proto__',
  'constructor',
  'toString',
  'a\nb',
  '\u0000',
  '\ud800',
  'x'.repeat(128),
  'x'.repeat(129),
  -0,
  -1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 50,
  2 ** 50 + 1,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  [],
  {},
  [[]],
  [[[0, 0, 0, 0]]],
  deep(9),
  deep(500),
  poisoned('{"__proto__":{"isPolluted":true}}'),
  poisoned('{"constructor":{"prototype":{"isPolluted":true}}}'),
  poisoned('{"length":4294967295,"0":1}'),
  Array.from({ length: 300 }, () => [0, 0, 0, 0]),
];
const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'k', 'f', 'l'];

type Container = Record<string, unknown> | unknown[];

/** The places in a JSON value where something can be put. */
function places(value: unknown, found: [Container, string][] = []): [Container, string][] {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, inner] of Object.entries(value)) {
    found.push([value as Container, key]);
    places(inner, found);
  }
  return found;
}

/** Puts even where an assignment would mean the prototype. */
function put(into: Container, key: string, value: unknown): void {
  const described = { value, enumerable: true, configurable: true, writable: true };
  Object.defineProperty(into, key, described);
}

/** One change of a message; `at` and `by` choose where and what. */
interface Mutation {
  readonly how: string;
  readonly at: number;
  readonly by: number;
  readonly value: unknown;
}

const HOWS = {
  cut: (text, { at, by }) => text.slice(0, at % text.length) + text.slice((at + by) % text.length),
  repeat: (text, { at, by }) => {
    const from = at % text.length;
    return text.slice(0, from) + text.slice(from, from + (by % 40)).repeat(3) + text.slice(from);
  },
  swap: (text, { at, by }) => {
    const bytes = [...text];
    const [i, j] = [at % bytes.length, by % bytes.length];
    [bytes[i], bytes[j]] = [bytes[j] as string, bytes[i] as string];
    return bytes.join('');
  },
  flip: (text, { at, by }) => {
    const i = at % text.length;
    return text.slice(0, i) + String.fromCharCode(by % 0x300) + text.slice(i + 1);
  },
  break: (text, { at }) => text.slice(0, at % text.length) + '\n' + text.slice(at % text.length),
  line: (text, { at, value }) => {
    const lines = text.split('\n');
    lines[at % lines.length] = JSON.stringify(value) ?? 'undefined';
    return lines.join('\n');
  },
  lines: (text, { at, by }) => {
    const lines = text.split('\n');
    lines.splice(at % lines.length, by % 3, ...lines.slice(0, at % 3));
    return lines.join('\n');
  },
  value: (text, mutation) =>
    inJson(text, mutation, ([into, key]) => put(into, key, mutation.value)),
  number: (text, mutation) =>
    inJson(text, mutation, ([into, key]) => {
      const was = (into as Record<string, unknown>)[key];
      if (typeof was === 'number') put(into, key, was + (mutation.by % 5) - 2);
    }),
  key: (text, mutation) =>
    inJson(text, mutation, ([into]) => {
      put(into, KEYS[mutation.by % KEYS.length] as string, mutation.value);
    }),
  lose: (text, mutation) =>
    inJson(text, mutation, ([into, key]) => {
      if (Array.isArray(into)) into.splice(Number(key), 1);
      else delete into[key];
    }),
  kind: (text, mutation) =>
    inJson(text, { ...mutation, at: 0 }, ([into]) => {
      put(into, 'k', ALL_KINDS[mutation.by % ALL_KINDS.length]);
    }),
} satisfies Record<string, (text: string, mutation: Mutation) => string>;

/** Changes one line's JSON, where it is JSON still. */
function inJson(
  text: string,
  { at }: Mutation,
  change: (place: [Container, string]) => void,
): string {
  const lines = text.split('\n');
  const index = at % lines.length;
  try {
    const value = JSON.parse(lines[index] as string) as unknown;
    const found = places(value);
    if (found.length === 0) return text;
    change(found[Math.floor(at / lines.length) % found.length] as [Container, string]);
    lines[index] = JSON.stringify(value);
  } catch {
    // Another change has broken it already.
  }
  return lines.join('\n');
}

export function mutate(text: string, mutations: readonly Mutation[]): string {
  let result = text;
  for (const mutation of mutations) {
    if (result === '') return result;
    result = HOWS[mutation.how as keyof typeof HOWS](result, mutation);
  }
  return result;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  how: fc.constantFrom(...Object.keys(HOWS)),
  at: fc.nat(10_000),
  by: fc.nat(10_000),
  value: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...VALUES) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  ),
});

/** A recorded message by its number, and what is done to it; or something else altogether. */
export type Hostile =
  | { readonly index: number; readonly mutations: readonly Mutation[] }
  | { readonly raw: unknown };

export const hostile: fc.Arbitrary<Hostile> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      index: fc.nat(100_000),
      mutations: fc.array(mutation, { minLength: 0, maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      raw: fc.oneof(
        fc.string(),
        fc.json(),
        fc.constantFrom(...VALUES, undefined, 5n, Symbol.iterator),
      ),
    }),
  },
);
