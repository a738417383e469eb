import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter';
import type { Logger } from 'pino';
import {
  AbortError,
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  createClient,
  DisconnectsClientError,
  SocketClosedUnexpectedlyError,
  SocketTimeoutError,
  TimeoutError,
} from 'redis';
import { FaultError, UsageError } from './errors.js';

export type RedisAdapterKind = 'redis' | 'redis-sharded' | 'redis-streams';

/** A connection to Redis, and a Socket.IO adapter over it where one is wanted. */
export interface RedisAdapter {
  readonly adapter: ReturnType<typeof createAdapter> | undefined;
  /** The connection for commands. */
  readonly client: Client;
  readonly close: () => Promise<void>;
}

type Client = ReturnType<typeof createClient>;

const CONNECT_TIMEOUT_MS = 5000;
const RECONNECT_MAX_MS = 1000;
/** Keys and channels of rollcall's servers, apart from other applications on the same Redis. */
const PREFIX = 'rollcall';

export async function connectRedis(
  url: string,
  kind: RedisAdapterKind | 'memory',
  logger: Logger,
): Promise<RedisAdapter> {
  const shown = hidePassword(url);
  const state = { started: false };
  const publisher = makeClient(url, state);
  const subscriber = publisher.duplicate();
  for (const [role, client] of [
    ['publisher', publisher],
    ['subscriber', subscriber],
  ] as const) {
    watch(client, role, state, logger);
  }
  try {
    await withTimeout(Promise.all([publisher.connect(), subscriber.connect()]));
  } catch (error) {
    publisher.destroy();
    subscriber.destroy();
    throw new FaultError(
      `Redis at ${shown} cannot be reached (${reasonOf(error)}); start it, or check --redis`,
    );
  }
  state.started = true;
  if (kind === 'redis-sharded') await requireVersion7(publisher, shown);
  const guarded = guard(publisher, logger);
  const adapter =
    kind === 'memory'
      ? undefined
      : kind === 'redis'
        ? createAdapter(guarded, subscriber, { key: PREFIX })
        : kind === 'redis-sharded'
          ? createShardedAdapter(guarded, subscriber, { channelPrefix: PREFIX })
          : createStreamsAdapter(guarded, { streamName: PREFIX, channelPrefix: PREFIX });
  return {
    adapter: adapter as ReturnType<typeof createAdapter> | undefined,
    client: publisher,
    close: async () => {
      // Lets what was published last (the leave) go out, and the adapter's unsubscribing be answered.
      const clients = [publisher, subscriber];
      const ready = clients.filter((client) => client.isReady);
      await Promise.allSettled(ready.map((client) => withTimeout(client.ping())));
      for (const client of clients) if (client.isOpen) client.destroy();
    },
  };
}

/** What a command ends with that Redis has not answered. One that Redis refuses (`NOPERM`) must be seen. */
const UNANSWERED = [
  AbortError,
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  DisconnectsClientError,
  SocketClosedUnexpectedlyError,
  SocketTimeoutError,
  TimeoutError,
];
const SOCKET_FAILURES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/**
 * Whether a command to Redis went without an answer, and nothing else. The adapters look after few of
 * their commands, so that this comes as a rejection that nobody handles.
 */
export function wentUnanswered(error: unknown): boolean {
  if (UNANSWERED.some((kind) => error instanceof kind)) return true;
  return error instanceof Error && SOCKET_FAILURES.has((error as NodeJS.ErrnoException).code ?? '');
}

/** Before the node has started, Redis must be there; afterwards it may go and come back. */
interface Start {
  started: boolean;
}

function makeClient(url: string, state: Start): Client {
  try {
    return createClient({
      url,
      // A command that waits while Redis is away must not end in a rejection that nobody handles.
      commandOptions: { timeout: 0 },
      socket: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        reconnectStrategy: (retries, cause) =>
          state.started
            ? Math.min(50 * 2 ** retries, RECONNECT_MAX_MS) * (0.75 + Math.random() / 2)
            : cause,
      },
    }) as Client;
  } catch {
    throw new UsageError('--redis must be a URL such as redis://127.0.0.1:6379');
  }
}

/** Says once that a connection was lost, and once that it is back. */
function watch(client: Client, role: string, state: Start, logger: Logger): void {
  let lost = false;
  client.on('error', (error: Error) => {
    if (lost || !state.started || !client.isOpen) return;
    lost = true;
    logger.warn(
      { event: 'redis-lost', role, error: error.message },
      'the connection to Redis was lost; reconnecting',
    );
  });
  client.on('ready', () => {
    if (!lost) return;
    lost = false;
    logger.info({ event: 'redis-back', role }, 'the connection to Redis is back');
  });
}

/** Commands whose results the adapters ignore, so that a rejection would end the process. */
const UNWATCHED = new Set<PropertyKey>(['publish', 'sPublish', 'xAdd', 'set']);

/** While Redis is away these commands are dropped: sent late they would be of no use to anybody. */
function guard(client: Client, logger: Logger): Client {
  return new Proxy(client, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const method = value as (...args: unknown[]) => unknown;
      if (!UNWATCHED.has(property)) return method.bind(target);
      return (...args: unknown[]) => {
        if (!target.isReady) return Promise.resolve(0);
        return (method.apply(target, args) as Promise<unknown>).catch((error: Error) => {
          logger.debug(
            { event: 'redis-command-failed', error: error.message },
            'a message was lost',
          );
          return 0;
        });
      };
    },
  });
}

async function requireVersion7(client: Client, shown: string): Promise<void> {
  // Not INFO, which a user of Redis without dangerous commands may not call.
  const { version } = await client.hello();
  if (Number.parseInt(version, 10) < 7) {
    throw new FaultError(
      `Redis at ${shown} is older than 7.0, which --adapter redis-sharded needs; use --adapter redis`,
    );
  }
}

async function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), CONNECT_TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) {
    return error.errors[0].message;
  }
  return error instanceof Error ? error.message || error.name : String(error);
}

/** A password may hold anything, an @ as well: what is shown is taken from the parts, not cut out. */
function hidePassword(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
