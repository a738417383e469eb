import type { Namespace, Socket } from 'socket.io';
import type { Audience, PresenceEvent, UserPresence } from '../core/index.js';
import type { Engine } from '../strategy/index.js';

/**
 * What goes to this node's own sockets. Always through `local`, so that order holds on every adapter
 * and nothing waits for the medium. A list is encoded once for all sockets that get it, and not again
 * until it changes.
 */

export function roomOf(communityId: string): string {
  return `community:${communityId}`;
}

/** Sockets that cannot keep up are in this room and left out of the events. */
const SLOW_ROOM = 'rollcall:slow';

/** A list as a Socket.IO packet, ready to be written. */
interface EncodedList {
  readonly version: number;
  readonly complete: boolean;
  readonly nodes: number;
  readonly packet: string;
  readonly frame: readonly Buffer[];
}

/** The parts of the connection that are not in Socket.IO's public types; all are looked for first. */
interface RawClient {
  readonly writeToEngine?: (packets: readonly string[], options: object) => void;
}

export interface FanOutHost {
  readonly onListEncoded: (ms: number, bytes: number) => void;
  readonly onList: (sockets: number, complete: boolean) => void;
}

export class FanOut {
  readonly #nsp: Namespace;
  readonly #node: Engine;
  readonly #host: FanOutHost;
  readonly #encoded = new Map<string, EncodedList>();
  #slow = 0;
  #fast: boolean | undefined;

  constructor(nsp: Namespace, node: Engine, host: FanOutHost) {
    this.#nsp = nsp;
    this.#node = node;
    this.#host = host;
  }

  event(event: PresenceEvent, audience: Audience): void {
    const { communityId, userId } = event;
    const { type, ...payload } = event;
    if (audience === 'own') {
      const community = this.#node.community(communityId);
      const own = this.#node
        .socketsOf(userId, communityId)
        .filter((id) => community?.sockets.has(id) === true);
      if (own.length > 0) this.#nsp.local.to([...own]).emit(type, payload);
      return;
    }
    let target = this.#nsp.local.to(roomOf(communityId));
    if (this.#slow > 0) target = target.except(SLOW_ROOM);
    if (audience === 'others') {
      const own = this.#node.socketsOf(userId, communityId);
      if (own.length > 0) target = target.except([...own]);
    }
    target.emit(type, payload);
  }

  /** Sends the list to these sockets, which thereby join the room: both in one tick. */
  list(communityId: string, socketIds: readonly string[]): void {
    const room = roomOf(communityId);
    const info = this.#node.info(communityId);
    const same: Socket[] = [];
    for (const id of socketIds) {
      const socket = this.#nsp.sockets.get(id);
      if (socket === undefined) continue;
      void socket.join(room);
      const userId = this.#node.userOf(id);
      const own = userId === undefined ? null : this.#node.own(communityId, userId);
      if (own === null) same.push(socket);
      else socket.nsp.local.to(id).emit('globalPresenceSync', this.listFor(communityId, own), info);
    }
    this.#host.onList(socketIds.length, info.complete);
    if (same.length === 0) return;
    if (this.#canWriteRaw(same[0] as Socket)) {
      const list = this.#encode(communityId, info);
      const packets = [list.packet];
      const options = {
        preEncoded: true,
        volatile: false,
        compress: false,
        wsPreEncodedFrame: list.frame,
      };
      for (const socket of same) {
        (socket.client as unknown as Required<RawClient>).writeToEngine(packets, options);
      }
    } else {
      const ids = same.map((socket) => socket.id);
      const users = this.#node.onlineUsers(communityId);
      this.#nsp.local.to(ids).emit('globalPresenceSync', users, info);
    }
  }

  /** The list as one user sees it, who may be invisible to the others. */
  listFor(communityId: string, own: UserPresence | null): readonly UserPresence[] {
    const users = this.#node.onlineUsers(communityId);
    if (own === null) return users;
    return [...users.filter((user) => user.userId !== own.userId), own];
  }

  /** The list of a community that nobody here is in any more is not kept. */
  forget(communityId: string): void {
    this.#encoded.delete(communityId);
  }

  #encode(communityId: string, info: { complete: boolean; nodes: number }): EncodedList {
    const started = performance.now();
    const { json, version } = this.#node.encodedList(communityId);
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
    const prefix = this.#nsp.name === '/' ? '2' : `2${this.#nsp.name},`;
    const packet = `${prefix}["globalPresenceSync",${json},${JSON.stringify(info)}]`;
    const list = { version, complete, nodes, packet, frame: textFrame('4' + packet) };
    this.#encoded.set(communityId, list);
    this.#host.onListEncoded(performance.now() - started, packet.length);
    return list;
  }

  /**
   * Writing an encoded packet is what the adapter does itself, but it is not public: it is used only
   * where the connection has it and the encoder is the default one. Else the public way serves.
   */
  #canWriteRaw(socket: Socket): boolean {
    this.#fast ??= this.#encodesAsJson();
    return (
      this.#fast && typeof (socket.client as unknown as RawClient).writeToEngine === 'function'
    );
  }

  #encodesAsJson(): boolean {
    const { encoder } = this.#nsp.adapter as unknown as {
      encoder?: { encode?: (packet: object) => unknown };
    };
    try {
      const sample = encoder?.encode?.({ type: 2, nsp: this.#nsp.name, data: ['x', [{ a: 1 }]] });
      const prefix = this.#nsp.name === '/' ? '2' : `2${this.#nsp.name},`;
      return (
        Array.isArray(sample) && sample.length === 1 && sample[0] === `${prefix}["x",[{"a":1}]]`
      );
    } catch {
      return false;
    }
  }

  // Sockets that cannot keep up.

  setSlow(socket: Socket, slow: boolean): void {
    this.#slow += slow ? 1 : -1;
    if (slow) void socket.join(SLOW_ROOM);
    else void socket.leave(SLOW_ROOM);
  }

  /** A slow socket has gone. */
  slowGone(): void {
    this.#slow--;
  }
}

/** An unmasked WebSocket text frame (RFC 6455, section 5.2): header and payload. */
function textFrame(text: string): readonly Buffer[] {
  const payload = Buffer.from(text);
  const size = payload.length;
  let header: Buffer;
  if (size < 126) {
    header = Buffer.from([0x81, size]);
  } else if (size < 65_536) {
    header = Buffer.alloc(4);
    header.writeUInt16BE(size, 2);
    header[0] = 0x81;
    header[1] = 126;
  } else {
    header = Buffer.alloc(10);
    header.writeBigUInt64BE(BigInt(size), 2);
    header[0] = 0x81;
    header[1] = 127;
  }
  return [header, payload];
}
