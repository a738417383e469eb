import type { Namespace, Server } from 'socket.io';
import { PresenceError } from './errors.js';

/**
 * Which namespaces may have presence. What is not in Socket.IO's public types is looked for first.
 */

/** Those that have presence now. */
const taken = new WeakSet<Namespace>();

/**
 * The namespace that is meant.
 *
 * @throws PresenceError with code INVALID_OPTION when it cannot have presence, or has it already.
 */
export function namespaceOf(io: Server | Namespace): Namespace {
  if (!('adapter' in Object(io))) {
    throw new PresenceError(
      'INVALID_OPTION',
      'createPresence takes a server of Socket.IO, or one of its namespaces',
    );
  }
  const nsp: Namespace = 'sockets' in io && 'of' in io ? io.of('/') : (io as Namespace);
  if ('createChild' in nsp) {
    throw new PresenceError(
      'INVALID_OPTION',
      'io.of(a pattern or a function) has no sockets of its own: give each of its namespaces presence, ' +
        "by io.on('new_namespace', (nsp) => createPresence(nsp, …))",
    );
  }
  if (taken.has(nsp)) {
    throw new PresenceError(
      'INVALID_OPTION',
      `the namespace ${nsp.name} has presence already, which would tell its clients everything twice: use it, or close() it first`,
    );
  }
  return nsp;
}

/** It has presence from now on. */
export function take(nsp: Namespace): void {
  taken.add(nsp);
}

/** It may have another presence from now on. */
export function release(nsp: Namespace): void {
  taken.delete(nsp);
}

/**
 * The server has the namespace, or did and left sockets in it. Socket.IO removes empty ones that were
 * made by a pattern, and tells nobody.
 */
export function isServed(nsp: Namespace): boolean {
  const { _nsps: served } = nsp.server as { readonly _nsps?: ReadonlyMap<string, unknown> };
  return served === undefined || served.get(nsp.name) === nsp || nsp.sockets.size > 0;
}

/**
 * Calls back just before the adapter is closed. Socket.IO does that when the server closes, and tells
 * nobody where there is no socket. Gives what ends it.
 */
export function beforeClose(adapter: Namespace['adapter'], onClose: () => void): () => void {
  const { close } = adapter;
  const told = (): Promise<void> | void => {
    onClose();
    return close.call(adapter);
  };
  adapter.close = told;
  return () => {
    if (adapter.close === told) adapter.close = close;
  };
}
