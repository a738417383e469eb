/** What the conformance suite needs of the cluster under test. Everything is real: processes and sockets. */

/** A cluster of nodes that the suite may start, kill and connect clients to. */
export interface ConformanceCluster {
  /** Starts one more node and waits until it serves. */
  readonly start: () => Promise<ConformanceNode>;
  /** Nodes that are there, for cases that harm none. At least two. */
  readonly nodes: readonly ConformanceNode[];
  /** Connects a device of a user and waits for its first list of the community. */
  readonly join: (
    node: ConformanceNode,
    who: { userId: string; deviceId: string; communityId: string },
  ) => Promise<ConformanceClient>;
  readonly timings: {
    readonly lingerMs: number;
    readonly downAfterMs: number;
    readonly typingTimeoutMs: number;
  };
}

/** A node of the cluster under test. */
export interface ConformanceNode {
  readonly url: string;
  /** SIGKILL or SIGTERM, and waits until the process has ended. */
  readonly stop: (signal: 'SIGKILL' | 'SIGTERM') => Promise<unknown>;
}

/** A plain Socket.IO client that folds what it is told and notes what no stream may hold. */
export interface ConformanceClient {
  readonly model: {
    present(communityId: string): string[];
    user(
      communityId: string,
      userId: string,
    ):
      | {
          readonly status: string;
          readonly devices: readonly { readonly deviceId: string; readonly typing?: boolean }[];
        }
      | undefined;
    count(event: ClientEvent, userId?: string): number;
    readonly infos: ReadonlyMap<string, { readonly complete: boolean }>;
    readonly told: readonly { readonly event: ClientEvent; readonly reason?: string }[];
  };
  readonly violations: readonly string[];
  send(event: string, ...args: unknown[]): Promise<{ readonly ok: boolean }>;
  /** Loses the connection without a word; it does not come back. */
  vanish(): void;
  close(): void;
}

export type ClientEvent = 'globalPresenceSync' | 'userOnline' | 'userUpdated' | 'userOffline';
