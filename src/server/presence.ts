import type { Registry } from 'prom-client';
import type {
  ClusterReport,
  Eviction,
  EvictionTarget,
  ListInfo,
  NodeDownReason,
  NodeReport,
  NodeView,
  OfflineEvent,
  OnlineEvent,
  UpdatedEvent,
  UserExplanation,
  UserPresence,
} from '../core/index.js';
import type { Dashboard, DashboardOptions } from './http/dashboard.js';

/** What an application has of presence: all that it may call, and what it is told. */

/**
 * What `presence.on` tells the application. Of users: once per edge and community, on every node whose sockets
 * are in the community or that lately read it; with `interest: 'all'` on every node. Who was there already when
 * a node begins to see a community is no news.
 */
export interface PresenceEvents {
  userOnline: [event: Omit<OnlineEvent, 'type'>];
  userUpdated: [event: Omit<UpdatedEvent, 'type'>];
  userOffline: [event: Omit<OfflineEvent, 'type'>];
  nodeUp: [event: { nodeId: string; nodeName: string | undefined }];
  nodeDown: [event: { nodeId: string; nodeName: string | undefined; reason: NodeDownReason }];
  /** The medium between the nodes cannot be reached (true), or can be again (false). */
  degraded: [degraded: boolean];
}

/** A community as read from the whole cluster. */
export interface CommunityList {
  readonly users: readonly UserPresence[];
  readonly info: ListInfo;
}

/** A user in all communities of the cluster. */
export interface UserCommunities {
  readonly userId: string;
  readonly communities: readonly UserPresence[];
}

/** Presence of one Socket.IO server, or of one of its namespaces. */
export interface Presence {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  /** Resolves when the other nodes have answered, at the latest after 5 s. */
  readonly ready: () => Promise<void>;
  readonly isReady: () => boolean;
  /** True while the medium cannot be reached: lists then say `complete: false`. */
  readonly isDegraded: () => boolean;
  /**
   * Is the user online? Local, synchronous. This node knows the communities that its sockets are in and
   * those lately read; the first read of a user who is only in others gives false and makes it find
   * them, so that the next ones are right. With `interest: 'all'` every read is.
   */
  readonly isOnline: (userId: string) => boolean;
  /** Who is online in a community. Local, synchronous; the array is shared and frozen. */
  readonly onlineUsers: (communityId: string) => readonly UserPresence[];
  /** The user in the communities that this node knows, or undefined while offline; as `isOnline`. */
  readonly user: (userId: string) => UserCommunities | undefined;
  /** What a list of this community covers. */
  readonly info: (communityId: string) => ListInfo;
  /** Who is online in a community of the cluster, whether or not anybody here is in it. */
  readonly fetchOnlineUsers: (communityId: string) => Promise<readonly UserPresence[]>;
  /** The same, with what the list covers. */
  readonly fetchCommunity: (communityId: string) => Promise<CommunityList>;
  /** The user in all communities of the cluster. */
  readonly fetchUser: (userId: string) => Promise<UserCommunities & { complete: boolean }>;
  /**
   * When the user was last seen by others, in ms since the epoch; undefined where that is not known
   * (any more). Kept in Redis, by default for 30 days: by `dual-write` and `redis`, else by the option
   * `lastSeen`.
   */
  readonly lastSeen: (userId: string) => Promise<number | undefined>;
  /**
   * For operators: why is this user online? Each device with its node, since when, its last proof of
   * life, and what would end it. Asks every node for up to 2 s; names nodes and invisible users.
   */
  readonly explain: (userId: string) => Promise<UserExplanation>;
  /**
   * Ends a user, or one device, on every node, for up to 2 s: sockets are disconnected as by the
   * application, and what lingers ends at once, with the reason `left`. With a `communityId` the
   * sockets stay, leave that community and must be authorized again. Resolves with what has ended
   * and which nodes did not answer. Default `reason`, for the logs: `evicted`, at most 200 characters.
   */
  readonly evict: (target: EvictionTarget & { readonly reason?: string }) => Promise<Eviction>;
  /** Takes a community from a user on every node: `evict({ userId, communityId })`. */
  readonly revoke: (userId: string, communityId: string) => Promise<Eviction>;
  /** How this node is, and how it sees the others. Local, synchronous. */
  readonly report: () => NodeReport;
  /** The reports of all nodes, for a live view. Waits up to 700 ms for those that do not answer. */
  readonly fetchReports: () => Promise<ClusterReport>;
  /**
   * A live view of the cluster for a browser, read-only unless `canEvict`, as a handler or middleware for the
   * application's own HTTP server.
   *
   * @throws PresenceError with code INVALID_OPTION when an option is not what it should be.
   */
  readonly dashboard: (options: DashboardOptions) => Dashboard;
  /** The nodes of the cluster as this one sees them, itself first. */
  readonly nodes: () => readonly NodeView[];
  readonly on: <E extends keyof PresenceEvents>(
    event: E,
    listener: (...args: PresenceEvents[E]) => void,
  ) => Presence;
  readonly off: <E extends keyof PresenceEvents>(
    event: E,
    listener: (...args: PresenceEvents[E]) => void,
  ) => Presence;
  /** Metrics for Prometheus (prom-client). */
  readonly metrics: Registry;
  /**
   * Leaves in order: the other nodes keep this node's users for the linger, so that clients that
   * reconnect elsewhere do not flicker. Call it before `io.close()`.
   */
  readonly close: () => Promise<void>;
}
