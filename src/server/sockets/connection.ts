import type { Socket } from 'socket.io';

/**
 * What is used of a socket's connection that is not in Engine.IO's public types. It is here and nowhere
 * else, so that a new version of Engine.IO has one place to be held against.
 */

interface RawConnection {
  on(event: 'heartbeat', listener: () => void): void;
  off(event: 'heartbeat', listener: () => void): void;
  once(event: 'packet', listener: () => void): void;
  readonly sendPacket?: (type: 'ping') => void;
  readonly writeBuffer?: readonly { readonly data?: unknown }[];
  readonly transport?: {
    readonly socket?: {
      readonly bufferedAmount?: number;
      readonly terminate?: () => void;
      readonly _socket?: { readonly _handle?: { readonly writeQueueSize?: number } | null };
    };
  };
}

function connectionOf(socket: Socket): RawConnection {
  return socket.conn as unknown as RawConnection;
}

/** Listens to the client's answers to pings. Gives what ends that. */
export function onHeartbeat(socket: Socket, listener: () => void): () => void {
  const conn = connectionOf(socket);
  conn.on('heartbeat', listener);
  return () => conn.off('heartbeat', listener);
}

/** Sends a ping that a living client answers by itself; whatever comes from it first is the answer. */
export function ping(socket: Socket, onAnswer: () => void): void {
  const conn = connectionOf(socket);
  conn.once('packet', onAnswer);
  conn.sendPacket?.('ping');
}

/** Bytes that wait to be sent to a socket, as far as the connection tells. */
export function waitingBytes(socket: Socket): number {
  const conn = connectionOf(socket);
  let bytes = conn.transport?.socket?.bufferedAmount ?? 0;
  for (const packet of conn.writeBuffer ?? []) {
    bytes += typeof packet.data === 'string' ? packet.data.length : 64;
  }
  return bytes;
}

/**
 * What the process has not been able to send to a socket, where its stream tells: unlike what waits, that
 * shows how far a long message has come.
 */
export function unsentBytes(socket: Socket): number {
  const handle = connectionOf(socket).transport?.socket?._socket?._handle;
  return handle?.writeQueueSize ?? waitingBytes(socket);
}

/**
 * Ends a connection that is not read. Waiting for what it does not read would be waiting for ever, for
 * its answer to a close, too.
 */
export function terminate(socket: Socket): void {
  const { transport } = connectionOf(socket);
  socket.conn.close(true);
  transport?.socket?.terminate?.();
}
