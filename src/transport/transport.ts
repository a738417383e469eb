/** Answers a server without rollcall that asks who is present here: in one community, or in all. */
export type OnAsked = (communityId: string | undefined) => unknown;

/**
 * How messages travel between nodes. A transport delivers text to all other nodes, at most once each
 * and in no particular order; losing, repeating and reordering are the core's business.
 */
export interface Transport {
  /** Names the medium in logs and metrics. */
  readonly kind: string;
  /** There can be no other node on this medium. */
  readonly isSolo: boolean;
  /** Whether `probe` can tell if the medium is reachable. */
  readonly canProbe: boolean;
  /** Starts to deliver what other nodes publish. */
  readonly start: (onMessage: (data: unknown) => void, onAsked?: OnAsked) => void;
  /** Sends to all other nodes. Never throws; false when it is known not to have gone out. */
  readonly publish: (data: string) => boolean;
  /** Sends a roll call to all other nodes, where it travels apart from other messages. */
  readonly call?: (data: string) => boolean;
  /** Can the medium be reached now? Never rejects. May take as long as the medium takes. */
  readonly probe: () => Promise<boolean>;
  /** Stops delivering. */
  readonly close: () => void;
}
