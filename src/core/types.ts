import type { ClusterReport } from './report.js';
import type { Eviction, EvictionTarget, UserExplanation } from './explanation.js';
import type { Route } from './route.js';

/**
 * The words of the design as types: what applications and clients see (presence), what an owner
 * records (entry), and what the core asks its host to do (effects).
 */

/** How available a device is. `busy` wins over the others when devices are folded into a user. */
export type Status = 'active' | 'idle' | 'busy';

/** What a device may set: `invisible` makes its user offline to everybody else. */
export type SettableStatus = Status | 'invisible';

/** Why a user went offline. `left` is deliberate, `disconnected` and `timeout` are a lost connection. */
export type OfflineReason = 'left' | 'disconnected' | 'timeout' | 'node-down';

/** Plain JSON data of the application. */
export type Data = Readonly<Record<string, unknown>>;

/** One device of a user, as others see it. */
export interface DevicePresence {
  readonly deviceId: string;
  readonly status: Status;
  readonly boardId?: string;
  readonly typing?: boolean;
  readonly meta?: Data;
  /** Milliseconds since the epoch, by the clock of the node that held the device first. */
  readonly connectedAt: number;
  readonly lastActiveAt: number;
}

/** A user in one community: all devices folded into one. */
export interface UserPresence {
  readonly userId: string;
  readonly communityId: string;
  readonly status: Status;
  readonly info?: Data;
  /** Sorted by `deviceId`. */
  readonly devices: readonly DevicePresence[];
  readonly onlineSince: number;
  readonly lastActiveAt: number;
}

/** What a list of a community covers. */
export interface ListInfo {
  readonly communityId: string;
  /** False when some node that may hold members has not been heard: unknown is not offline. */
  readonly complete: boolean;
  /** Nodes that this list covers, the answering one included. */
  readonly nodes: number;
}

/** A user came online in a community. */
export interface OnlineEvent {
  readonly type: 'userOnline';
  readonly communityId: string;
  readonly userId: string;
  readonly userPresence: UserPresence;
}

/** Something of a user who is online changed. */
export interface UpdatedEvent {
  readonly type: 'userUpdated';
  readonly communityId: string;
  readonly userId: string;
  readonly userPresence: UserPresence;
}

/** A user went offline in a community. */
export interface OfflineEvent {
  readonly type: 'userOffline';
  readonly communityId: string;
  readonly userId: string;
  readonly lastSeenAt: number;
  readonly reason: OfflineReason;
}

/** What is told of users. */
export type PresenceEvent = OnlineEvent | UpdatedEvent | OfflineEvent;

/** A moment: `now` is monotonic and decides, `wall` is the time of day and is only shown. Both in ms. */
export interface Instant {
  readonly now: number;
  readonly wall: number;
}

/**
 * One device of one user in one community, as its owner records it. Immutable: a change makes a new
 * entry, so a snapshot may hold references while it is encoded later.
 */
export interface Entry {
  /** Community, user and device as one string, made once; it is not sent. */
  readonly key: string;
  readonly communityId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly status: SettableStatus;
  /** Visibility register of the user: `2 * stamp + (hidden ? 1 : 0)`. The highest of all devices holds. */
  readonly veil: number;
  readonly connectedAt: number;
  readonly lastActiveAt: number;
  /** When the user came online, as far as the owner knew; inherited from the user's other devices. */
  readonly since: number;
  /** The client's own count of its connections, 0 where it gives none. Orders one device's reconnects. */
  readonly session: number;
  /** Lamport stamp of the connection; breaks ties of `session`. */
  readonly born: number;
  /** Lamport stamp of the last change. With the key it is what the digest covers. */
  readonly rev: number;
  readonly info: Data | undefined;
  /** Lamport stamp of `info`: the newest of a user's devices is shown. */
  readonly infoRev: number;
  readonly boardId: string | undefined;
  readonly typing: boolean;
  readonly meta: Data | undefined;
}

/** Why an entry was removed by its owner. `moved` means: the same device is elsewhere, wait for it. */
export type RemoveReason = OfflineReason | 'moved';

/** Who a socket is, as the application says. */
export interface Identity {
  readonly userId: string;
  readonly deviceId: string;
  readonly info?: Data | undefined;
  /** A number that grows with each connection of this device; optional. */
  readonly session?: number | undefined;
  /** Status to start with, so that somebody invisible does not flash up on reconnecting. */
  readonly status?: SettableStatus | undefined;
}

/** A device's change. `null` clears a field. */
export interface DevicePatch {
  readonly status?: SettableStatus | null | undefined;
  readonly boardId?: string | null | undefined;
  readonly typing?: boolean | null | undefined;
  readonly meta?: Data | null | undefined;
}

/** What the failure detector thinks of another node: `suspect` is still shown, `down` is taken for dead. */
export type PeerState = 'alive' | 'suspect' | 'down';

/** A node, as this one sees it. */
export interface NodeView {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  readonly state: PeerState | 'self';
  /** Entries that the node says it owns. */
  readonly entries: number;
  readonly lastHeardMs: number;
}

/** Which local sockets an event is for. `server`: none of them, only the application's listeners. */
export type Audience = 'all' | 'others' | 'own' | 'server';

/** Why a node counts no more: silence, a leave in order, or a newer process of the same name. */
export type NodeDownReason = 'silent' | 'left' | 'superseded';

/** What the core asks of its host. Perform them in order, before the next input. */
export type Effect =
  /**
   * Send to other nodes. `asks`: not before this node hears what is for the shards of which `interest`
   * effects came before, because the answer counts on it.
   */
  | { readonly kind: 'send'; readonly data: string; readonly route: Route; readonly asks: boolean }
  | { readonly kind: 'event'; readonly event: PresenceEvent; readonly audience: Audience }
  /** Send the community's list to these sockets, which thereby join its room or start over. */
  | { readonly kind: 'list'; readonly communityId: string; readonly to: readonly string[] }
  /** Ask the transport whether the medium can be reached; answer by `probed(id, ok)`. */
  | { readonly kind: 'probe'; readonly id: number }
  /** Make these sockets show life; answer by `alive(socketId)` for each that does. */
  | { readonly kind: 'prove'; readonly socketIds: readonly string[] }
  | { readonly kind: 'ready'; readonly complete: boolean }
  | { readonly kind: 'nodeUp'; readonly nodeId: string; readonly nodeName: string | undefined }
  | {
      readonly kind: 'nodeDown';
      readonly nodeId: string;
      readonly nodeName: string | undefined;
      readonly reason: NodeDownReason;
    }
  | { readonly kind: 'degraded'; readonly degraded: boolean }
  /** A node of this cluster keeps presence where this one does not find it: lists are not complete. */
  | {
      readonly kind: 'strategyConflict';
      readonly nodeId: string;
      readonly nodeName: string | undefined;
    }
  | {
      readonly kind: 'nameConflict';
      readonly nodeName: string;
      readonly nodeIds: readonly string[];
    }
  /** The answer to `fetchUser`: how others see the user, per community. */
  | {
      readonly kind: 'answered';
      readonly id: number;
      readonly complete: boolean;
      readonly communities: readonly UserPresence[];
    }
  /** The answer to `fetch`. */
  | {
      readonly kind: 'fetched';
      readonly id: number;
      readonly complete: boolean;
      readonly users: readonly UserPresence[];
    }
  /** The answer to `explain`. */
  | { readonly kind: 'explained'; readonly id: number; readonly explanation: UserExplanation }
  /** The answer to `survey`. */
  | { readonly kind: 'surveyed'; readonly id: number; readonly report: ClusterReport }
  /** The answer to `evict`. */
  | { readonly kind: 'evicted'; readonly id: number; readonly eviction: Eviction }
  /**
   * Disconnect the sockets of the target, or take them out of its community: the core has ended what
   * followed from them. They must be authorized again to come back.
   */
  | { readonly kind: 'expel'; readonly target: EvictionTarget; readonly reason: string }
  /** This node takes part in a shard, or no longer does: a transport with channels follows. */
  | { readonly kind: 'interest'; readonly shard: number; readonly on: boolean };
