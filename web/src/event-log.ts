import type { Socket } from 'socket.io-client';
import type { UserPresence } from '../../src/client/index.js';
import type { HandRolledUser } from './hand-rolled-list.js';

export interface LoggedEvent {
  readonly id: number;
  readonly from: 'rollcall' | 'map';
  readonly text: string;
  readonly at: Date;
}

/** What a browser was told last, by rollcall's plain events and by those of the map; newest first. */
export interface EventLog {
  readonly getEvents: () => readonly LoggedEvent[];
  readonly subscribe: (listener: () => void) => () => void;
}

const SHOWN = 6;

type InCommunity = { readonly communityId: string };
type ListInfo = InCommunity & { readonly complete: boolean };
type Told = InCommunity & { readonly userPresence: UserPresence };

export function createEventLog(
  socket: Socket,
  handRolled: Socket,
  shownCommunity: string,
): EventLog {
  let events: readonly LoggedEvent[] = [];
  let count = 0;
  const names = new Map<string, string>();
  const listeners = new Set<() => void>();
  const add = (from: LoggedEvent['from'], text: string): void => {
    events = [{ id: ++count, from, text, at: new Date() }, ...events].slice(0, SHOWN);
    for (const listener of listeners) listener();
  };
  const name = (user: UserPresence): string => {
    const known = nameOf(user);
    names.set(user.userId, known);
    return known;
  };

  // Of the community that the columns show.
  const isShown = ({ communityId }: InCommunity): boolean => communityId === shownCommunity;
  socket.on('globalPresenceSync', (users: UserPresence[], info: ListInfo) => {
    const { complete } = info;
    for (const user of users) name(user);
    if (!isShown(info)) return;
    add('rollcall', `list of ${users.length}${complete ? '' : ', not complete yet'}`);
  });
  socket.on('userOnline', (event: Told) => {
    if (isShown(event)) add('rollcall', `${name(event.userPresence)} is online`);
  });
  socket.on('userUpdated', (event: Told) => {
    const { userPresence } = event;
    if (isShown(event)) add('rollcall', `${name(userPresence)} ${describe(userPresence)}`);
  });
  socket.on('userOffline', (event: InCommunity & { userId: string; reason: string }) => {
    const { userId, reason } = event;
    if (isShown(event)) add('rollcall', `${names.get(userId) ?? userId} is offline (${reason})`);
  });
  handRolled.on('onlineUsers', (users: HandRolledUser[]) => add('map', `list of ${users.length}`));
  handRolled.on('userOnline', (user: HandRolledUser) => add('map', `${user.name} is online`));
  handRolled.on('userOffline', (user: HandRolledUser) => add('map', `${user.name} is offline`));
  return {
    getEvents: () => events,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function nameOf(user: UserPresence<{ readonly name?: unknown }, object>): string {
  return typeof user.info?.name === 'string' ? user.info.name : user.userId;
}

function describe(user: UserPresence): string {
  const parts: string[] = [user.status];
  if (user.devices.length > 1) parts.push(`${user.devices.length} devices`);
  const board = user.devices.find(({ boardId }) => boardId !== undefined)?.boardId;
  if (board !== undefined) parts.push(`on ${board}`);
  if (user.devices.some(({ typing }) => typing === true)) parts.push('typing');
  return `is ${parts.join(', ')}`;
}
