import { listenTo, type Emitter, type OnChange } from './events.js';

/** One that has ended for good is made anew after this. */
const AGAIN_MS = 1000;

/** A connection of ours that has begun to connect. */
export interface Opened<T> {
  readonly client: T;
  /** Of a client that does not tell each outcome by an event: settles when the first attempt has one. */
  readonly connecting?: Promise<unknown>;
  /** It will not connect again by itself. */
  readonly hasEnded: () => boolean;
  /** May be called again. */
  readonly end: () => void;
}

/** A connection of ours beside the application's, made anew where it ends while that one is there. */
export class OwnConnection<T extends Emitter> {
  readonly #open: () => Opened<T>;
  readonly #isWanted: () => boolean;
  #onChange: OnChange = () => {};
  #opened: Opened<T> | undefined;
  #unlisten: (() => void) | undefined;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  /** `isWanted`: the application's connection is up. */
  constructor(open: () => Opened<T>, isWanted: () => boolean) {
    this.#open = open;
    this.#isWanted = isWanted;
  }

  get client(): T | undefined {
    return this.#opened?.client;
  }

  start(onChange: OnChange): void {
    this.#onChange = onChange;
    this.#begin();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    this.#unlisten?.();
    this.#opened?.end();
  }

  #begin(): void {
    const opened = this.#open();
    this.#opened = opened;
    const changed = (isLost: boolean): void => {
      this.#onChange(isLost);
      if (opened.hasEnded()) this.#renewLater();
    };
    this.#unlisten = listenTo(opened.client, changed);
    // What connects after it was ended is ended once more.
    const settled = (): void => (this.#closed ? opened.end() : changed(false));
    opened.connecting?.then(settled, settled);
  }

  #renewLater(): void {
    if (this.#closed) return;
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      if (this.#opened?.hasEnded() !== true) return;
      if (!this.#isWanted()) {
        this.#renewLater();
        return;
      }
      this.#unlisten?.();
      this.#opened.end();
      this.#begin();
      this.#onChange(true);
    }, AGAIN_MS).unref();
  }
}

/** What of node-redis is needed for that. */
interface NodeRedis<T> extends Emitter {
  readonly isOpen: boolean;
  readonly options?: NodeRedisOptions;
  /** Of a Cluster client, whose connections take these for their options. */
  readonly _options?: { readonly defaults?: NodeRedisOptions };
  /** Of a Cluster client only: the connections to its nodes, and the one that subscribes. */
  readonly nodeByAddress?: ReadonlyMap<string, { readonly client?: Connection | undefined }>;
  readonly pubSubNode?: { readonly client: Connection } | undefined;
  /** Of a Sentinel client only. */
  readonly getMasterNode?: unknown;
  duplicate(overrides?: object): T;
  connect(): Promise<unknown>;
  destroy?(): void | Promise<void>;
  disconnect?(): Promise<unknown>;
}

interface Connection {
  readonly isOpen: boolean;
  readonly isReady: boolean;
}

interface NodeRedisOptions {
  readonly socket?: { readonly socketTimeout?: number };
  readonly pingInterval?: number;
}

export function besideNodeRedis<T extends NodeRedis<T>>(client: T): Opened<T> {
  const own = client.duplicate(overrides(client));
  const connecting = own.connect();
  const isSentinel = client.getMasterNode !== undefined;
  let isTrying = true;
  const tried = (): void => void (isTrying = false);
  own.on('reconnecting', () => void (isTrying = true));
  own.on('ready', tried);
  own.on('error', tried);
  connecting.then(tried, tried);
  const destroy = (): void => destroyNodeRedis(own);
  let isEnding = false;
  const end = (): void => {
    if (isSentinel || (!isTrying && !connectionsOf(own).some(isConnecting))) {
      destroy();
    } else if (!isEnding) {
      // A socket that is about to be connected is not reached, and stays when it is.
      isEnding = true;
      for (const event of ['ready', 'node-ready']) own.on(event, end);
      for (const event of ['error', 'node-error']) own.on(event, destroy);
    }
  };
  return { client: own, connecting, hasEnded: () => !own.isOpen, end };
}

function connectionsOf({ nodeByAddress, pubSubNode }: NodeRedis<unknown>): Connection[] {
  const nodes = [...(nodeByAddress?.values() ?? []), pubSubNode];
  return nodes.flatMap((node) => node?.client ?? []);
}

function isConnecting({ isOpen, isReady }: Connection): boolean {
  return isOpen && !isReady;
}

export function destroyNodeRedis(
  client: Pick<NodeRedis<unknown>, 'destroy' | 'disconnect' | 'on'>,
): void {
  client.on('error', () => {});
  // A Sentinel client takes a while to end, and others throw where they are closed already.
  const destroying = async (): Promise<unknown> => client.destroy?.() ?? client.disconnect?.();
  destroying().catch(() => {});
}

/**
 * Subscriptions may be quiet for longer than `socketTimeout`, which ends a connection for good. With
 * pings it ends only those of which the other end is gone.
 */
function overrides<T>({ options, _options }: NodeRedis<T>): object {
  const defaults = _options?.defaults;
  if (defaults !== undefined) return { defaults: { ...defaults, ...pings(defaults) } };
  return pings(options);
}

function pings({ socket, pingInterval }: NodeRedisOptions = {}): object {
  const quietMs = socket?.socketTimeout;
  if (!quietMs) return {};
  return { pingInterval: Math.min(pingInterval || Infinity, quietMs / 3) };
}

/** What of ioredis is needed for that. */
interface IoRedis<T> extends Emitter {
  readonly status: string;
  /** Of a Cluster client only. */
  readonly nodes?: unknown;
  duplicate(...args: unknown[]): T;
  disconnect(): void;
}

/**
 * However the application's own is set up. Nobody catches it where a subscription is refused that ioredis
 * makes anew by itself: who subscribed does it.
 */
const IOREDIS_OPTIONS = { lazyConnect: false, autoResubscribe: false };

export function besideIoRedis<T extends IoRedis<T>>(client: T, more: object = {}): Opened<T> {
  const options = { ...IOREDIS_OPTIONS, ...more };
  const own =
    client.nodes === undefined ? client.duplicate(options) : client.duplicate([], options);
  return {
    client: own,
    hasEnded: () => own.status === 'end',
    end: () => {
      own.on('error', () => {});
      own.disconnect();
    },
  };
}
