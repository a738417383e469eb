import type {
  DevicePatch,
  ListInfo,
  OfflineEvent,
  OnlineEvent,
  UpdatedEvent,
  UserPresence,
} from '../core/index.js';
import type { WatchedChanges } from './watching/watched-community.js';
import type { WatchWindow } from './watching/watch-query.js';

/** For intersection with an application's own event maps of a typed Socket.IO server and client. */
export interface PresenceServerToClientEvents {
  globalPresenceSync: (users: UserPresence[], info: ListInfo) => void;
  userOnline: (event: Omit<OnlineEvent, 'type'>) => void;
  userUpdated: (event: Omit<UpdatedEvent, 'type'>) => void;
  userOffline: (event: Omit<OfflineEvent, 'type'>) => void;
  /** The community was taken from the receiver (`revoke`): nothing more of it follows. */
  presenceDenied: (denied: { communityId: string; error: Refusal['error'] }) => void;
  /** For sockets that watch the community (`presenceWatch`), instead of all of the above. */
  presenceDiff: (diff: PresenceDiff) => void;
}

/** What changed of what a socket watches, at most one per flush. */
export interface PresenceDiff extends WatchedChanges {
  readonly communityId: string;
  /** As in the info of a list. */
  readonly complete: boolean;
  /** This is all that is watched: forget what was before (after the socket could not keep up). */
  readonly reset?: true;
  /**
   * The receiver's own user where the others do not see it (invisible), null when they do again. It is
   * not in the total.
   */
  readonly self?: UserPresence | null;
}

/** What a socket watches, as it is when it begins. */
export interface WatchedState extends Omit<PresenceDiff, 'users' | 'gone' | 'reset'> {
  /** The window in order, then named users that are online; or the whole list. */
  readonly users: readonly UserPresence[];
}

export interface Refusal {
  ok: false;
  error: { code: string; message: string };
}

/** What clients send, for the event map of a typed Socket.IO server and client. */
export interface PresenceClientToServerEvents {
  presenceUpdate: (
    patch: DevicePatch,
    ack?: (answer: { ok: true; delayed?: true } | Refusal) => void,
  ) => void;
  joinCommunity: (
    communityId: string,
    /** `isNew` is false where the socket was in the community already. */
    ack?: (answer: { ok: true; communityId: string; isNew: boolean } | Refusal) => void,
  ) => void;
  leaveCommunity: (
    communityId: string,
    ack?: (answer: { ok: true; communityId: string } | Refusal) => void,
  ) => void;
  presenceSync: (
    communityId: string,
    ack?: (answer: { ok: true; users: UserPresence[]; info: ListInfo } | Refusal) => void,
  ) => void;
  /** Joins the community, too, where the socket is not in it. Null: back to lists and events. */
  presenceWatch: (
    communityId: string,
    query: { window?: Partial<WatchWindow>; users?: string[]; countOnly?: boolean } | null,
    ack?: (
      answer: ({ ok: true } & WatchedState) | { ok: true; communityId: string } | Refusal,
    ) => void,
  ) => void;
}
