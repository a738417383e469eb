import type {
  DevicePatch,
  ListInfo,
  OfflineEvent,
  OnlineEvent,
  UpdatedEvent,
  UserPresence,
} from '../core/index.js';

/** For intersection with an application's own event maps of a typed Socket.IO server and client. */
export interface PresenceServerToClientEvents {
  globalPresenceSync: (users: UserPresence[], info: ListInfo) => void;
  userOnline: (event: Omit<OnlineEvent, 'type'>) => void;
  userUpdated: (event: Omit<UpdatedEvent, 'type'>) => void;
  userOffline: (event: Omit<OfflineEvent, 'type'>) => void;
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
}
