import type {
  DevicePatch,
  Effect,
  Identity,
  Instant,
  ListInfo,
  PresenceEvent,
  UserPresence,
} from '../core/types.js';
import type { SimEngine } from './cluster.js';

/**
 * The ways in which it is done by hand today, in the same world, for comparison. Each is written as
 * its users would write it at their best: the answering and the asking node count themselves in,
 * partial answers are used, users are not listed twice.
 *
 * - `gather`: at connect every other node is asked for its users, with the adapter's time-out.
 * - `fetch-sockets`: the same by sockets; before a user is announced offline the others are asked.
 * - `events-only`: every node keeps a map of the cluster from live events; the first list is that map.
 */
export type NaiveWay = 'gather' | 'fetch-sockets' | 'events-only';

export const NAIVE_WAYS: readonly NaiveWay[] = ['gather', 'fetch-sockets', 'events-only'];

/** The time-out of every official adapter. */
const ANSWER_TIMEOUT_MS = 5000;

interface LocalSocket {
  readonly userId: string;
  readonly deviceId: string;
  readonly communities: Set<string>;
}

interface Request {
  readonly communityId: string;
  readonly until: number;
  expected: number;
  readonly users: UserPresence[];
  readonly done: (users: readonly UserPresence[]) => void;
}

type Message =
  | { readonly kind: 'emit'; readonly event: PresenceEvent }
  | { readonly kind: 'ask'; readonly from: string; readonly id: number; readonly about: string }
  | {
      readonly kind: 'answer';
      readonly to: string;
      readonly id: number;
      readonly users: readonly UserPresence[];
    };

export class NaiveEngine implements SimEngine {
  readonly nodeId: string;
  readonly isDegraded = false;
  readonly #way: NaiveWay;
  /** How many others the adapter counts. */
  readonly #peers: () => number;
  readonly #sockets = new Map<string, LocalSocket>();
  readonly #requests = new Map<number, Request>();
  /** The list that was put together last, by community. */
  readonly #lists = new Map<string, readonly UserPresence[]>();
  /** `events-only`: the cluster as the events tell it. */
  readonly #map = new Map<string, Map<string, UserPresence>>();
  #out: Effect[] = [];
  #ids = 0;
  #now = 0;

  constructor(nodeId: string, way: NaiveWay, peers: () => number) {
    this.nodeId = nodeId;
    this.#way = way;
    this.#peers = peers;
  }

  start(t: Instant): void {
    this.#now = t.now;
  }

  close(): void {
    for (const id of this.#sockets.keys()) this.#drop(id, undefined);
  }

  connect(socketId: string, { userId, deviceId }: Identity, t: Instant): void {
    this.#now = t.now;
    this.#sockets.set(socketId, { userId, deviceId, communities: new Set() });
  }

  join(socketId: string, communityId: string, t: Instant): void {
    this.#now = t.now;
    const socket = this.#sockets.get(socketId);
    if (socket === undefined) return;
    const { userId } = socket;
    const isFirst = !this.#has(userId, communityId);
    socket.communities.add(communityId);
    const userPresence = this.#presence(userId, communityId);
    if (isFirst) this.#emit({ type: 'userOnline', communityId, userId, userPresence });
    else this.#emit({ type: 'userUpdated', communityId, userId, userPresence });
    if (this.#way === 'events-only') this.#list(socketId, communityId, []);
    else this.#ask(communityId, (users) => this.#list(socketId, communityId, users));
  }

  #list(socketId: string, communityId: string, others: readonly UserPresence[]): void {
    if (this.#sockets.get(socketId)?.communities.has(communityId) !== true) return;
    const users = new Map<string, UserPresence>();
    if (this.#way === 'events-only') {
      for (const user of this.#map.get(communityId)?.values() ?? []) users.set(user.userId, user);
    }
    for (const user of [...this.#local(communityId), ...others]) users.set(user.userId, user);
    this.#lists.set(communityId, [...users.values()]);
    this.#out.push({ kind: 'list', communityId, to: [socketId] });
  }

  leave(socketId: string, communityId: string, t: Instant): void {
    this.#now = t.now;
    this.#drop(socketId, communityId);
  }

  disconnect(socketId: string, _reason: string, t: Instant): void {
    this.#now = t.now;
    this.#drop(socketId, undefined);
    this.#sockets.delete(socketId);
  }

  /** Takes a socket out of one community, or of all. */
  #drop(socketId: string, only: string | undefined): void {
    const socket = this.#sockets.get(socketId);
    for (const communityId of socket?.communities ?? []) {
      if (socket === undefined || (only !== undefined && communityId !== only)) continue;
      socket.communities.delete(communityId);
      const { userId } = socket;
      if (this.#has(userId, communityId)) continue;
      const offline = (): void =>
        this.#emit({
          type: 'userOffline',
          communityId,
          userId,
          lastSeenAt: 0,
          reason: 'disconnected',
        });
      if (this.#way !== 'fetch-sockets') offline();
      else {
        this.#ask(communityId, (users) => {
          const elsewhere = users.some((user) => user.userId === userId);
          if (!elsewhere && !this.#has(userId, communityId)) offline();
        });
      }
    }
  }

  update(socketId: string, _patch: DevicePatch, t: Instant): boolean {
    this.#now = t.now;
    const socket = this.#sockets.get(socketId);
    for (const communityId of socket?.communities ?? []) {
      const { userId } = socket as LocalSocket;
      const userPresence = this.#presence(userId, communityId);
      this.#emit({ type: 'userUpdated', communityId, userId, userPresence });
    }
    return true;
  }

  #emit(event: PresenceEvent): void {
    this.#learn(event);
    this.#out.push({ kind: 'event', event, audience: 'all' });
    this.#send({ kind: 'emit', event });
  }

  #learn(event: PresenceEvent): void {
    let users = this.#map.get(event.communityId);
    if (users === undefined) this.#map.set(event.communityId, (users = new Map()));
    if (event.type === 'userOffline') users.delete(event.userId);
    else users.set(event.userId, event.userPresence);
  }

  #ask(communityId: string, done: Request['done']): void {
    const id = ++this.#ids;
    const expected = this.#peers();
    if (expected === 0) {
      done([]);
      return;
    }
    const until = this.#now + ANSWER_TIMEOUT_MS;
    this.#requests.set(id, { communityId, until, expected, users: [], done });
    this.#send({ kind: 'ask', from: this.nodeId, id, about: communityId });
  }

  receive(data: unknown, t: Instant): void {
    this.#now = t.now;
    const message = JSON.parse(data as string) as Message;
    switch (message.kind) {
      case 'emit':
        this.#learn(message.event);
        this.#out.push({ kind: 'event', event: message.event, audience: 'all' });
        return;
      case 'ask':
        this.#send({
          kind: 'answer',
          to: message.from,
          id: message.id,
          users: this.#local(message.about),
        });
        return;
      case 'answer': {
        const request = this.#requests.get(message.id);
        if (message.to !== this.nodeId || request === undefined) return;
        request.users.push(...message.users);
        if (--request.expected > 0) return;
        this.#requests.delete(message.id);
        request.done(request.users);
      }
    }
  }

  #send(message: Message): void {
    this.#out.push({
      kind: 'send',
      data: JSON.stringify(message),
      route: 'all',
      asks: false,
    });
  }

  tick(t: Instant): void {
    this.#now = t.now;
    for (const [id, request] of this.#requests) {
      if (request.until > t.now) continue;
      this.#requests.delete(id);
      request.done(request.users);
    }
  }

  nextTickAt(): number {
    let at = Infinity;
    for (const { until } of this.#requests.values()) at = Math.min(at, until);
    return at;
  }

  #has(userId: string, communityId: string): boolean {
    for (const socket of this.#sockets.values()) {
      if (socket.userId === userId && socket.communities.has(communityId)) return true;
    }
    return false;
  }

  #local(communityId: string): UserPresence[] {
    const userIds = new Set<string>();
    for (const { userId, communities } of this.#sockets.values()) {
      if (communities.has(communityId)) userIds.add(userId);
    }
    return [...userIds].map((userId) => this.#presence(userId, communityId));
  }

  #presence(userId: string, communityId: string): UserPresence {
    const devices = [];
    for (const socket of this.#sockets.values()) {
      if (socket.userId !== userId || !socket.communities.has(communityId)) continue;
      const { deviceId } = socket;
      devices.push({ deviceId, status: 'active' as const, connectedAt: 0, lastActiveAt: 0 });
    }
    return { userId, communityId, status: 'active', devices, onlineSince: 0, lastActiveAt: 0 };
  }

  onlineUsers(communityId: string): readonly UserPresence[] {
    return this.#lists.get(communityId) ?? [];
  }

  info(communityId: string): ListInfo {
    return { communityId, complete: true, nodes: 1 };
  }

  get hasEffects(): boolean {
    return this.#out.length > 0;
  }

  take(): Effect[] {
    return this.#out.splice(0);
  }

  own(): null {
    return null;
  }

  resume(socketId: string, t: Instant): void {
    this.#now = t.now;
    for (const communityId of this.#sockets.get(socketId)?.communities ?? []) {
      this.#list(socketId, communityId, []);
    }
  }

  alive(): void {}

  suspend(): void {}

  probed(): void {}

  touch(): void {}
}
