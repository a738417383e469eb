import { inTime } from '../transport/in-time.js';
import { listenTo, type Emitter, type OnChange } from './events.js';
import { besideIoRedis, besideNodeRedis, OwnConnection } from './own-connection.js';
import type { Script } from './scripts.js';

/**
 * What is needed of a Redis client, over node-redis (4 and later) and ioredis (5 and later), single or
 * Cluster. Which of them it is, is found by what it can do.
 */
export interface RedisLink {
  /** Both connections are up, as far as the client tells. */
  readonly isReady: boolean;
  /** The given client is connected. */
  readonly isUp: boolean;
  /** Connects what is needed beside the given client, and tells of every change of `isReady`. */
  readonly start: (onState: (isReady: boolean) => void) => void;
  readonly run: (
    script: Script,
    keys: readonly string[],
    args: readonly string[],
  ) => Promise<unknown>;
  readonly get: (key: string) => Promise<string | null>;
  readonly setFor: (key: string, value: string, ms: number) => Promise<unknown>;
  readonly subscribe: (channel: string, listener: (text: string) => void) => Promise<unknown>;
  readonly unsubscribe: (channel: string) => Promise<unknown>;
  /** Ends what `start` connected; the given client stays as it is. */
  readonly close: () => void;
}

/** A command that has not been answered by then counts as failed. */
const ANSWER_MS = 2000;

/** Waits for an answer of Redis, but not for ever. */
export function answered<T>(promise: Promise<T>, ms = ANSWER_MS): Promise<T> {
  return inTime(promise, ms, 'Redis');
}

/** node-redis: `createClient` or `createCluster`. */
interface NodeRedis extends Emitter {
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  duplicate(): NodeRedis;
  connect(): Promise<unknown>;
  destroy?(): void;
  disconnect?(): Promise<unknown>;
  evalSha(sha: string, options: EvalOptions): Promise<unknown>;
  eval(source: string, options: EvalOptions): Promise<unknown>;
  get(key: string): Promise<string | null>;
  set(key: string, value: string, options: { PX: number }): Promise<unknown>;
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

interface EvalOptions {
  keys: string[];
  arguments: string[];
}

/** ioredis: `Redis` or `Cluster`. */
interface IoRedis extends Emitter {
  readonly status: string;
  /** Of a Cluster client only. */
  readonly nodes?: unknown;
  duplicate(...args: unknown[]): IoRedis;
  disconnect(): void;
  evalsha(sha: string, keyCount: number, ...rest: string[]): Promise<unknown>;
  eval(source: string, keyCount: number, ...rest: string[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  set(key: string, value: string, px: 'PX', ms: number): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** @throws TypeError where it is neither. */
export function linkTo(client: unknown): RedisLink {
  return kindOf(client) === 'ioredis'
    ? ioRedisLink(client as IoRedis)
    : nodeRedisLink(client as NodeRedis);
}

/** @throws TypeError where it is neither. */
export function kindOf(client: unknown): 'node-redis' | 'ioredis' {
  if (typeof client === 'object' && client !== null) {
    if ('defineCommand' in client) return 'ioredis';
    if ('evalSha' in client) return 'node-redis';
  }
  throw new TypeError('redis must be a client of node-redis (redis 4 or later) or of ioredis');
}

/** Tells of every change of a condition that the events of either client may have brought about. */
function follow(
  client: Emitter,
  own: OwnConnection<Emitter>,
  isReady: () => boolean,
  onState: (isReady: boolean) => void,
): () => void {
  let was = isReady();
  const look = (): void => {
    const is = isReady();
    if (is === was) return;
    was = is;
    onState(is);
  };
  // A client sets its state around the event, so it is looked at afterwards too.
  const onChange: OnChange = () => {
    look();
    queueMicrotask(look);
  };
  own.start(onChange);
  return listenTo(client, onChange);
}

async function withScript(
  bySha: () => Promise<unknown>,
  bySource: () => Promise<unknown>,
): Promise<unknown> {
  try {
    return await bySha();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return bySource();
    throw error;
  }
}

function nodeRedisLink(client: NodeRedis): RedisLink {
  // A cluster client tells only whether it is open.
  const ready = (each: NodeRedis | undefined): boolean => each?.isReady ?? each?.isOpen ?? false;
  const own = new OwnConnection(
    () => besideNodeRedis(client),
    () => ready(client),
  );
  const isReady = (): boolean => ready(client) && ready(own.client);
  let unfollow: (() => void) | undefined;
  return {
    get isReady() {
      return isReady();
    },
    get isUp() {
      return ready(client);
    },
    start: (onState) => {
      unfollow = follow(client, own, isReady, onState);
    },
    run: (script, keys, args) => {
      const options = { keys: [...keys], arguments: [...args] };
      return withScript(
        () => client.evalSha(script.sha, options),
        () => client.eval(script.source, options),
      );
    },
    get: (key) => client.get(key),
    setFor: (key, value, ms) => client.set(key, value, { PX: ms }),
    subscribe: async (channel, listener) => {
      await own.client?.unsubscribe(channel);
      return own.client?.subscribe(channel, listener);
    },
    unsubscribe: async (channel) => own.client?.unsubscribe(channel),
    close: () => {
      unfollow?.();
      own.close();
    },
  };
}

function ioRedisLink(client: IoRedis): RedisLink {
  const listeners = new Map<string, (text: string) => void>();
  const onMessage = (channel: string, text: string): void => listeners.get(channel)?.(text);
  const isUp = (): boolean => client.status === 'ready';
  const own = new OwnConnection(() => {
    const opened = besideIoRedis(client);
    opened.client.on('message', onMessage);
    return opened;
  }, isUp);
  const isReady = (): boolean => isUp() && own.client?.status === 'ready';
  let unfollow: (() => void) | undefined;
  return {
    get isReady() {
      return isReady();
    },
    get isUp() {
      return isUp();
    },
    start: (onState) => {
      unfollow = follow(client, own, isReady, onState);
    },
    run: (script, keys, args) =>
      withScript(
        () => client.evalsha(script.sha, keys.length, ...keys, ...args),
        () => client.eval(script.source, keys.length, ...keys, ...args),
      ),
    get: (key) => client.get(key),
    setFor: (key, value, ms) => client.set(key, value, 'PX', ms),
    subscribe: async (channel, listener) => {
      listeners.set(channel, listener);
      return own.client?.subscribe(channel);
    },
    unsubscribe: async (channel) => {
      listeners.delete(channel);
      return own.client?.unsubscribe(channel);
    },
    close: () => {
      unfollow?.();
      own.close();
    },
  };
}
