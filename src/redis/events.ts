/** What every client can do. */
export interface Emitter {
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
}

type Listener = (...args: never[]) => void;

/** `isLost`: a connection has gone, at least one of those that a Cluster client keeps. */
export type OnChange = (isLost: boolean) => void;

/** Of one connection, and of those that a Cluster client keeps, which may go while the client stays ready. */
const LOST = ['end', 'close', 'reconnecting', 'node-reconnecting', '-subscriber'];
const OTHER = ['ready', 'error', 'node-ready', '+subscriber', 'subscribersReady'];

interface Shared {
  readonly listeners: Set<OnChange>;
  readonly end: () => void;
}

const SHARED = new WeakMap<Emitter, Shared>();

/**
 * Calls the listener whenever a connection of this client was lost, or may have come. However many
 * listen, the client has one listener for each event: Node takes more than ten for a leak.
 */
export function listenTo(client: Emitter, listener: OnChange): () => void {
  let shared = SHARED.get(client);
  if (shared === undefined) SHARED.set(client, (shared = share(client)));
  const { listeners, end } = shared;
  listeners.add(listener);
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return;
    SHARED.delete(client);
    end();
  };
}

function share(client: Emitter): Shared {
  const listeners = new Set<OnChange>();
  const tell = (isLost: boolean) => (): void => {
    for (const listener of listeners) listener(isLost);
  };
  const [lost, other] = [tell(true), tell(false)];
  for (const event of LOST) client.on(event, lost);
  for (const event of OTHER) client.on(event, other);
  const end = (): void => {
    for (const event of LOST) client.off(event, lost);
    for (const event of OTHER) client.off(event, other);
  };
  return { listeners, end };
}
