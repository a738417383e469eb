import { PresenceNode, type Effect, type Instant } from '../core/index.js';
import type { Engine, EngineOptions, Strategy } from './engine.js';
import { replicated } from './replicated.js';

/**
 * What an engine was given, as lines of JSON, so that an incident can be stepped through elsewhere: the
 * core has no clock, timer or chance of its own, and the same inputs make it believe the same.
 * The first line is the header, every further one an input: `[method, ...arguments]`.
 */

const VERSION = 1;

/** The methods of an engine that change it. */
const INPUTS = new Set<PropertyKey>([
  'start',
  'meetOthers',
  'close',
  'connect',
  'join',
  'leave',
  'update',
  'disconnect',
  'alive',
  'suspend',
  'resume',
  'receive',
  'probed',
  'gone',
  'returned',
  'showLife',
  'strained',
  'tick',
  'touch',
  'fetch',
  'fetchUser',
  'explain',
  'evict',
  'survey',
] satisfies (keyof PresenceNode)[]);

interface Header {
  readonly recording: number;
  readonly seed: number;
  readonly options: Omit<EngineOptions, 'random'>;
}

/** `replicated`, with every input of its engine handed to `write` as a line without its line break. */
export function recorded(
  write: (line: string) => void,
  strategy: Strategy = replicated(),
): Strategy {
  return {
    ...strategy,
    createEngine: ({ random, ...options }) => {
      const seed = Math.floor(random() * 4_294_967_296);
      const header: Header = { recording: VERSION, seed, options };
      write(JSON.stringify(header));
      return watch(strategy.createEngine({ ...options, random: seeded(seed) }), write);
    },
  };
}

function watch(engine: Engine, write: (line: string) => void): Engine {
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(engine, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      let method = wrapped.get(name);
      if (method === undefined) {
        const isInput = INPUTS.has(name);
        method = (...args: unknown[]): unknown => {
          if (isInput) write(JSON.stringify([name, ...args]));
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
        wrapped.set(name, method);
      }
      return method;
    },
  });
}

/** Numbers in [0, 1) from a seed: mulberry32 (Ettinger). Enough for jitter. */
function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One input and what followed from it. */
export interface Step {
  readonly input: string;
  readonly args: readonly unknown[];
  /** The time that the input came with; undefined for the few without. */
  readonly at: Instant | undefined;
  readonly effects: readonly Effect[];
  /** As it was after this step. */
  readonly node: PresenceNode;
}

/** A recording cannot be read: its message says where and why. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/** Steps a core through a recording. A last line that was cut off is left out. */
export async function* replay(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<Step> {
  let node: PresenceNode | undefined;
  let number = 0;
  let broken: number | undefined;
  for await (const line of lines) {
    number++;
    if (broken !== undefined) throw new RecordingError(`line ${broken} is not JSON`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      broken = number;
      continue;
    }
    if (node === undefined) {
      node = begin(value);
      continue;
    }
    if (!Array.isArray(value) || !INPUTS.has(value[0] as string)) {
      throw new RecordingError(`line ${number} is not an input of a node`);
    }
    const [input, ...args] = value as [keyof PresenceNode & string, ...unknown[]];
    (node[input] as (...args: unknown[]) => unknown)(...args);
    const last = args.at(-1);
    const at = isInstant(last) ? last : undefined;
    yield { input, args, at, effects: node.take(), node };
  }
  if (node === undefined) throw new RecordingError('it is empty');
}

function begin(value: unknown): PresenceNode {
  const { recording, seed, options } = (value ?? {}) as Partial<Header>;
  if (recording !== VERSION || seed === undefined || options === undefined) {
    throw new RecordingError('it does not begin with the header of a recording of this version');
  }
  const { cluster, ...rest } = options;
  return new PresenceNode({
    ...rest,
    ...(cluster !== undefined && { cluster }),
    random: seeded(seed),
  });
}

function isInstant(value: unknown): value is Instant {
  return typeof value === 'object' && value !== null && 'now' in value && 'wall' in value;
}
