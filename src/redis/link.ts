import { inTime } from '../transport/in-time.js';
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

type Listener = (...args: never[]) => void;

/** What every client can do. */
export interface Emitter {
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
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

/**
 * ioredis options of a connection of ours, however the application's own is set up. Nobody catches it
 * where a subscription is refused that ioredis makes anew by itself: who subscribed does it.
 */
export const OWN_CONNECTION = { lazyConnect: false, autoResubscribe: false };

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

const CHANGES = ['ready', 'end', 'close', 'error', 'reconnecting'];

/** Tells of every change of a condition that the clients' events may have brought about. */
function follow(
  clients: readonly Emitter[],
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
  const onChange = (): void => {
    look();
    queueMicrotask(look);
  };
  for (const client of clients) for (const event of CHANGES) client.on(event, onChange);
  return () => {
    for (const client of clients) for (const event of CHANGES) client.off(event, onChange);
  };
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
  let subscriber: NodeRedis | undefined;
  // A cluster client tells only whether it is open.
  const ready = (each: NodeRedis | undefined): boolean => each?.isReady ?? each?.isOpen ?? false;
  const isReady = (): boolean => ready(client) && ready(subscriber);
  let unfollow: (() => void) | undefined;
  return {
    get isReady() {
      return isReady();
    },
    get isUp() {
      return ready(client);
    },
    start: (onState) => {
      subscriber = client.duplicate();
      unfollow = follow([client, subscriber], isReady, onState);
      subscriber.connect().then(
        () => onState(isReady()),
        () => onState(false),
      );
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
      await subscriber?.unsubscribe(channel);
      return subscriber?.subscribe(channel, listener);
    },
    unsubscribe: async (channel) => subscriber?.unsubscribe(channel),
    close: () => {
      unfollow?.();
      subscriber?.on('error', () => {});
      if (subscriber?.isOpen !== true) return;
      if (subscriber.destroy !== undefined) subscriber.destroy();
      else void subscriber.disconnect?.().catch(() => {});
    },
  };
}

function ioRedisLink(client: IoRedis): RedisLink {
  let subscriber: IoRedis | undefined;
  const listeners = new Map<string, (text: string) => void>();
  const isReady = (): boolean => client.status === 'ready' && subscriber?.status === 'ready';
  let unfollow: (() => void) | undefined;
  const onMessage = (channel: string, text: string): void => listeners.get(channel)?.(text);
  return {
    get isReady() {
      return isReady();
    },
    get isUp() {
      return client.status === 'ready';
    },
    start: (onState) => {
      subscriber =
        client.nodes === undefined
          ? client.duplicate(OWN_CONNECTION)
          : client.duplicate([], OWN_CONNECTION);
      subscriber.on('message', onMessage);
      unfollow = follow([client, subscriber], isReady, onState);
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
      return subscriber?.subscribe(channel);
    },
    unsubscribe: async (channel) => {
      listeners.delete(channel);
      return subscriber?.unsubscribe(channel);
    },
    close: () => {
      unfollow?.();
      subscriber?.on('error', () => {});
      subscriber?.disconnect();
    },
  };
}
