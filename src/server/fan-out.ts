import type { Namespace, Socket } from 'socket.io';
import type { Audience, PresenceEvent, UserPresence } from '../core/index.js';
import type { Engine } from '../strategy/index.js';
import type { PresenceDiff } from './events.js';
import { listFrame, packetFrame, type ListFrame } from './frames.js';

/**
 * What goes to this node's own sockets: written to their connections at once, so that order holds on
 * every adapter, nothing waits for the medium, and connection state recovery does not repeat what the
 * next list says anyway. Each event, and each version of a list, is encoded once for all its sockets.
 */

export function roomOf(communityId: string): string {
  return `community:${communityId}`;
}

const ROOM_PREFIX = roomOf('');

/** A list as a Socket.IO packet, ready to be written. */
interface EncodedList extends Encoded {
  readonly version: number;
  readonly complete: boolean;
  readonly nodes: number;
  readonly list: ListFrame;
  readonly tookMs: number;
}

/** A Socket.IO packet and its WebSocket frame. */
interface Encoded {
  readonly packet: string;
  readonly frame: readonly Buffer[];
}

/** The parts of the connection that are not in Socket.IO's public types; all are looked for first. */
interface RawClient {
  readonly writeToEngine?: (packets: readonly string[], options: object) => void;
}

type Listener = ReturnType<Socket['listenersAnyOutgoing']>[number];

export interface FanOutHost {
  readonly onListEncoded: (ms: number, bytes: number) => void;
  readonly onList: (sockets: number, complete: boolean) => void;
  /** A listener of `onAnyOutgoing` threw. */
  readonly onListenerFailed: (error: unknown) => void;
  /** Sockets of a community that get diffs instead of lists and events. */
  readonly watchers: (communityId: string) => ReadonlyMap<string, unknown> | undefined;
}

export class FanOut {
  readonly #nsp: Namespace;
  readonly #engine: Engine;
  readonly #host: FanOutHost;
  readonly #prefix: string;
  readonly #encoded = new Map<string, EncodedList>();
  #isRaw: boolean | undefined;

  constructor(nsp: Namespace, engine: Engine, host: FanOutHost) {
    this.#nsp = nsp;
    this.#engine = engine;
    this.#host = host;
    this.#prefix = nsp.name === '/' ? '2' : `2${nsp.name},`;
  }

  event({ type, ...payload }: PresenceEvent, audience: Audience): void {
    const { communityId, userId } = payload;
    // Whoever has been sent the list is in the room; the engine may be ahead of what was performed.
    const listed = this.#nsp.adapter.rooms.get(roomOf(communityId));
    if (listed === undefined) return;
    let to: Iterable<string> = listed;
    const watchers = this.#host.watchers(communityId);
    if (watchers !== undefined) to = [...listed].filter((id) => !watchers.has(id));
    if (audience !== 'all') {
      const own = new Set(this.#engine.socketsOf(userId, communityId));
      to = [...to].filter((id) => own.has(id) === (audience === 'own'));
    }
    this.#send(this.#socketsOf(to), type, () => [payload]);
  }

  /** Sends the list to these sockets, which thereby join the room: both in one tick. */
  list(communityId: string, socketIds: readonly string[]): void {
    const room = roomOf(communityId);
    const info = this.#engine.info(communityId);
    const same: Socket[] = [];
    const watchers = this.#host.watchers(communityId);
    for (const socket of this.#socketsOf(socketIds)) {
      void socket.join(room);
      if (watchers?.has(socket.id) === true) continue;
      const userId = this.#engine.userOf(socket.id);
      const own = userId === undefined ? null : this.#engine.own(communityId, userId);
      if (own === null) same.push(socket);
      else this.#send([socket], 'globalPresenceSync', () => [this.listFor(communityId, own), info]);
    }
    // The array of users is made only where somebody wants more than its encoding.
    const args = (): unknown[] => [this.#engine.onlineUsers(communityId), info];
    const before = this.#encoded.get(communityId);
    this.#send(same, 'globalPresenceSync', args, () => this.#encodeList(communityId, info));
    // Counted when they have it: it is waited for.
    const encoded = this.#encoded.get(communityId);
    if (encoded !== undefined && encoded !== before) {
      this.#host.onListEncoded(encoded.tookMs, encoded.packet.length);
    }
    this.#host.onList(socketIds.length, info.complete);
  }

  /** Says that the community is no longer theirs. */
  denied(communityId: string, socket: Socket): void {
    const error = { code: 'REVOKED', message: 'this community was taken from you' };
    this.#send([socket], 'presenceDenied', () => [{ communityId, error }]);
  }

  diff(socketIds: readonly string[], diff: PresenceDiff): void {
    this.#send(this.#socketsOf(socketIds), 'presenceDiff', () => [diff]);
  }

  /**
   * Takes a socket out of all rooms of presence, so that it gets nothing before the next list. Gives
   * the communities that it was in.
   */
  clear(socket: Socket): string[] {
    const communities: string[] = [];
    for (const room of socket.rooms) {
      if (!room.startsWith(ROOM_PREFIX)) continue;
      communities.push(room.slice(ROOM_PREFIX.length));
      void socket.leave(room);
    }
    return communities;
  }

  /** The list as one user sees it, who may be invisible to the others. */
  listFor(communityId: string, own: UserPresence | null): readonly UserPresence[] {
    const users = this.#engine.onlineUsers(communityId);
    if (own === null) return users;
    return [...users.filter((user) => user.userId !== own.userId), own];
  }

  /** Lets go of the lists of communities that nobody here is in any more. */
  sweep(): void {
    for (const communityId of this.#encoded.keys()) {
      if (this.#engine.community(communityId)?.active !== true) this.#encoded.delete(communityId);
    }
  }

  #socketsOf(ids: Iterable<string>): Socket[] {
    const sockets: Socket[] = [];
    for (const id of ids) {
      const socket = this.#nsp.sockets.get(id);
      if (socket !== undefined) sockets.push(socket);
    }
    return sockets;
  }

  #send(
    sockets: readonly Socket[],
    event: string,
    args: () => readonly unknown[],
    encode = (): Encoded => this.#encode([event, ...args()]),
  ): void {
    if (sockets.length === 0) return;
    if (!this.#canWriteRaw(sockets[0] as Socket)) {
      this.#nsp.local.to(sockets.map((socket) => socket.id)).emit(event, ...args());
      return;
    }
    const { packet, frame } = encode();
    const options = {
      preEncoded: true,
      volatile: false,
      compress: true,
      wsPreEncodedFrame: frame,
    };
    for (const socket of sockets) {
      const listeners = socket.listenersAnyOutgoing();
      if (listeners.length > 0) this.#tell(socket, listeners, [event, ...args()]);
      (socket.client as unknown as Required<RawClient>).writeToEngine([packet], options);
    }
  }

  /** Tells the application's own listeners. None of them can keep the event from anybody. */
  #tell(socket: Socket, listeners: readonly Listener[], data: unknown[]): void {
    for (const listener of listeners) {
      try {
        listener.apply(socket, data);
      } catch (error) {
        this.#host.onListenerFailed(error);
      }
    }
  }

  #encode(data: readonly unknown[]): Encoded {
    const packet = this.#prefix + JSON.stringify(data);
    return { packet, frame: [packetFrame(packet)] };
  }

  #encodeList(communityId: string, info: { complete: boolean; nodes: number }): EncodedList {
    const started = performance.now();
    const { parts, version } = this.#engine.encodedList(communityId);
    const { complete, nodes } = info;
    const known = this.#encoded.get(communityId);
    if (
      known !== undefined &&
      known.version === version &&
      known.complete === complete &&
      known.nodes === nodes
    ) {
      return known;
    }
    const head = `${this.#prefix}["globalPresenceSync",[`;
    const tail = `],${JSON.stringify(info)}]`;
    // The packet's text is put together only where a transport needs it: it stays a rope till then.
    const framed = listFrame(head, parts, tail, known?.list);
    const { packet, frame } = framed;
    const tookMs = performance.now() - started;
    const list = { version, complete, nodes, packet, frame, list: framed, tookMs };
    this.#encoded.set(communityId, list);
    return list;
  }

  /**
   * Writing an encoded packet is what the adapter does itself, but it is not public: it is used only
   * where the connection has it and the encoder is the default one. Else the public way serves.
   */
  #canWriteRaw(socket: Socket): boolean {
    this.#isRaw ??= this.#encodesAsJson();
    return (
      this.#isRaw && typeof (socket.client as unknown as RawClient).writeToEngine === 'function'
    );
  }

  #encodesAsJson(): boolean {
    const { encoder } = this.#nsp.adapter as unknown as {
      encoder?: { encode?: (packet: object) => unknown };
    };
    try {
      const sample = encoder?.encode?.({ type: 2, nsp: this.#nsp.name, data: ['x', [{ a: 1 }]] });
      return (
        Array.isArray(sample) &&
        sample.length === 1 &&
        sample[0] === `${this.#prefix}["x",[{"a":1}]]`
      );
    } catch {
      return false;
    }
  }
}
