import { listenTo, type Emitter } from './events.js';
import { kindOf } from './link.js';
import {
  besideIoRedis,
  besideNodeRedis,
  destroyNodeRedis,
  OwnConnection,
} from './own-connection.js';

/**
 * What the transport needs of a Redis client, over node-redis (4 and later) and ioredis (5 and later),
 * single, Cluster or Sentinel. Cluster clients get sharded pub/sub, the others plain: what is used
 * follows from the kind of client alone, so that nodes with the same configuration always agree.
 */
export interface ChannelLink {
  /** Commands can be sent now. */
  readonly canPublish: boolean;
  /** What is published can be heard now, as far as the client tells. */
  readonly canHear: boolean;
  /** Connects what hears. `onChange` is called whenever a connection was lost, or may have come. */
  readonly start: (
    onMessage: (channel: string, frame: Buffer) => void,
    onChange: (isLost: boolean) => void,
  ) => void;
  /** Resolves when the server has it. What waits for that has no time-out: bound it. */
  readonly publish: (channel: string, frame: string | Buffer) => Promise<unknown>;
  /** Resolves when the subscription stands. Again after a connection was lost: it may have been on that one. */
  readonly subscribe: (channel: string) => Promise<unknown>;
  readonly unsubscribe: (channel: string) => Promise<unknown>;
  /**
   * Opens a connection of its own to a master, or gives undefined where the client has no such. Once
   * it is lost it stays lost. `turn` goes round the masters of a Redis Cluster.
   */
  readonly openWatch: (turn: number) => Promise<WatchConnection | undefined>;
  /** Ends what `start` connected; the given client stays as it is. */
  readonly close: () => void;
}

/** One unbroken connection to one server. */
export interface WatchConnection {
  readonly isOpen: boolean;
  /** How many connections of this server are subscribed to each channel. */
  readonly count: (channels: readonly string[]) => Promise<readonly number[]>;
  readonly close: () => void;
}

/** node-redis: `createClient`, `createCluster` or `createSentinel`. */
interface NodeRedis extends Emitter {
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  readonly options?: NodeRedisOptions;
  /** Of a Cluster client only. */
  readonly masters?: readonly object[];
  nodeClient?(node: object): NodeRedis | Promise<NodeRedis>;
  /** Of a Sentinel client only. */
  getMasterNode?(): unknown;
  multi(): NodeRedisMulti;
  duplicate(overrides?: object): NodeRedis;
  connect(): Promise<unknown>;
  destroy?(): void | Promise<void>;
  disconnect?(): Promise<unknown>;
  sendCommand(args: readonly (string | Buffer)[]): Promise<unknown>;
  /** From version 5 on: the same client with other options for its commands. */
  withCommandOptions?(options: object): NodeRedis;
  publish(channel: string, frame: string | Buffer): Promise<unknown>;
  sPublish(channel: string, frame: string | Buffer): Promise<unknown>;
  subscribe(channel: string, listener: BufferListener, isBuffer: true): Promise<unknown>;
  sSubscribe(channel: string, listener: BufferListener, isBuffer: true): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  sUnsubscribe(channel: string): Promise<unknown>;
}

/** Of a Sentinel client, whose commands say first whether a replica may do them. */
interface NodeRedisMulti {
  addCommand(isReadonly: boolean, args: readonly string[]): NodeRedisMulti;
  exec(): Promise<readonly unknown[]>;
}

interface NodeRedisOptions {
  readonly socket?: object;
  readonly keyPrefix?: unknown;
}

type BufferListener = (frame: Buffer, channel: Buffer) => void;

/** ioredis: `Redis` or `Cluster`. */
interface IoRedis extends Emitter {
  readonly status: string;
  readonly options: { readonly keyPrefix?: unknown; readonly redisOptions?: IoRedis['options'] };
  /** Of a Cluster client only. */
  nodes?(role: 'master'): IoRedis[];
  duplicate(...args: unknown[]): IoRedis;
  connect(): Promise<unknown>;
  disconnect(): void;
  call(command: string, ...args: readonly string[]): Promise<unknown>;
  publish(channel: string, frame: string | Buffer): Promise<unknown>;
  spublish(channel: string, frame: string | Buffer): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  ssubscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  sunsubscribe(channel: string): Promise<unknown>;
}

/** @throws TypeError where it is no client, or one that cannot carry the channels. */
export function channelLinkTo(client: unknown): ChannelLink {
  return kindOf(client) === 'ioredis'
    ? ioRedisLink(client as IoRedis)
    : nodeRedisLink(client as NodeRedis);
}

function refusePrefix(isSharded: boolean, prefix: unknown): void {
  if (!isSharded || prefix === undefined || prefix === '') return;
  throw new TypeError(
    'redis is a Cluster client with a keyPrefix, which would change the names of channels on one side only; give one without',
  );
}

/** The numbers in the answer to PUBSUB NUMSUB: channel, number, channel, number, … or pairs by name. */
function readCounts(reply: unknown, channels: readonly string[]): number[] {
  if (!Array.isArray(reply) || reply.length !== 2 * channels.length) {
    throw new TypeError('PUBSUB NUMSUB answered something else');
  }
  return channels.map((_channel, i) => Number(reply[2 * i + 1]));
}

/** @throws Error where none is known: a Cluster client learns of them when it connects. */
function inTurn<T>(masters: readonly T[], turn: number): T {
  const master = masters[turn % masters.length];
  if (master === undefined) throw new Error('no master of the Redis Cluster is known');
  return master;
}

function ready(client: NodeRedis | undefined): boolean {
  return client?.isReady ?? client?.isOpen ?? false;
}

/** Which connection an answer came over, in the words of CLIENT INFO: its number, and both its ends. */
const CONNECTION = /\bid=\d+ addr=\S+ laddr=\S+/;

/**
 * A Sentinel client connects anew by itself, to whichever master there is. So each answer says which
 * connection it came over, and only those of the first count.
 */
async function openSentinelWatch(client: NodeRedis): Promise<WatchConnection> {
  const watch = client.duplicate({
    masterPoolSize: 1,
    replicaPoolSize: 0,
    reserveClient: false,
    maxCommandRediscovers: 0,
    // Who asks waits for the answer only so long.
    commandOptions: { timeout: undefined },
  });
  watch.on('error', () => {});
  await watch.connect();
  let first: string | undefined;
  return {
    get isOpen() {
      return ready(watch);
    },
    count: async (channels) => {
      const asked = watch.multi().addCommand(false, ['CLIENT', 'INFO']);
      const [info, counts] = await asked
        .addCommand(false, ['PUBSUB', 'NUMSUB', ...channels])
        .exec();
      const connection = CONNECTION.exec(String(info))?.[0];
      if (connection === undefined) throw new TypeError('CLIENT INFO answered something else');
      first ??= connection;
      if (connection !== first) throw new Error('the connection to the master is another');
      return readCounts(counts, channels);
    },
    close: () => destroyNodeRedis(watch),
  };
}

function nodeRedisLink(client: NodeRedis): ChannelLink {
  const isSharded = client.nodeClient !== undefined;
  /** Its commands go to one server: there is no need to look into each for where. */
  const isSingle = !isSharded && client.options?.socket !== undefined;
  refusePrefix(isSharded, client.options?.keyPrefix);
  const own = new OwnConnection(
    () => besideNodeRedis(client),
    () => ready(client),
  );
  let unlisten: (() => void) | undefined;
  let listener: BufferListener = () => {};
  // An AbortSignal for each command, as the client's time-out makes it, costs more than the command.
  const publisher = client.withCommandOptions?.({ timeout: undefined }) ?? client;
  return {
    get canPublish() {
      return ready(client);
    },
    get canHear() {
      return ready(own.client);
    },
    start: (onMessage, onChange) => {
      listener = (frame, channel) => onMessage(channel.toString(), frame);
      own.start(onChange);
      unlisten = listenTo(client, onChange);
    },
    publish: async (channel, frame) =>
      isSharded
        ? publisher.sPublish(channel, frame)
        : isSingle
          ? publisher.sendCommand(['PUBLISH', channel, frame])
          : publisher.publish(channel, frame),
    subscribe: async (channel) =>
      isSharded
        ? own.client?.sSubscribe(channel, listener, true)
        : own.client?.subscribe(channel, listener, true),
    unsubscribe: async (channel) =>
      isSharded ? own.client?.sUnsubscribe(channel) : own.client?.unsubscribe(channel),
    openWatch: async (turn) => {
      if (client.getMasterNode !== undefined) return openSentinelWatch(client);
      let master = client;
      if (client.nodeClient !== undefined) {
        master = await client.nodeClient(inTurn(client.masters ?? [], turn));
      }
      if (master.options?.socket === undefined) return undefined;
      const watch = master.duplicate({
        disableOfflineQueue: true,
        // Who asks waits for the answer only so long.
        commandOptions: { timeout: undefined },
        // It is quiet while there is nobody to look for.
        socket: { ...master.options.socket, reconnectStrategy: false, socketTimeout: undefined },
      });
      watch.on('error', () => {});
      await watch.connect();
      const command = ['PUBSUB', isSharded ? 'SHARDNUMSUB' : 'NUMSUB'];
      return {
        get isOpen() {
          return ready(watch);
        },
        count: async (channels) =>
          readCounts(await watch.sendCommand([...command, ...channels]), channels),
        close: () => destroyNodeRedis(watch),
      };
    },
    close: () => {
      unlisten?.();
      own.close();
    },
  };
}

function ioRedisLink(client: IoRedis): ChannelLink {
  const isSharded = client.nodes !== undefined;
  const { keyPrefix, redisOptions } = client.options;
  refusePrefix(isSharded, keyPrefix ?? redisOptions?.keyPrefix);
  let onFrame: (channel: Buffer, frame: Buffer) => void = () => {};
  const own = new OwnConnection(
    () => {
      const opened = besideIoRedis(client, isSharded ? { shardedSubscribers: true } : {});
      opened.client.on(isSharded ? 'smessageBuffer' : 'messageBuffer', onFrame);
      return opened;
    },
    () => client.status === 'ready',
  );
  let unlisten: (() => void) | undefined;
  /** A Cluster client takes note of a channel each time: it would subscribe to it so many times in the end. */
  const noted = new Set<string>();
  const end = (each: IoRedis): void => {
    each.on('error', () => {});
    each.disconnect();
  };
  return {
    get canPublish() {
      return client.status === 'ready';
    },
    get canHear() {
      return own.client?.status === 'ready';
    },
    start: (onMessage, onChange) => {
      onFrame = (channel, frame) => onMessage(channel.toString(), frame);
      own.start(onChange);
      unlisten = listenTo(client, onChange);
    },
    publish: async (channel, frame) =>
      isSharded ? client.spublish(channel, frame) : client.publish(channel, frame),
    subscribe: async (channel) => {
      if (!isSharded) return own.client?.subscribe(channel);
      if (noted.has(channel)) await own.client?.sunsubscribe(channel);
      noted.add(channel);
      return own.client?.ssubscribe(channel);
    },
    unsubscribe: async (channel) => {
      if (!isSharded) return own.client?.unsubscribe(channel);
      noted.delete(channel);
      return own.client?.sunsubscribe(channel);
    },
    openWatch: async (turn) => {
      const masters = client.nodes?.('master');
      const master = masters === undefined ? client : inTurn(masters, turn);
      const watch = master.duplicate({
        enableOfflineQueue: false,
        lazyConnect: true,
        maxRetriesPerRequest: 0,
        retryStrategy: () => null,
      });
      watch.on('error', () => {});
      try {
        await watch.connect();
      } catch (error) {
        end(watch);
        throw error;
      }
      const kind = isSharded ? 'SHARDNUMSUB' : 'NUMSUB';
      return {
        get isOpen() {
          return watch.status === 'ready';
        },
        count: async (channels) =>
          readCounts(await watch.call('PUBSUB', kind, ...channels), channels),
        close: () => end(watch),
      };
    },
    close: () => {
      unlisten?.();
      own.close();
    },
  };
}
