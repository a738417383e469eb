import { share } from './share.js';
import type {
  CommunitySnapshot,
  DevicePresence,
  Refusal,
  SelfPresence,
  Status,
  UserPresence,
} from './types.js';

/**
 * What this client knows of one community, as a state machine over what it is told. It has no socket
 * and no timer. Nothing shows before `publish`, which gives a new snapshot only where something differs.
 */
export interface Community {
  readonly getSnapshot: () => CommunitySnapshot;
  readonly user: (userId: string) => UserPresence | undefined;
  /** A list: the first word of a generation. */
  readonly list: (users: readonly UserPresence[], info: ListInfo) => void;
  /** Somebody was told of, or is gone; before the list of this generation that does not count. */
  readonly replace: (userId: string, user?: UserPresence) => void;
  /** A connection has begun or ended: until its list nothing that is told counts. Or the server has refused. */
  readonly turn: (change: { readonly error?: Refusal; readonly staleSince?: number }) => void;
  /** Back to the start, with nobody known. */
  readonly clear: () => void;
  /** Shows what has changed. True when anything has. */
  readonly publish: (self: SelfPresence) => boolean;
}

/** What comes with a list. */
export interface ListInfo {
  readonly communityId: string;
  readonly complete: boolean;
  readonly nodes: number;
}

type Users = Map<string, UserPresence>;

export function createCommunity(communityId: string): Community {
  /** Told in this generation, that is since the last list. */
  let told: Users = new Map();
  /** Left over from before, until a complete list says who of them is still there. */
  let left: Users = new Map();
  let snapshot = emptySnapshot(communityId);
  /** The next snapshot, but for its users. */
  let draft = snapshot;
  let isDirty = false;
  let self: SelfPresence | undefined;
  let own: UserPresence | undefined;

  const find = (userId: string): UserPresence | undefined => told.get(userId) ?? left.get(userId);
  const set = (change: Partial<CommunitySnapshot>): void => {
    draft = { ...emptySnapshot(communityId), ...change };
    isDirty = true;
  };
  const reset = (change: Partial<CommunitySnapshot>): void => {
    told = new Map();
    left = new Map();
    set(change);
  };

  return {
    getSnapshot: () => snapshot,
    user: (userId) => (userId === own?.userId ? own : find(userId)),
    list: (users, { complete, nodes }) => {
      const next: Users = new Map();
      for (const user of users) {
        next.set(user.userId, share(find(user.userId), user));
        left.delete(user.userId);
      }
      told = next;
      if (complete) left = new Map();
      set({ state: 'live', complete, nodes });
    },
    replace: (userId, user) => {
      if (draft.state !== 'live') return;
      if (user) told.set(userId, share(find(userId), user));
      else told.delete(userId);
      left.delete(userId);
      isDirty = true;
    },
    turn: ({ error, staleSince = Date.now() }) => {
      if (error) reset({ state: 'denied', error });
      else if (draft.state === 'denied') reset({});
      if (draft.state !== 'live') return;
      left = new Map([...left, ...told]);
      told = new Map();
      set({ state: 'stale', nodes: draft.nodes, staleSince });
    },
    clear: () => reset({}),
    publish: (selfNow) => {
      if (!isDirty && selfNow === self) return false;
      isDirty = false;
      self = selfNow;
      const ownTold = find(self.userId ?? '');
      own = ownTold && share(own, withSelf(ownTold, self));
      let users: readonly UserPresence[] = [...left.values(), ...told.values()].map((user) =>
        user === ownTold && own ? own : user,
      );
      const before = snapshot.users;
      if (users.length === before.length && users.every((user, i) => user === before[i])) {
        users = before;
      }
      const next = { ...draft, users, count: users.length };
      const keys = Object.keys(next) as (keyof CommunitySnapshot)[];
      if (keys.every((key) => next[key] === snapshot[key])) return false;
      snapshot = next;
      return true;
    },
  };
}

/** What there is to show of a community before anything is known of it. */
export function emptySnapshot(communityId: string): CommunitySnapshot {
  return {
    communityId,
    state: 'syncing',
    users: [],
    count: 0,
    complete: false,
    nodes: 0,
  };
}

/**
 * The own user with this device as it wants to be. Only this device writes its fields, so what it last
 * said is newer than what the server last told.
 */
function withSelf(user: UserPresence, self: SelfPresence): UserPresence {
  const devices = user.devices.map((device) => {
    if (device.deviceId !== self.deviceId) return device;
    const { boardId, typing, meta } = self;
    const status = self.status === 'invisible' ? device.status : self.status;
    return { ...device, status, boardId, typing, meta };
  });
  return { ...user, devices, status: fold(devices) };
}

function fold(devices: readonly DevicePresence[]): Status {
  const has = (status: Status): boolean => devices.some((device) => device.status === status);
  return (['busy', 'active'] as const).find(has) ?? 'idle';
}
