import type { Socket } from 'socket.io-client';

export interface HandRolledUser {
  readonly userId: string;
  readonly name: string;
}

/** What the hand-rolled map tells a browser, put together the way it is usually done. */
export interface HandRolledList {
  /** Undefined until the first list. */
  readonly getUsers: () => readonly HandRolledUser[] | undefined;
  readonly subscribe: (listener: () => void) => () => void;
}

export function createHandRolledList(socket: Socket): HandRolledList {
  let users: readonly HandRolledUser[] | undefined;
  const listeners = new Set<() => void>();
  const show = (next: readonly HandRolledUser[]): void => {
    users = next;
    for (const listener of listeners) listener();
  };
  const without = ({ userId }: HandRolledUser): readonly HandRolledUser[] =>
    (users ?? []).filter((user) => user.userId !== userId);
  socket.on('onlineUsers', show);
  socket.on('userOnline', (user: HandRolledUser) => show([...without(user), user]));
  socket.on('userOffline', (user: HandRolledUser) => show(without(user)));
  return {
    getUsers: () => users,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
