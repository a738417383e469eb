import { Manager, type Socket } from 'socket.io-client';
import type { ListInfo, UserPresence } from '../../src/core/types.js';
import { nextSession, userIdOf } from './people.js';

export type Status = 'active' | 'idle' | 'busy' | 'invisible';

export interface MapUser {
  readonly userId: string;
  readonly name: string;
}

export interface LoggedEvent {
  readonly id: number;
  readonly from: 'rollcall' | 'map';
  readonly text: string;
  readonly at: Date;
}

/** What one device is told, as a value: a change makes a new one. */
export interface DeviceView {
  readonly connected: boolean;
  /** Why the server refused, if it did. */
  readonly refused: string | undefined;
  /** By rollcall; undefined until the first list. */
  readonly users: readonly UserPresence[] | undefined;
  readonly complete: boolean;
  /** By the hand-rolled map; undefined until its first list. */
  readonly mapUsers: readonly MapUser[] | undefined;
  readonly events: readonly LoggedEvent[];
}

const SHOWN_EVENTS = 6;
let eventIds = 0;

/** One tab or phone of somebody: a connection to one node, for rollcall and for the hand-rolled map. */
export class Device {
  readonly userId: string;
  readonly name: string;
  readonly deviceId: string;
  readonly #manager: Manager;
  readonly #socket: Socket;
  readonly #mapSocket: Socket;
  readonly #listeners = new Set<() => void>();
  #status: Status = 'active';
  #view: DeviceView = {
    connected: false,
    refused: undefined,
    users: undefined,
    complete: false,
    mapUsers: undefined,
    events: [],
  };

  constructor(url: string, name: string, deviceId: string) {
    this.name = name.trim();
    this.userId = userIdOf(name);
    this.deviceId = deviceId;
    this.#manager = new Manager(url, {
      transports: ['websocket'],
      reconnectionDelay: 400,
      reconnectionDelayMax: 1000,
    });
    this.#socket = this.#manager.socket('/', {
      auth: (use: (auth: object) => void) =>
        use({
          userId: this.userId,
          deviceId,
          info: { name: this.name },
          session: nextSession(deviceId),
          status: this.#status,
        }),
    });
    this.#mapSocket = this.#manager.socket('/hand-rolled', {
      auth: { userId: this.userId, name: this.name },
    });
    this.#listenToPresence();
    this.#listenToMap();
    this.#socket.connect();
    this.#mapSocket.connect();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getView = (): DeviceView => this.#view;

  update(patch: { status?: Status; boardId?: string | null; typing?: boolean }): void {
    if (patch.status !== undefined) this.#status = patch.status;
    this.#socket.emit('presenceUpdate', patch);
  }

  /** What a page reload is to the server: the connection breaks, and the same device comes back. */
  reload(): void {
    this.#manager.engine.close();
  }

  close(): void {
    this.#socket.disconnect();
    this.#mapSocket.disconnect();
    this.#listeners.clear();
  }

  #change(change: Partial<DeviceView>, from?: LoggedEvent['from'], text?: string): void {
    let { events } = this.#view;
    if (from !== undefined && text !== undefined) {
      events = [{ id: ++eventIds, from, text, at: new Date() }, ...events].slice(0, SHOWN_EVENTS);
    }
    this.#view = { ...this.#view, ...change, events };
    for (const listener of this.#listeners) listener();
  }

  #listenToPresence(): void {
    const socket = this.#socket;
    const put = (user: UserPresence): readonly UserPresence[] => [
      ...(this.#view.users ?? []).filter(({ userId }) => userId !== user.userId),
      user,
    ];
    socket.on('connect', () => this.#change({ connected: true, refused: undefined }));
    socket.on('disconnect', () => this.#change({ connected: false }));
    socket.on('connect_error', (error) => {
      if (!socket.active) this.#change({ refused: error.message });
    });
    socket.on('globalPresenceSync', (users: UserPresence[], info: ListInfo) => {
      const text = `list of ${users.length}${info.complete ? '' : ', not complete yet'}`;
      this.#change({ users, complete: info.complete }, 'rollcall', text);
    });
    socket.on('userOnline', ({ userPresence }: { userPresence: UserPresence }) =>
      this.#change({ users: put(userPresence) }, 'rollcall', `${nameOf(userPresence)} is online`),
    );
    socket.on('userUpdated', ({ userPresence }: { userPresence: UserPresence }) =>
      this.#change(
        { users: put(userPresence) },
        'rollcall',
        `${nameOf(userPresence)} ${describe(userPresence)}`,
      ),
    );
    socket.on('userOffline', ({ userId, reason }: { userId: string; reason: string }) => {
      const gone = this.#view.users?.find((user) => user.userId === userId);
      const name = gone === undefined ? userId : nameOf(gone);
      const users = (this.#view.users ?? []).filter((user) => user !== gone);
      this.#change({ users }, 'rollcall', `${name} is offline (${reason})`);
    });
  }

  #listenToMap(): void {
    const socket = this.#mapSocket;
    const without = (userId: string): readonly MapUser[] =>
      (this.#view.mapUsers ?? []).filter((user) => user.userId !== userId);
    socket.on('onlineUsers', (mapUsers: MapUser[]) =>
      this.#change({ mapUsers }, 'map', `list of ${mapUsers.length}`),
    );
    socket.on('userOnline', (user: MapUser) =>
      this.#change({ mapUsers: [...without(user.userId), user] }, 'map', `${user.name} is online`),
    );
    socket.on('userOffline', (user: MapUser) =>
      this.#change({ mapUsers: without(user.userId) }, 'map', `${user.name} is offline`),
    );
  }
}

export function nameOf(user: UserPresence): string {
  const name = user.info?.['name'];
  return typeof name === 'string' ? name : user.userId;
}

function describe(user: UserPresence): string {
  const parts: string[] = [user.status];
  if (user.devices.length > 1) parts.push(`${user.devices.length} devices`);
  const board = user.devices.find(({ boardId }) => boardId !== undefined)?.boardId;
  if (board !== undefined) parts.push(`on ${board}`);
  if (user.devices.some(({ typing }) => typing === true)) parts.push('typing');
  return `is ${parts.join(', ')}`;
}
