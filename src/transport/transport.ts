import type { Route } from '../core/index.js';

/** Answers a server without rollcall that asks who is present here: in one community, or in all. */
export type OnAsked = (communityId: string | undefined) => unknown;

/** What a medium may tell beyond messages. */
export interface MediumEvents {
  /** The process of a node has ended: nothing of it has been connected for so many ms. */
  readonly onGone: (nodeId: string, forMs: number) => void;
  /** The others may take this node for gone, though it can still be heard: it should show life. */
  readonly onDoubted: () => void;
  /** It was away, and messages may have been lost. */
  readonly onReturn: () => void;
  /** For how many ms nothing has been heard of each node. */
  readonly silences: () => Iterable<Silence>;
}

export interface Silence {
  readonly nodeId: string;
  readonly lastHeardMs: number;
}

/** Where a message goes. */
export interface Address {
  readonly route: Route;
  /** Not before this node hears what is for the shards of which `interest` was told. */
  readonly asks: boolean;
}

/**
 * How messages travel between nodes. A transport delivers text to all other nodes, or at least to those
 * that a message is for, at most once each and in no particular order; losing, repeating and reordering
 * are the core's business.
 */
export interface Transport {
  /** Names the medium in logs and metrics. */
  readonly kind: string;
  /** There can be no other node on this medium. */
  readonly isSolo: boolean;
  /** Whether `probe` can tell if the medium is reachable. */
  readonly canProbe: boolean;
  /** It delivers by address, so messages are worth to be split by it. Default false. */
  readonly isRouted?: boolean;
  /** Bytes that really travelled, where the transport knows them. */
  readonly bytes?: { readonly sent: number; readonly received: number };
  /** Starts to deliver what other nodes publish. */
  readonly start: (
    onMessage: (data: unknown) => void,
    onAsked?: OnAsked,
    medium?: MediumEvents,
  ) => void;
  /** Sends to the nodes that it is for, or to all. Never throws; false when it is known not to have gone out. */
  readonly publish: (data: string, address?: Address) => boolean;
  /** This node takes part in a shard from now on, or no longer. */
  readonly interest?: (shard: number, on: boolean) => void;
  /** Another node is there, or no longer. */
  readonly peer?: (nodeId: string, on: boolean) => void;
  /** Sends a roll call to all other nodes, where it travels apart from other messages. */
  readonly call?: (data: string) => boolean;
  /** Can the medium be reached now? Never rejects. May take as long as the medium takes. */
  readonly probe: () => Promise<boolean>;
  /** Stops delivering. */
  readonly close: () => void;
}
