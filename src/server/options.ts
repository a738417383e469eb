import type { Socket } from 'socket.io';
import type { Data, SettableStatus, UserPresence } from '../core/index.js';
import type { LastSeen } from '../redis/index.js';
import { onDemand, replicated, type Strategy } from '../strategy/index.js';
import type { Transport } from '../transport/index.js';
import { PresenceError } from './errors.js';
import { DEFAULT_LIMITS, type PresenceLimits } from './limits.js';

/** Who a socket is. Comes from the application, never unchecked from the client. */
export interface PresenceIdentity {
  readonly userId: string;
  /** One tab, phone or connection, stable over its reconnects. Default: the socket's id. */
  readonly deviceId?: string;
  /** What the application says of the user: name, avatar. Shown to everybody in the community. */
  readonly info?: Data;
  /** Communities to join at once. */
  readonly communities?: readonly string[];
  /** The client's own count of its connections; orders reconnects of one device. */
  readonly session?: number;
  /** Status to start with, so that somebody invisible does not flash up on reconnecting. */
  readonly status?: SettableStatus;
}

/** Where log lines go; pino's loggers fit. */
export interface PresenceLogger {
  readonly info: (data: object, message: string) => void;
  readonly warn: (data: object, message: string) => void;
  readonly error: (data: object, message: string) => void;
}

/** What `createPresence` takes. Only `identify` is required; durations are in ms. */
export interface PresenceOptions<S extends Socket = Socket> {
  /**
   * Says who a socket is, after the application's own middlewares have run. Give null for a socket
   * that has no presence. If it throws, or takes longer than `limits.decisionMs`, the socket stays connected
   * but has no presence.
   */
  readonly identify: (
    socket: S,
  ) => PresenceIdentity | null | undefined | Promise<PresenceIdentity | null | undefined>;
  /**
   * May this identity see and join the community? Asked for every community; an error, or no answer within
   * `limits.decisionMs`, is a no. Default: the communities that `identify` gave, and no others.
   */
  readonly authorize?: (
    identity: PresenceIdentity,
    communityId: string,
  ) => boolean | Promise<boolean>;
  /**
   * What clients that watch a window of a community (`presenceWatch`) have its users sorted by. Default:
   * `info.name` where that is a string, else the `userId`, in small letters. Whoever it throws for, or gives
   * no string, is sorted by that, too.
   */
  readonly sortKey?: (user: UserPresence) => string;
  /** Where the state of the other nodes lives: a name, or what a strategy's function gives. Default `replicated`. */
  readonly strategy?: 'replicated' | 'on-demand' | Strategy;
  /** A stable label of this node; a newer process with the same label supersedes a silent older one. */
  readonly nodeName?: string;
  /** Nodes of different clusters on one medium ignore each other. Default `rollcall`. */
  readonly cluster?: string;
  /**
   * `hosted` (default): this node knows the communities that its sockets are in, and those lately
   * read. `all`: every community of the cluster, so that `isOnline` is right for everybody.
   */
  readonly interest?: 'hosted' | 'all';
  /** How long a device that dropped is still counted as present. Default 5000 ms. */
  readonly lingerMs?: number;
  /** How often this node says that it is there. Default 1000 ms. */
  readonly heartbeatMs?: number;
  /** Silence after which a node is taken for dead. At least 3 heartbeats. Default 5000 ms. */
  readonly downAfterMs?: number;
  /** `typing` clears itself after this. Default 6000 ms. */
  readonly typingTimeoutMs?: number;
  /** How long the entries of a dead node are kept, hidden, in case it returns. Default 60 000 ms. */
  readonly forgetAfterMs?: number;
  /**
   * Changes within this time are told together, and where hundreds of users change each second those within
   * twice as much. Default 25 ms.
   */
  readonly flushMs?: number;
  /** Where it is kept when users were last seen: `lastSeenIn({ redis })`. `dual-write` and `redis` need none. */
  readonly lastSeen?: LastSeen;
  readonly limits?: Partial<PresenceLimits>;
  /** Default: nothing is logged. */
  readonly logger?: PresenceLogger;
  /** How messages travel between nodes. Default: the Socket.IO adapter of the server. */
  readonly transport?: Transport;
}

export interface ResolvedOptions {
  readonly strategy: Strategy;
  readonly lingerMs: number;
  readonly heartbeatMs: number;
  readonly downAfterMs: number;
  readonly typingTimeoutMs: number;
  readonly forgetAfterMs: number;
  readonly flushMs: number;
  readonly limits: PresenceLimits;
}

/** The timings that an operator may set, with their bounds in ms. */
const TIMINGS = {
  lingerMs: { standard: 5000, least: 0, most: 600_000 },
  heartbeatMs: { standard: 1000, least: 50, most: 60_000 },
  downAfterMs: { standard: 5000, least: 150, most: 600_000 },
  typingTimeoutMs: { standard: 6000, least: 100, most: 600_000 },
  forgetAfterMs: { standard: 60_000, least: 0, most: 86_400_000 },
  flushMs: { standard: 25, least: 0, most: 1000 },
} as const;

/**
 * Every option, since one that is misspelt would do nothing, with what of it is called later: what is
 * missing there would show only then.
 */
const METHODS: Readonly<Record<keyof PresenceOptions, readonly string[]>> = {
  identify: [],
  authorize: [],
  sortKey: [],
  strategy: [],
  nodeName: [],
  cluster: [],
  interest: [],
  lingerMs: [],
  heartbeatMs: [],
  downAfterMs: [],
  typingTimeoutMs: [],
  forgetAfterMs: [],
  flushMs: [],
  lastSeen: ['record', 'read'],
  limits: [],
  logger: ['info', 'warn', 'error'],
  transport: ['start', 'publish', 'probe', 'close'],
};

function bad(message: string): PresenceError {
  return new PresenceError('INVALID_OPTION', message);
}

/** Fills in defaults. Throws a PresenceError that says what is wrong and what is accepted. */
export function resolveOptions(options: PresenceOptions<never>): ResolvedOptions {
  if (typeof options !== 'object' || options === null) {
    throw bad('createPresence needs options with at least identify(socket)');
  }
  if (typeof options.identify !== 'function') {
    throw bad('identify must be a function that gives { userId, deviceId, info, communities }');
  }
  if (options.authorize !== undefined && typeof options.authorize !== 'function') {
    throw bad('authorize must be a function (identity, communityId) that gives true or false');
  }
  if (options.sortKey !== undefined && typeof options.sortKey !== 'function') {
    throw bad('sortKey must be a function (user) that gives a string');
  }
  for (const [name, value] of Object.entries(options) as [keyof PresenceOptions, unknown][]) {
    if (!Object.hasOwn(METHODS, name)) {
      throw bad(`there is no option ${name}; there is ${Object.keys(METHODS).join(', ')}`);
    }
    const methods = METHODS[name];
    const given = Object(value) as Record<string, unknown>;
    if (value !== undefined && methods.some((method) => typeof given[method] !== 'function')) {
      throw bad(`${name} must have ${methods.join(', ')}`);
    }
  }
  const strategy = resolveStrategy(options.strategy);
  for (const name of ['nodeName', 'cluster'] as const) {
    const value: unknown = options[name];
    if (value !== undefined && (typeof value !== 'string' || !/^[\x21-\x7e]{1,64}$/.test(value))) {
      throw bad(`${name} must be 1 to 64 printable ASCII characters without spaces`);
    }
  }
  const interest: unknown = options.interest ?? 'hosted';
  if (interest === 'all' && strategy.name !== 'replicated') {
    throw bad(`interest all needs the strategy replicated; ${strategy.name} keeps no other lists`);
  }
  if (interest !== 'hosted' && interest !== 'all') throw bad('interest must be hosted or all');
  const timings = Object.fromEntries(
    Object.entries(TIMINGS).map(([name, { standard, least, most }]) => {
      const value: unknown = options[name as keyof typeof TIMINGS] ?? standard;
      if (typeof value !== 'number' || !(value >= least && value <= most)) {
        throw bad(`${name} must be a number of ms from ${least} to ${most}`);
      }
      return [name, value];
    }),
  ) as unknown as Record<keyof typeof TIMINGS, number>;
  if (timings.downAfterMs < 3 * timings.heartbeatMs) {
    throw bad(
      `downAfterMs (${timings.downAfterMs}) must be at least 3 × heartbeatMs ` +
        `(${timings.heartbeatMs}), or one late heartbeat would take a node for dead`,
    );
  }
  if (typeof (options.limits ?? {}) !== 'object') throw bad('limits must be an object');
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const [name, value] of Object.entries(limits) as [keyof PresenceLimits, unknown][]) {
    if (!(name in DEFAULT_LIMITS)) {
      throw bad(`limits has no ${name}; it has ${Object.keys(DEFAULT_LIMITS).join(', ')}`);
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw bad(`limits.${name} must be a whole number of at least 1`);
    }
  }
  if (limits.idBytes > 128) throw bad('limits.idBytes must be at most 128');
  if (limits.dataDepth > 8) throw bad('limits.dataDepth must be at most 8');
  if (limits.messageBytes < 65_536) throw bad('limits.messageBytes must be at least 65536');
  // A longer timer would end at once, and everybody would be refused.
  if (limits.decisionMs > 3_600_000)
    throw bad('limits.decisionMs must be at most 3600000 (an hour)');
  return { ...timings, limits, strategy };
}

function resolveStrategy(given: unknown): Strategy {
  if (given === undefined || given === 'replicated') return replicated();
  if (given === 'on-demand') return onDemand();
  if (typeof given === 'object' && given !== null && 'createEngine' in given) {
    return given as Strategy;
  }
  throw bad(
    `strategy ${JSON.stringify(given)} is not known; it is 'replicated' or 'on-demand', or what a strategy's function such as dualWrite({ redis }) gives`,
  );
}
