import { isCount, isId, isObject } from './entry.js';
import { isReason, type EvictionTarget } from './explanation.js';

/**
 * Messages between nodes. A message is text: one line of JSON (the envelope), then one line per body.
 * JSON never contains a raw line break, so a node that does not host a shard finds and skips that
 * shard's body without parsing it. docs/protocol.md lists the messages.
 */

/** Nodes of another version ignore each other. */
export const PROTOCOL_VERSION = 1;

/** What a node says of one shard of its log: sequence number and digest. */
export interface ShardState {
  readonly shard: number;
  readonly seq: number;
  readonly a: number;
  readonly b: number;
}

export interface DeltaItem {
  readonly shard: number;
  readonly seq: number;
  readonly body: string;
}

/** A request that a beat answers: who asked, and the asker's request number. */
export interface Answered {
  readonly nodeId: string;
  readonly request: number;
}

export interface Want {
  readonly shard: number;
  /** The asker has everything up to here; -1 asks for a snapshot whatever it has. */
  readonly have: number;
}

/** Where a node's entries are found: in the log that it tells of, or in an index that all write to. */
export type Keeping = 'log' | 'index';

export type Message =
  /** Said by a starting or healing node: who is there? Answered by a full beat. */
  | {
      readonly kind: 'hello';
      readonly request: number;
      readonly name: string | undefined;
      readonly keeping: Keeping;
      readonly entries: number;
      readonly states: readonly ShardState[];
    }
  /** The heartbeat. `full`: shards not listed are at 0. */
  | {
      readonly kind: 'beat';
      readonly full: boolean;
      readonly name: string | undefined;
      readonly keeping: Keeping;
      readonly entries: number;
      readonly states: readonly ShardState[];
      readonly answers: readonly Answered[];
    }
  | { readonly kind: 'delta'; readonly items: readonly DeltaItem[] }
  /** Asks one owner (or all) for what is missing of some shards; always answered by a beat too. */
  | {
      readonly kind: 'pull';
      readonly request: number;
      readonly to: string | undefined;
      readonly wants: readonly Want[];
    }
  | {
      readonly kind: 'snapshot';
      readonly state: ShardState;
      readonly id: number;
      readonly part: number;
      readonly last: boolean;
      readonly body: string;
    }
  /** The last message, with what changed last: nothing that comes after it counts. */
  | {
      readonly kind: 'leave';
      readonly states: readonly ShardState[];
      readonly items: readonly DeltaItem[];
    }
  /** Asks every owner for its entries of one user. */
  | { readonly kind: 'ask'; readonly request: number; readonly userId: string }
  | {
      readonly kind: 'answer';
      readonly to: string;
      readonly request: number;
      readonly body: string;
    }
  /** The roll call: asks every owner for its entries of a community, of some users or of all. */
  | {
      readonly kind: 'call';
      readonly request: number;
      readonly communityId: string;
      readonly userIds: readonly string[] | undefined;
    }
  /** A piece of the answer, and where the owner's log of the community's shard stands. */
  | {
      readonly kind: 'present';
      readonly to: string;
      readonly request: number;
      readonly state: ShardState;
      readonly part: number;
      readonly last: boolean;
      readonly body: string;
    }
  /** Asks every owner what it knows of a user's devices, for operators. */
  | { readonly kind: 'inspect'; readonly request: number; readonly userId: string }
  | {
      readonly kind: 'inspected';
      readonly to: string;
      readonly request: number;
      readonly body: string;
    }
  /** Asks every node how it is, and how it sees the others. */
  | { readonly kind: 'survey'; readonly request: number }
  | {
      readonly kind: 'surveyed';
      readonly to: string;
      readonly request: number;
      readonly body: string;
    }
  /** Tells every owner to end a user's devices, deliberately. */
  | {
      readonly kind: 'evict';
      readonly request: number;
      readonly target: EvictionTarget;
      readonly reason: string;
    }
  | {
      readonly kind: 'evicted';
      readonly to: string;
      readonly request: number;
      readonly sockets: number;
      readonly body: string;
    };

export interface Envelope {
  readonly cluster: string;
  readonly from: string;
  /** The sender's Lamport clock. */
  readonly lamport: number;
  readonly message: Message;
}

export type WireFault = 'malformed' | 'oversize' | 'version' | 'cluster';

/** Clocks beyond this are not followed, so that there is room above it for each node's own count. */
const MAX_LAMPORT = 2 ** 50;

/** A node's Lamport clock once it has heard another's. No clock that it hears makes it run out. */
export function laterClock(own: number, heard: number): number {
  return heard > own && heard <= MAX_LAMPORT ? heard : own;
}

type WireState = [number, number, number, number];

function encodeStates(states: readonly ShardState[]): WireState[] {
  return states.map((s) => [s.shard, s.seq, s.a, s.b]);
}

/** How every message of a node begins: enough to tell one's own without reading it. */
export function startOfMessages(cluster: string, from: string): string {
  return JSON.stringify({ v: PROTOCOL_VERSION, c: cluster, f: from }).slice(0, -1);
}

/** Encodes a message as text; `start` is what `startOfMessages` gives. */
export function encodeMessage(start: string, lamport: number, message: Message): string {
  const head = `${start},"l":${lamport},"k":"${message.kind}"`;
  if (message.kind === 'delta') {
    // Nearly every message is one.
    return `${head},"i":${JSON.stringify(numbersOf(message.items))}}${bodiesOf(message.items)}`;
  }
  const { fields, bodies } = fieldsOf(message);
  const rest = JSON.stringify(fields).slice(1);
  return `${head}${rest === '}' ? '' : ','}${rest}${bodies}`;
}

function fieldsOf(message: Exclude<Message, { kind: 'delta' }>): {
  fields: Record<string, unknown>;
  bodies: string;
} {
  const fields: Record<string, unknown> = {};
  let bodies = '';
  switch (message.kind) {
    case 'hello':
      fields['r'] = message.request;
      fields['n'] = message.name;
      if (message.keeping === 'index') fields['x'] = 1;
      fields['e'] = message.entries;
      fields['s'] = encodeStates(message.states);
      break;
    case 'beat':
      fields['n'] = message.name;
      if (message.keeping === 'index') fields['x'] = 1;
      fields['e'] = message.entries;
      fields['s'] = encodeStates(message.states);
      if (message.full) fields['u'] = 1;
      if (message.answers.length > 0) {
        fields['a'] = message.answers.map((answer) => [answer.nodeId, answer.request]);
      }
      break;
    case 'pull':
      fields['r'] = message.request;
      fields['t'] = message.to;
      fields['w'] = message.wants.map((want) => [want.shard, want.have]);
      break;
    case 'snapshot':
      fields['s'] = encodeStates([message.state]);
      fields['i'] = message.id;
      fields['p'] = message.part;
      if (message.last) fields['z'] = 1;
      bodies = '\n' + message.body;
      break;
    case 'leave':
      fields['s'] = encodeStates(message.states);
      if (message.items.length > 0) fields['i'] = numbersOf(message.items);
      bodies = bodiesOf(message.items);
      break;
    case 'ask':
      fields['r'] = message.request;
      fields['q'] = message.userId;
      break;
    case 'answer':
      fields['t'] = message.to;
      fields['r'] = message.request;
      bodies = '\n' + message.body;
      break;
    case 'call':
      fields['r'] = message.request;
      fields['q'] = message.communityId;
      fields['u'] = message.userIds;
      break;
    case 'present':
      fields['t'] = message.to;
      fields['r'] = message.request;
      fields['s'] = encodeStates([message.state]);
      fields['p'] = message.part;
      if (message.last) fields['z'] = 1;
      bodies = '\n' + message.body;
      break;
    case 'inspect':
      fields['r'] = message.request;
      fields['q'] = message.userId;
      break;
    case 'survey':
      fields['r'] = message.request;
      break;
    case 'inspected':
    case 'surveyed':
      fields['t'] = message.to;
      fields['r'] = message.request;
      bodies = '\n' + message.body;
      break;
    case 'evict':
      fields['r'] = message.request;
      fields['q'] = message.target.userId;
      fields['d'] = message.target.deviceId;
      fields['g'] = message.target.communityId;
      fields['y'] = message.reason;
      break;
    case 'evicted':
      fields['t'] = message.to;
      fields['r'] = message.request;
      fields['e'] = message.sockets;
      bodies = '\n' + message.body;
      break;
  }
  return { fields, bodies };
}

/** The name of the sender, where the message says it. */
export function nameIn(message: Message): string | undefined {
  return message.kind === 'hello' || message.kind === 'beat' ? message.name : undefined;
}

/** Reads a message as untrusted input. Never throws; bodies stay text until somebody needs them. */
export function decodeMessage(
  data: unknown,
  cluster: string,
  maxBytes: number,
): Envelope | WireFault {
  if (typeof data !== 'string') return 'malformed';
  if (data.length > maxBytes) return 'oversize';
  const end = data.indexOf('\n');
  let head: unknown;
  try {
    head = JSON.parse(end === -1 ? data : data.slice(0, end));
  } catch {
    return 'malformed';
  }
  if (!isObject(head)) return 'malformed';
  if (head['v'] !== PROTOCOL_VERSION) return 'version';
  if (head['c'] !== cluster) return 'cluster';
  const from = head['f'];
  const lamport = head['l'];
  if (!isId(from) || !isCount(lamport)) return 'malformed';
  const message =
    head['k'] === 'delta'
      ? decodeDelta(head['i'], data, end)
      : decodeKind(head, end === -1 ? undefined : data.slice(end + 1));
  return message === undefined ? 'malformed' : { cluster, from, lamport, message };
}

function decodeDelta(numbers: unknown, text: string, end: number): Message | undefined {
  const items = end === -1 ? undefined : decodeItems(numbers, text, end);
  return items && { kind: 'delta', items };
}

function decodeKind(head: Record<string, unknown>, rest: string | undefined): Message | undefined {
  const request = head['r'];
  const name = head['n'];
  const keeping = head['x'] === 1 ? 'index' : 'log';
  const entries = head['e'];
  switch (head['k']) {
    case 'hello': {
      const states = decodeStates(head['s']);
      if (!isCount(request) || !isName(name) || !isCount(entries) || !states) return undefined;
      return { kind: 'hello', request, name, keeping, entries, states };
    }
    case 'beat': {
      const states = decodeStates(head['s']);
      const answers = decodePairs(head['a'] ?? [], isId, isCount);
      if (!isName(name) || !isCount(entries) || !states || !answers) return undefined;
      return {
        kind: 'beat',
        full: head['u'] === 1,
        name,
        keeping,
        entries,
        states,
        answers: answers.map(([nodeId, n]) => ({ nodeId, request: n })),
      };
    }
    case 'pull': {
      const to = head['t'];
      const wants = decodePairs(head['w'], isCount, isHave);
      if (!isCount(request) || !(to === undefined || isId(to)) || !wants) return undefined;
      return { kind: 'pull', request, to, wants: wants.map(([shard, have]) => ({ shard, have })) };
    }
    case 'snapshot': {
      const state = decodeStates(head['s'])?.[0];
      const id = head['i'];
      const part = head['p'];
      if (!state || !isCount(id) || !isCount(part) || rest === undefined) return undefined;
      return { kind: 'snapshot', state, id, part, last: head['z'] === 1, body: rest };
    }
    case 'leave': {
      const states = decodeStates(head['s']);
      const items = rest === undefined ? [] : decodeItems(head['i'], rest, -1);
      return states && items && { kind: 'leave', states, items };
    }
    case 'ask': {
      const userId = head['q'];
      if (!isCount(request) || !isId(userId)) return undefined;
      return { kind: 'ask', request, userId };
    }
    case 'answer': {
      const to = head['t'];
      if (!isId(to) || !isCount(request) || rest === undefined) return undefined;
      return { kind: 'answer', to, request, body: rest };
    }
    case 'call': {
      const communityId = head['q'];
      const userIds = head['u'];
      if (!isCount(request) || !isId(communityId)) return undefined;
      if (userIds !== undefined && !(Array.isArray(userIds) && userIds.every(isId))) {
        return undefined;
      }
      return { kind: 'call', request, communityId, userIds };
    }
    case 'present': {
      const to = head['t'];
      const state = decodeStates(head['s'])?.[0];
      const part = head['p'];
      if (!isId(to) || !isCount(request) || !state || !isCount(part)) return undefined;
      if (rest === undefined) return undefined;
      return { kind: 'present', to, request, state, part, last: head['z'] === 1, body: rest };
    }
    case 'inspect': {
      const userId = head['q'];
      if (!isCount(request) || !isId(userId)) return undefined;
      return { kind: 'inspect', request, userId };
    }
    case 'survey':
      return isCount(request) ? { kind: 'survey', request } : undefined;
    case 'inspected':
    case 'surveyed': {
      const to = head['t'];
      if (!isId(to) || !isCount(request) || rest === undefined) return undefined;
      return { kind: head['k'], to, request, body: rest };
    }
    case 'evict': {
      const { q: userId, d: deviceId, g: communityId, y: reason } = head;
      if (!isCount(request) || !isId(userId) || !isReason(reason)) return undefined;
      if (!isName(deviceId) || !isName(communityId)) return undefined;
      return { kind: 'evict', request, target: { userId, deviceId, communityId }, reason };
    }
    case 'evicted': {
      const to = head['t'];
      if (!isId(to) || !isCount(request) || !isCount(entries) || rest === undefined) {
        return undefined;
      }
      return { kind: 'evicted', to, request, sockets: entries, body: rest };
    }
    default:
      return undefined;
  }
}

function numbersOf(items: readonly DeltaItem[]): [shard: number, seq: number][] {
  return items.map(({ shard, seq }) => [shard, seq]);
}

/** A line for each. */
function bodiesOf(items: readonly DeltaItem[]): string {
  let bodies = '';
  for (const { body } of items) bodies += '\n' + body;
  return bodies;
}

/** The deltas of these numbers, whose bodies are the lines of a text after `end`. */
function decodeItems(numbers: unknown, text: string, end: number): DeltaItem[] | undefined {
  if (!Array.isArray(numbers)) return undefined;
  const items: DeltaItem[] = [];
  let from = end + 1;
  for (let i = 0; i < numbers.length; i++) {
    const pair: unknown = numbers[i];
    if (!Array.isArray(pair) || from > text.length) return undefined;
    const shard: unknown = pair[0];
    const seq: unknown = pair[1];
    if (!isCount(shard) || !isCount(seq)) return undefined;
    const next = text.indexOf('\n', from);
    const to = next === -1 ? text.length : next;
    items.push({ shard, seq, body: text.slice(from, to) });
    from = to + 1;
  }
  // A line for each, and none beside.
  return from === text.length + 1 ? items : undefined;
}

function isName(value: unknown): value is string | undefined {
  return value === undefined || isId(value);
}

function isHave(value: unknown): value is number {
  return value === -1 || isCount(value);
}

function isInt32(value: unknown): value is number {
  return typeof value === 'number' && (value | 0) === value;
}

function decodeStates(value: unknown): ShardState[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const states: ShardState[] = [];
  for (const item of value) {
    if (!Array.isArray(item)) return undefined;
    const [shard, seq, a, b] = item;
    if (!isCount(shard) || !isCount(seq) || !isInt32(a) || !isInt32(b)) return undefined;
    states.push({ shard, seq, a, b });
  }
  return states;
}

function decodePairs<A, B>(
  value: unknown,
  first: (v: unknown) => v is A,
  second: (v: unknown) => v is B,
): [A, B][] | undefined {
  if (!Array.isArray(value)) return undefined;
  const pairs: [A, B][] = [];
  for (const item of value) {
    if (!Array.isArray(item)) return undefined;
    const [a, b] = item;
    if (!first(a) || !second(b)) return undefined;
    pairs.push([a, b]);
  }
  return pairs;
}
