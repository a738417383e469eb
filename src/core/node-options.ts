import type { LogLimits } from './log.js';
import { SNAPSHOT_PIECES } from './publisher.js';
import type { ReplicaLimits } from './replica.js';

/** The cluster of nodes that name none. */
export const DEFAULT_CLUSTER = 'rollcall';

/** What a `PresenceNode` is made from. Durations are in ms. */
export interface NodeOptions {
  /** New at every start. */
  readonly nodeId: string;
  readonly nodeName?: string | undefined;
  /** Nodes of different clusters on one medium ignore each other. */
  readonly cluster?: string;
  /** Numbers in [0, 1), for jitter only. */
  readonly random: () => number;
  /** There can be no other node: ready at once. */
  readonly solo?: boolean;
  readonly canProbe?: boolean;
  /** The medium delivers by address: see `Route`. */
  readonly isRouted?: boolean | undefined;
  /** `hosted`: take part in the shards of communities in use here; `all`: in every shard. */
  readonly interest?: 'hosted' | 'all';
  readonly shards?: number;
  readonly heartbeatMs?: number;
  readonly downAfterMs?: number;
  readonly lingerMs?: number;
  readonly typingTimeoutMs?: number;
  readonly forgetAfterMs?: number;
  /** Changes within this time travel together; where very many users change, within twice as much. */
  readonly flushMs?: number;
  /** How long a first list waits to be complete. */
  readonly firstListWaitMs?: number;
  /** After this time a starting node is ready whatever it has heard. */
  readonly readyTimeoutMs?: number;
  /** How long a shard is kept after the last need of it. */
  readonly dropDelayMs?: number;
  readonly proofMs?: number;
  /** More changes than this at once (and than a share of the roster) are told as a new list. */
  readonly stormChanges?: number;
  readonly maxMessageBytes?: number;
  readonly snapshotPieceEntries?: number;
  readonly snapshotPieceBytes?: number;
  readonly log?: Partial<LogLimits>;
  readonly replica?: Partial<ReplicaLimits>;
}

const DEFAULTS = {
  cluster: DEFAULT_CLUSTER,
  shards: 64,
  heartbeatMs: 1000,
  downAfterMs: 5000,
  lingerMs: 5000,
  typingTimeoutMs: 6000,
  forgetAfterMs: 60_000,
  flushMs: 25,
  firstListWaitMs: 400,
  readyTimeoutMs: 5000,
  dropDelayMs: 30_000,
  proofMs: 10_000,
  maxMessageBytes: 1024 * 1024,
  snapshotPieceEntries: SNAPSHOT_PIECES.entries,
  snapshotPieceBytes: SNAPSHOT_PIECES.bytes,
} as const;

/** Options of which none is left open. */
export type FullNodeOptions = typeof DEFAULTS & NodeOptions;

/** Fills in the defaults; what is given as undefined counts as not given. */
export function withDefaults(options: NodeOptions): FullNodeOptions {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as NodeOptions;
  return { ...DEFAULTS, ...given } as FullNodeOptions;
}
