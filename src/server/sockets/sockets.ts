import type { Namespace, Socket } from 'socket.io';
import type { EvictionTarget } from '../../core/index.js';
import { roomOf } from '../fan-out.js';
import { Admission, type AdmissionHost } from './admission.js';
import { onHeartbeat, ping, terminate, waitingBytes } from './connection.js';
import { Requests, type RequestsHost } from './requests.js';
import { Session } from './session.js';

/**
 * The sockets of this node, from their connection to their end: what becomes of those that go, are
 * evicted, have to show life, or cannot keep up.
 */

export interface SocketsHost extends AdmissionHost, RequestsHost {
  readonly onShutdown: () => void;
}

/** Disconnects that somebody wanted; every other kind may come back. */
const DELIBERATE = new Set(['client namespace disconnect', 'server namespace disconnect']);

/** The communities of sockets whose presence was closed. Presence may be added to them again. */
const earlier = new WeakMap<Socket, ReadonlySet<string>>();

/** The reason for a socket whose end was not told: the application took the listener off. */
const UNTOLD = 'transport close';

/** A socket that has not kept up and has read nothing for so long is disconnected. */
const STUCK_MS = 30_000;

export class Sockets {
  readonly #nsp: Namespace;
  readonly #host: SocketsHost;
  readonly #sessions = new Map<string, Session>();
  readonly #admission: Admission;
  readonly #requests: Requests;
  readonly #onConnection = (socket: Socket): void => this.#attach(socket);

  constructor(nsp: Namespace, host: SocketsHost) {
    this.#nsp = nsp;
    this.#host = host;
    this.#admission = new Admission(host);
    this.#requests = new Requests(this.#sessions, this.#admission, host);
    nsp.on('connection', this.#onConnection);
    // The server may have been serving before presence was added.
    for (const socket of nsp.sockets.values()) this.#attach(socket);
  }

  get slow(): number {
    let slow = 0;
    for (const session of this.#sessions.values()) if (session.slowSince > 0) slow++;
    return slow;
  }

  /** A socket is here, or has not told of its end yet. */
  get hasConnected(): boolean {
    for (const { socket } of this.#sessions.values()) if (socket.connected) return true;
    return false;
  }

  #attach(socket: Socket): void {
    // A handler that came first may have ended it: its `disconnect` has been told already.
    if (!socket.connected) return;
    // A recovered connection has its id of before.
    this.#gone(socket.id, UNTOLD);
    const { driver, limits } = this.#host;
    const listeners = this.#requests.listeners(socket.id);
    const onDisconnect = (reason: string): void => this.#gone(socket.id, reason);
    const onDisconnecting = (): void => this.#putBack(session);
    for (const [event, listener] of listeners) socket.on(event, listener);
    socket.on('disconnecting', onDisconnecting);
    socket.on('disconnect', onDisconnect);
    const offHeartbeat = onHeartbeat(socket, () => {
      driver.input((node, t) => node.alive(socket.id, t));
    });
    const session = new Session(socket, driver, limits, () => {
      for (const [event, listener] of listeners) socket.off(event, listener);
      socket.off('disconnecting', onDisconnecting);
      socket.off('disconnect', onDisconnect);
      offHeartbeat();
    });
    this.#sessions.set(socket.id, session);
    session.identity = this.#admission.identify(session, this.#takeOut(socket));
  }

  /**
   * Recovery, or presence that was closed, has left a socket in rooms before anybody said who it is.
   * Gives the communities that it is to be asked for again.
   */
  #takeOut(socket: Socket): string[] {
    const left = earlier.get(socket);
    if (left === undefined) return socket.recovered ? this.#host.fanOut.clear(socket) : [];
    for (const communityId of left) void socket.leave(roomOf(communityId));
    return [...left];
  }

  /**
   * Connection state recovery knows what a socket is in by its rooms alone. Who waits for a list, having
   * just joined or not having kept up, has been in none.
   */
  #putBack({ socket, communities }: Session): void {
    if (!socket.connected) return;
    for (const communityId of communities) void socket.join(roomOf(communityId));
  }

  #gone(socketId: string, reason: string): void {
    const session = this.#sessions.get(socketId);
    if (session === undefined) return;
    if (reason === 'server shutting down') {
      // The application closes its server: the leave must go out before the adapter closes.
      this.#host.onShutdown();
      return;
    }
    this.#end(session);
    const why = DELIBERATE.has(reason)
      ? 'left'
      : reason === 'ping timeout'
        ? 'timeout'
        : 'disconnected';
    this.#host.driver.input((node, t) => node.disconnect(socketId, why, t));
  }

  #end(session: Session): void {
    session.end();
    for (const communityId of session.communities) {
      this.#host.watches.unwatch(session.socket.id, communityId);
    }
    this.#sessions.delete(session.socket.id);
  }

  /** Disconnects the sockets of a user or device, or takes them out of a community. */
  expel({ userId, deviceId, communityId }: EvictionTarget): void {
    for (const session of this.#sessions.values()) {
      const { socket, identified } = session;
      if (identified?.userId !== userId) continue;
      if (deviceId !== undefined && identified.deviceId !== deviceId) continue;
      if (communityId === undefined) {
        this.#end(session);
        socket.disconnect();
      } else {
        this.#admission.revoke(session, identified, communityId);
      }
    }
  }

  /** These sockets have been handed the list of a community. */
  onList(communityId: string, socketIds: readonly string[]): void {
    for (const id of socketIds) this.#sessions.get(id)?.onList(communityId);
  }

  /** Makes sockets show life: an Engine.IO ping that a living client answers by itself. */
  prove(socketIds: readonly string[]): void {
    for (const id of socketIds) {
      const session = this.#sessions.get(id);
      if (session === undefined || session.proving) continue;
      session.proving = true;
      ping(session.socket, () => {
        session.proving = false;
        if (!session.gone) this.#host.driver.input((node, t) => node.alive(id, t));
      });
    }
  }

  /**
   * Sets sockets aside that cannot keep up, and gives them a fresh list when they have drained. Finds
   * those whose end was not told.
   */
  sweep(onSlow: () => void): void {
    const now = performance.now();
    for (const session of this.#sessions.values()) {
      const { socket } = session;
      if (!socket.connected) {
        this.#gone(socket.id, UNTOLD);
        continue;
      }
      const keepsUp = session.keepsUp();
      if (session.slowSince === 0) {
        if (keepsUp || session.communities.size === 0) continue;
        if (!session.isBehind) {
          if (session.stuckMs(now) > STUCK_MS) terminate(socket);
          continue;
        }
        session.slowSince = now;
        onSlow();
        this.#host.fanOut.clear(socket);
        this.#host.watches.suspend(socket.id);
        this.#host.driver.input((node) => node.suspend(socket.id));
      } else if (keepsUp && waitingBytes(socket) === 0) {
        session.slowSince = 0;
        this.#host.driver.input((node, t) => node.resume(socket.id, t));
      } else if (session.stuckMs(now) > STUCK_MS) {
        terminate(socket);
      }
    }
  }

  /** The adapter was replaced: the new one knows no rooms, not even those that each socket has for itself. */
  startOver(): void {
    for (const { socket, slowSince } of this.#sessions.values()) {
      // A socket joins rooms of the adapter that was there when it connected, for ever.
      (socket as unknown as Pick<Namespace, 'adapter'>).adapter = this.#nsp.adapter;
      void socket.join(socket.id);
      // Who cannot keep up gets the list when it has drained.
      if (slowSince === 0) this.#host.driver.input((node, t) => node.resume(socket.id, t));
    }
  }

  close(): void {
    this.#nsp.off('connection', this.#onConnection);
    for (const session of this.#sessions.values()) {
      // They stay in their rooms, which connection state recovery takes along to the next server.
      this.#putBack(session);
      earlier.set(session.socket, session.communities);
      this.#end(session);
    }
  }
}
