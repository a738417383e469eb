/**
 * What the client shows, in the words of rollcall's events. `Info` is what the application says of a
 * user, `Meta` what a device says of itself; both are plain JSON objects.
 */

/** Plain JSON data of the application. */
export type Data = Readonly<Record<string, unknown>>;

/** How available a device or user is. */
export type Status = 'active' | 'idle' | 'busy';

/** What a device may set: `invisible` makes its user offline to everybody else. */
export type SettableStatus = Status | 'invisible';

/** One device of a user. */
export interface DevicePresence<Meta = Data> {
  readonly deviceId: string;
  readonly status: Status;
  readonly boardId?: string | undefined;
  readonly typing?: boolean;
  readonly meta?: Meta | undefined;
  /** Milliseconds since the epoch, by a server's clock. */
  readonly connectedAt: number;
  readonly lastActiveAt: number;
}

/** A user in one community: all devices folded into one. */
export interface UserPresence<Info = Data, Meta = Data> {
  readonly userId: string;
  readonly communityId: string;
  /** The most available of the devices; `busy` wins where set. */
  readonly status: Status;
  readonly info?: Info;
  /** Sorted by `deviceId`. */
  readonly devices: readonly DevicePresence<Meta>[];
  /** Milliseconds since the epoch, by a server's clock. */
  readonly onlineSince: number;
  readonly lastActiveAt: number;
}

/** Why the server refused: a code for programs, a message for people. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/**
 * - `syncing`: no list has come yet.
 * - `live`: the list is what the server says now.
 * - `stale`: the connection is lost, or not yet caught up; the last list stays.
 * - `denied`: the server refused; `error` says why.
 */
export type PresenceState = 'syncing' | 'live' | 'stale' | 'denied';

/** A community at one moment. Immutable; the same object for as long as nothing changes. */
export interface CommunitySnapshot<Info = Data, Meta = Data> {
  readonly communityId: string;
  readonly state: PresenceState;
  /** The same array for as long as nobody in it changes; each user the same object, too. */
  readonly users: readonly UserPresence<Info, Meta>[];
  readonly count: number;
  /**
   * False while the list may miss somebody. After a reconnect the users of the old list stay in it
   * until a complete list comes: unknown is not offline.
   */
  readonly complete: boolean;
  /** Nodes that the list covers; 0 before the first list. */
  readonly nodes: number;
  /** Since when the list is stale, in ms since the epoch by this machine's clock. */
  readonly staleSince?: number;
  /** Why, while `denied`. */
  readonly error?: Refusal;
}

/** The presence of one community. Fits `useSyncExternalStore` and plain code. */
export interface CommunityStore<Info = Data, Meta = Data> {
  readonly communityId: string;
  /**
   * Calls the listener after each change, at most once a frame. The first listener joins the
   * community; some time after the last has gone, it is left, unless the server had joined it by
   * itself. Gives the function that ends the subscription.
   */
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => CommunitySnapshot<Info, Meta>;
  /** The user as in the snapshot, or undefined while offline. */
  readonly user: (userId: string) => UserPresence<Info, Meta> | undefined;
}

/** A change of this device. `null` clears a field; fields that are left out stay. */
export interface DevicePatch<Meta = Data> {
  readonly status?: SettableStatus;
  readonly boardId?: string | null;
  readonly typing?: boolean;
  readonly meta?: Meta | null;
}

/** What became of a change. A refused one has been taken back. */
export type UpdateResult = { readonly ok: true } | { readonly ok: false; readonly error: Refusal };

/**
 * This device, with changes that the server has not answered yet already in it. What was not set here is
 * what the server still holds, as after a reload.
 */
export interface SelfPresence<Meta = Data> {
  /** Undefined until a list with this device has come, where the option `userId` was not given. */
  readonly userId: string | undefined;
  readonly deviceId: string | undefined;
  readonly status: SettableStatus;
  readonly boardId: string | undefined;
  readonly typing: boolean;
  readonly meta: Meta | undefined;
}

/** The connection and this device at one moment. Immutable. */
export interface ClientSnapshot<Meta = Data> {
  /** `syncing` before the first connection, then `live` or `stale`; `denied` when the handshake was refused. */
  readonly state: PresenceState;
  /** Since when there is no connection, in ms since the epoch by this machine's clock. */
  readonly staleSince?: number;
  /** What the server said to the handshake, while `denied`. */
  readonly error?: Refusal;
  readonly self: SelfPresence<Meta>;
}

/**
 * What rollcall needs of a socket; a socket of socket.io-client fits. Loose where a typed socket has
 * event names and argument lists of its own.
 */
export interface PresenceSocket {
  readonly connected: boolean;
  /** False when the socket will not connect again by itself. */
  readonly active: boolean;
  readonly id?: string | undefined;
  /* oxlint-disable typescript/no-explicit-any -- see above */
  on(event: any, listener: any): unknown;
  off(event: any, listener: any): unknown;
  emit(event: any, ...args: any[]): unknown;
  timeout(ms: number): { emit(event: any, ...args: any[]): unknown };
  /* oxlint-enable typescript/no-explicit-any */
}
