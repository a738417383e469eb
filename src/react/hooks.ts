import {
  createContext,
  createElement,
  useContext,
  useMemo,
  useRef,
  useSyncExternalStore,
  type ReactNode,
} from 'react';
import {
  emptySnapshot,
  type ClientSnapshot,
  type CommunitySnapshot,
  type Data,
  type PresenceClient,
  type SelfPresence,
  type UserPresence,
} from '../client/index.js';

const Context = createContext<PresenceClient | null>(null);

/** What `PresenceProvider` takes. */
export interface PresenceProviderProps {
  /** Made outside of components, by `createPresenceClient`. null: nothing is known, as on a server. */
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever info and meta the application has
  readonly client: PresenceClient<any, any> | null;
  readonly children?: ReactNode;
}

/** Gives the components below it a presence client. It neither makes nor closes the client. */
export function PresenceProvider({ client, children }: PresenceProviderProps): ReactNode {
  return createElement(Context.Provider, { value: client }, children);
}

/** The presence client of the nearest provider, or null where that has none. */
export function usePresenceClient<Info = Data, Meta = Data>(): PresenceClient<Info, Meta> | null {
  return useContext(Context) as PresenceClient<Info, Meta> | null;
}

/**
 * A community, live. The community is joined while a component uses it. With `select` the component
 * renders only when what it selects has changed by `isEqual` (default `Object.is`).
 */
export function usePresence<Info = Data, Meta = Data>(
  communityId: string,
): CommunitySnapshot<Info, Meta>;
export function usePresence<T, Info = Data, Meta = Data>(
  communityId: string,
  select: (community: CommunitySnapshot<Info, Meta>) => T,
  isEqual?: (a: T, b: T) => boolean,
): T;
export function usePresence(
  communityId: string,
  select: (community: CommunitySnapshot) => unknown = (community) => community,
  isEqual?: (a: unknown, b: unknown) => boolean,
): unknown {
  const store = usePresenceClient()?.community(communityId);
  const empty = useMemo(() => emptySnapshot(communityId), [communityId]);
  const selectOnce = once(select);
  return useSelection(
    store?.subscribe,
    () => selectOnce(store?.getSnapshot() ?? empty),
    () => selectOnce(empty),
    isEqual,
  );
}

/** Selects from a snapshot once: React reads again and again, and what is made anew would be news each time. */
function once<S, T>(select: (snapshot: S) => T): (snapshot: S) => T {
  let last: { readonly from: S; readonly value: T } | undefined;
  return (from) => {
    if (last?.from !== from) last = { from, value: select(from) };
    return last.value;
  };
}

/**
 * A user, or undefined while offline. With `communityId` as that community shows them, and joins it;
 * else as the first community shows them that other components use.
 */
export function useUserPresence<Info = Data, Meta = Data>(
  userId: string,
  communityId?: string,
): UserPresence<Info, Meta> | undefined {
  const client = usePresenceClient<Info, Meta>();
  const store = communityId === undefined ? client : client?.community(communityId);
  return useSelection(
    store?.subscribe,
    () => store?.user(userId),
    () => undefined,
  );
}

/** Somebody who types. */
export interface TypingUser<Info = Data> {
  readonly userId: string;
  readonly info: Info | undefined;
}

/**
 * Who types on a board, in the communities that components use; without a board, who types anywhere.
 * The user of this client is left out. Renders only when somebody begins or ends.
 */
export function useTyping<Info = Data>(boardId?: string): readonly TypingUser<Info>[] {
  const client = usePresenceClient<Info>();
  return useSelection<readonly TypingUser<Info>[]>(
    client?.subscribe,
    () => (client === null ? NOBODY : typingOn(client, boardId)),
    () => NOBODY,
    isSameTyping,
  );
}

const NOBODY: readonly never[] = [];

function typingOn<Info>(
  client: PresenceClient<Info>,
  boardId: string | undefined,
): readonly TypingUser<Info>[] {
  const found = new Map<string, TypingUser<Info>>();
  const self = client.getSnapshot().self.userId;
  for (const store of client.communities()) {
    for (const { userId, info, devices } of store.getSnapshot().users) {
      if (userId === self || found.has(userId)) continue;
      const isTyping = devices.some(
        (device) => device.typing && (boardId === undefined || device.boardId === boardId),
      );
      if (isTyping) found.set(userId, { userId, info });
    }
  }
  return [...found.values()];
}

function isSameTyping(a: readonly TypingUser<unknown>[], b: readonly TypingUser<unknown>[]) {
  return (
    a.length === b.length &&
    a.every(({ userId, info }, i) => userId === b[i]?.userId && info === b[i]?.info)
  );
}

/** How the connection is. */
export type PresenceStatus = Omit<ClientSnapshot, 'self'>;

const STATUS: PresenceStatus = { state: 'syncing' };

/** How the connection is: `syncing`, `live`, `stale` since when, or `denied` and why. */
export function usePresenceStatus(): PresenceStatus {
  const client = usePresenceClient();
  return useSelection<PresenceStatus>(
    client?.subscribe,
    () => client?.getSnapshot() ?? STATUS,
    () => STATUS,
    (a, b) => a.state === b.state && a.staleSince === b.staleSince && a.error === b.error,
  );
}

/** This device, and what changes it. */
export type Self<Meta = Data> = SelfPresence<Meta> &
  Pick<PresenceClient<Data, Meta>, 'update' | 'setStatus' | 'setBoard' | 'setTyping' | 'setMeta'>;

const SELF: SelfPresence<never> = {
  userId: undefined,
  deviceId: undefined,
  status: 'active',
  boardId: undefined,
  typing: false,
  meta: undefined,
};

const noClient = () =>
  Promise.resolve({
    ok: false as const,
    error: { code: 'NO_CLIENT', message: 'PresenceProvider has no client' },
  });
const NO_ACTIONS = {
  update: noClient,
  setStatus: noClient,
  setBoard: noClient,
  setTyping: noClient,
  setMeta: noClient,
};

/** This device as it wants to be seen, with the functions that change it (see `PresenceClient`). */
export function useSelf<Meta = Data>(): Self<Meta> {
  const client = usePresenceClient<Data, Meta>();
  const self = useSelection<SelfPresence<Meta>>(
    client?.subscribe,
    () => client?.getSnapshot().self ?? SELF,
    () => SELF,
  );
  return useMemo(() => {
    const { update, setStatus, setBoard, setTyping, setMeta } = client ?? NO_ACTIONS;
    return { ...self, update, setStatus, setBoard, setTyping, setMeta };
  }, [self, client]);
}

const subscribeToNothing = (): (() => void) => () => {};

/** Reads a part of a store; the last value stays for as long as `isEqual` says that nothing changed. */
function useSelection<T>(
  subscribe: ((listener: () => void) => () => void) | undefined,
  read: () => T,
  readOnServer: () => T,
  isEqual: (a: T, b: T) => boolean = Object.is,
): T {
  const last = useRef<{ readonly value: T }>(undefined);
  const lastOnServer = useRef<{ readonly value: T }>(undefined);
  const stable = (memo: typeof last, next: T): T => {
    if (memo.current === undefined || !isEqual(memo.current.value, next)) {
      memo.current = { value: next };
    }
    return memo.current.value;
  };
  return useSyncExternalStore(
    subscribe ?? subscribeToNothing,
    () => stable(last, read()),
    () => stable(lastOnServer, readOnServer()),
  );
}
