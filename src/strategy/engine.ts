import type {
  DevicePatch,
  EncodedUsers,
  Effect,
  EvictionTarget,
  Identity,
  Instant,
  ListInfo,
  NodeGauges,
  NodeReport,
  NodeStats,
  NodeView,
  OfflineReason,
  Route,
  UserPresence,
} from '../core/index.js';
import type { SomeSet } from '../core/small.js';
import type { Transport } from '../transport/index.js';
import type { StoreCommand } from './indexed/commands.js';

/**
 * The contract between the server and a strategy: one node's engine.
 *
 * An engine is sans-IO. Inputs carry their time; what must be done outside gathers as effects, which
 * the host takes and performs in order before the next input; `tick` comes no later than
 * `nextTickAt`. Engines differ only in how they learn of the other nodes' entries. What is told to
 * sockets comes from the told view under every strategy.
 */
export interface Engine {
  readonly nodeId: string;
  readonly nodeName: string | undefined;

  // Life.
  start(t: Instant): void;
  /** Leaves in order. Effects that are still there must be performed; none follow. */
  close(t: Instant): void;
  /** The medium reaches other nodes after all (the adapter was replaced): looks for them. */
  meetOthers(t: Instant): void;
  readonly isReady: boolean;
  /** The medium cannot be reached: the last known lists stay, marked `complete: false`. */
  readonly isDegraded: boolean;

  // This node's sockets.
  connect(socketId: string, identity: Identity, t: Instant): void;
  /** A `list` effect for this socket follows, at once or when the others have been heard. */
  join(socketId: string, communityId: string, t: Instant): void;
  leave(socketId: string, communityId: string, t: Instant): void;
  update(socketId: string, patch: DevicePatch, t: Instant): boolean;
  disconnect(socketId: string, reason: Exclude<OfflineReason, 'node-down'>, t: Instant): void;
  /** The socket has shown life. */
  alive(socketId: string, t: Instant): void;
  /** The socket gets nothing until `resume`, and then the list. */
  suspend(socketId: string): void;
  resume(socketId: string, t: Instant): void;

  // The medium and time.
  /** A message of another node. Never throws for any input. */
  receive(data: unknown, t: Instant): void;
  /** The answer to a `probe` effect. */
  probed(id: number, ok: boolean, t: Instant): void;
  /**
   * The medium saw the process of a node end, and has had no connection of it for so many ms. Ignored
   * where something was heard of it in that time.
   */
  gone(nodeId: string, forMs: number, t: Instant): void;
  /** The medium is back after a break, in which messages may have been lost. */
  returned(t: Instant): void;
  /** The others may take this node for gone: says that it is there. */
  showLife(t: Instant): void;
  /** The event loop lags: this node trusts its own timing less. */
  strained(): void;
  nextTickAt(): number;
  tick(t: Instant): void;
  readonly hasEffects: boolean;
  take(): EngineEffect[];

  // What this node has told its sockets; read without waiting.
  isOnline(userId: string): boolean;
  onlineUsers(communityId: string): readonly UserPresence[];
  user(userId: string): readonly UserPresence[];
  /** Who is online with sockets of this node: in one community, or in all. */
  localUsers(communityId: string | undefined): readonly UserPresence[];
  info(communityId: string): ListInfo;
  encodedList(communityId: string): EncodedUsers;
  /** What the user's own sockets see instead of what everybody sees; null where that is the same. */
  own(communityId: string, userId: string): UserPresence | null;
  userOf(socketId: string): string | undefined;
  socketsOf(userId: string, communityId: string): readonly string[];
  community(communityId: string): ToldCommunity | undefined;
  /** Somebody reads a community that nobody here is in. */
  touch(communityId: string, t: Instant): void;

  // The whole cluster; a `fetched` or `answered` effect with the number that these give follows.
  fetch(communityId: string, timeoutMs: number, t: Instant): number;
  fetchUser(userId: string, t: Instant): number;

  // For operators.
  /** Why is this user online? An `explained` effect with the number that this gives follows. */
  explain(userId: string, t: Instant): number;
  /** Ends a user's devices on every node; an `evicted` effect with this number follows. */
  evict(target: EvictionTarget, reason: string, t: Instant): number;
  /** Asks every node how it is; a `surveyed` effect with the number that this gives follows. */
  survey(t: Instant): number;
  /** How this node is, and how it sees the others. */
  report(now: number): NodeReport;
  /** Age of the oldest entry held here without a sign of life: of its socket, or of its node. */
  oldestProofMs(now: number): number;
  nodes(now: number): NodeView[];
  readonly stats: NodeStats;
  gauges(now: number): NodeGauges;
}

export interface ToldCommunity {
  /** It is kept up to date. */
  readonly active: boolean;
  /** Nothing waits to be told. */
  readonly isIdle: boolean;
  /** Sockets that have its list and get its events. */
  readonly sockets: SomeSet<string>;
}

/** What an engine asks of its host beyond what the core does. */
export type EngineEffect =
  | Effect
  /** A roll call to all other nodes. */
  | {
      readonly kind: 'call';
      readonly data: string;
      readonly route: Route;
      readonly asks: boolean;
    }
  /** A roll call ended without these nodes. */
  | {
      readonly kind: 'incomplete';
      readonly communityId: string;
      readonly missing: readonly string[];
    }
  /** Something to be done in the strategy's store; its outcome comes back as an input. */
  | { readonly kind: 'store'; readonly id: number; readonly command: StoreCommand };

/** What every engine is made from. Durations in ms. */
export interface EngineOptions {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly cluster: string | undefined;
  readonly random: () => number;
  readonly solo: boolean;
  readonly canProbe: boolean;
  /** The medium delivers by address: see `Route`. Default false. */
  readonly isRouted?: boolean;
  readonly interest: 'hosted' | 'all';
  readonly lingerMs: number;
  readonly heartbeatMs: number;
  readonly downAfterMs: number;
  readonly typingTimeoutMs: number;
  readonly forgetAfterMs: number;
  readonly flushMs: number;
  readonly maxMessageBytes: number;
}

/** Where the state of the other nodes lives: makes the engine of one node. */
export interface Strategy {
  readonly name: StrategyName;
  /** False where nothing of the others is kept for reads: reading without waiting is an error then. */
  readonly readsLocally: boolean;
  readonly createEngine: (options: EngineOptions) => Engine;
  /** Makes what carries the messages between the nodes. Default: the Socket.IO adapter does. */
  readonly createTransport?: (host: TransportHost) => Transport;
  /** Performs the `store` effects of an engine that `createEngine` made. */
  readonly createStore?: (engine: Engine, host: StoreHost) => Store;
}

export interface TransportHost {
  readonly nodeId: string;
  readonly cluster: string | undefined;
  /** The Socket.IO namespace: those of one server know nothing of each other. */
  readonly namespace: string;
  /** Larger messages are not delivered. */
  readonly maxMessageBytes: number;
  /** A command failed, for another reason than the one before. */
  readonly onFault: (reason: string) => void;
}

/** What a strategy keeps outside of the process. */
export interface Store {
  start(): void;
  /** Never throws; the outcome is an input of the engine. */
  perform(effect: Extract<EngineEffect, { kind: 'store' }>): void;
  /** When a user was last seen, in ms since the epoch, or undefined where that is not known (any more). */
  lastSeen(userId: string): Promise<number | undefined>;
  /** Waits for what is on its way, not for ever. */
  close(): Promise<void>;
}

export interface StoreHost {
  readonly cluster: string | undefined;
  /** The Socket.IO namespace: those of one server know nothing of each other. */
  readonly namespace: string;
  /** Gives the engine an input. */
  readonly input: (change: (t: Instant) => void) => void;
  /** A command failed, for another reason than the one before. */
  readonly onFault: (reason: string) => void;
}

/** The strategies that there are. */
export type StrategyName = 'replicated' | 'on-demand' | 'dual-write' | 'redis';
