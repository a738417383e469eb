import type { Namespace } from 'socket.io';
import type { OnAsked, Transport } from './transport.js';

/**
 * Node-to-node messages over the adapter that the application already has: fire-and-forget
 * `serverSideEmit` of one private event with one pre-encoded string. No acknowledgements: on a fresh
 * node they report success with nobody, and one hung node delays them by seconds.
 */

/** The event's number is the protocol's version: nodes of another version do not even parse it. */
const EVENT = 'rollcall:1';

/**
 * The roll call has the name that hand-rolled servers use for it. Its arguments are the request and an
 * acknowledgement, which they need; rollcall itself answers by messages, because an acknowledgement
 * says neither who answered nor whether all did.
 */
const ROLL_CALL = 'getAllPresence';

/** What rollcall needs of an adapter, found by what it can do: bundlers give classes other names. */
interface AnyAdapter {
  readonly serverCount?: () => Promise<number>;
  readonly serverSideEmit?: (packet: unknown[]) => unknown;
  pubClient?: AnyRedisClient;
  readonly subClient?: AnyRedisClient;
  /** Of the classic Redis adapter only. */
  readonly requestChannel?: string;
  /** Of the Redis streams adapter only. */
  readonly onRawMessage?: unknown;
  /** Of those that are made of socket.io-adapter's `ClusterAdapter`. */
  readonly doPublish?: unknown;
}

/** `isReady` is node-redis, `status` is ioredis. */
interface AnyRedisClient {
  readonly isReady?: boolean;
  readonly status?: string;
  readonly publish?: (...args: unknown[]) => unknown;
}

type Ack = (users: unknown) => void;

/** Made once for an adapter and the client that it has: both may be replaced. */
interface Sender {
  readonly adapter: AnyAdapter;
  readonly pubClient: AnyRedisClient | undefined;
  readonly caught: AnyAdapter;
}

type AdapterKind = 'memory' | 'cluster' | 'redis' | 'redis-streams' | 'other';

export function socketIoTransport(nsp: Namespace): Transport {
  // `io.adapter(fn)` replaces the adapter, so it is looked up each time.
  const adapter = (): AnyAdapter => nsp.adapter as unknown as AnyAdapter;
  const emitter = nsp as unknown as {
    on(event: string, listener: (...args: unknown[]) => void): void;
    off(event: string, listener: (...args: unknown[]) => void): void;
  };
  let listener: ((...args: unknown[]) => void) | undefined;
  let answerer: ((...args: unknown[]) => void) | undefined;
  let sender: Sender | undefined;
  const emit = (...packet: unknown[]): boolean => {
    const current = adapter();
    const { pubClient } = current;
    // A command that Redis clients queue while offline may end the process when it times out.
    if (pubClient !== undefined && !isConnected(pubClient)) return false;
    if (sender?.adapter !== current || sender.pubClient !== pubClient) {
      sender = { adapter: current, pubClient, caught: caught(current) };
    }
    try {
      sender.caught.serverSideEmit?.(packet);
      return true;
    } catch {
      return false;
    }
  };
  return {
    get kind() {
      return kindOf(adapter());
    },
    get isSolo() {
      return kindOf(adapter()) === 'memory';
    },
    get canProbe() {
      return kindOf(adapter()) !== 'other';
    },
    start: (onMessage, onAsked) => {
      listener = harmless((data) => onMessage(data));
      answerer = harmless((...args) => answer(args, adapter(), onMessage, onAsked));
      emitter.on(EVENT, listener);
      emitter.on(ROLL_CALL, answerer);
    },
    publish: (data) => emit(EVENT, data),
    call: (data) => emit(ROLL_CALL, data, () => {}),
    probe: async () => {
      const current = adapter();
      try {
        return await probe(current);
      } catch {
        return false;
      }
    },
    close: () => {
      if (listener !== undefined) emitter.off(EVENT, listener);
      if (answerer !== undefined) emitter.off(ROLL_CALL, answerer);
    },
  };
}

/**
 * The classic Redis adapter looks after none of the commands that it sends. node-redis rejects those that were
 * under way when the connection was lost, which would end the process: what rollcall sends is caught.
 */
function caught(adapter: AnyAdapter): AnyAdapter {
  const pubClient = catching(adapter);
  if (pubClient === undefined) return adapter;
  return Object.create(adapter, {
    pubClient: { value: pubClient },
    serverCount: { value: () => adapter.serverCount?.() },
  }) as AnyAdapter;
}

/** An acknowledgement is sent by the adapter itself, while it is called, over the client that it has then. */
function caughtAck(adapter: AnyAdapter, ack: Ack): Ack {
  return (users) => {
    const { pubClient } = adapter;
    const instead = catching(adapter);
    if (instead === undefined) return ack(users);
    adapter.pubClient = instead;
    try {
      ack(users);
    } finally {
      adapter.pubClient = pubClient as AnyRedisClient;
    }
  };
}

/** What publishes instead of the client of an adapter that does not look after it. */
function catching(adapter: AnyAdapter): AnyRedisClient | undefined {
  const { pubClient } = adapter;
  if (pubClient === undefined || adapter.requestChannel === undefined) return undefined;
  const publish = async (...args: unknown[]): Promise<void> => {
    try {
      await pubClient.publish?.(...args);
    } catch {
      // It is lost, as any message may be.
    }
  };
  return { publish };
}

/** A throwing handler would end the process on some adapters. The receiver reports its own faults. */
function harmless(handler: (...args: unknown[]) => void): (...args: unknown[]) => void {
  return (...args) => {
    try {
      handler(...args);
    } catch {
      // Nothing may reach the adapter.
    }
  };
}

/** A roll call of rollcall is a message; anything else is a server without it that wants a list. */
function answer(
  args: readonly unknown[],
  adapter: AnyAdapter,
  onMessage: (data: unknown) => void,
  onAsked: OnAsked | undefined,
): void {
  const last = args.at(-1);
  const ack = typeof last === 'function' ? caughtAck(adapter, last as Ack) : undefined;
  const [first] = args;
  if (typeof first === 'string' && first.startsWith('{"v":')) {
    ack?.([]);
    onMessage(first);
    return;
  }
  ack?.(onAsked?.(communityIn(first)) ?? []);
}

function communityIn(argument: unknown): string | undefined {
  if (typeof argument === 'string') return argument;
  if (typeof argument !== 'object' || argument === null) return undefined;
  const { communityId } = argument as { communityId?: unknown };
  return typeof communityId === 'string' ? communityId : undefined;
}

function isConnected(client: AnyRedisClient): boolean {
  if (typeof client.isReady === 'boolean') return client.isReady;
  if (typeof client.status === 'string') return client.status === 'ready';
  return true;
}

async function probe(adapter: AnyAdapter): Promise<boolean> {
  switch (kindOf(adapter)) {
    case 'memory':
    case 'other':
      return true;
    case 'cluster':
      // The IPC channel to the primary is the medium.
      return process.connected === true;
    case 'redis':
    case 'redis-streams': {
      const { pubClient, subClient } = adapter;
      if (pubClient !== undefined && !isConnected(pubClient)) return false;
      if (subClient !== undefined && !isConnected(subClient)) return false;
      // Redis counts our own subscription too: 0 means that it is not there (yet).
      return ((await adapter.serverCount?.()) ?? 0) >= 1;
    }
  }
}

function kindOf(adapter: AnyAdapter): AdapterKind {
  // All that Socket.IO's own adapter does of it is to warn.
  if (String(adapter.serverSideEmit).includes('does not support the serverSideEmit')) {
    return 'memory';
  }
  if (adapter.subClient !== undefined && adapter.pubClient !== undefined) return 'redis';
  if (adapter.onRawMessage !== undefined) return 'redis-streams';
  // It has nothing of its own but what it does.
  if (String(adapter.doPublish).includes('process.send(')) return 'cluster';
  return 'other';
}
