import { TestClient } from '../support/client.js';
import type { SeenInfo, SeenUser } from '../support/stream.js';
import type { Host } from './host.js';

/** What a member asks of the round that it is in. */
export interface MemberHost {
  /** Where a load balancer sends a client now. */
  readonly route: () => Host;
  readonly lingerMs: number;
  /** Redis is there, so that a device that moves is heard of before its linger ends. */
  readonly isRedisThere: () => boolean;
  /** And all that is told is heard at once. */
  readonly isCalm: () => boolean;
  readonly onOffline: (
    observer: Member,
    event: { userId: string; communityId: string; reason: string },
  ) => void;
}

/** How long a device must have been connected, in calm, before every sound node surely knows of it. */
const SETTLED_MS = 3000;

/** One device of a user: a plain client that comes, goes and moves between nodes. */
export class Member {
  readonly userId: string;
  readonly deviceId: string;
  readonly rooms: Set<string>;
  readonly #host: MemberHost;
  readonly violations: string[] = [];
  client: TestClient | undefined;
  at: Host | undefined;
  eventsChecked = 0;
  /** Every node that hears must know of it. */
  isKnown = false;
  connectedAt = Infinity;
  #calmSince = Infinity;
  #lostAt = -Infinity;
  /** Not to come back before this. */
  awayUntil = 0;

  constructor(host: MemberHost, userId: string, deviceId: string, rooms: readonly string[]) {
    this.#host = host;
    this.userId = userId;
    this.deviceId = deviceId;
    this.rooms = new Set(rooms);
  }

  get key(): string {
    return `${this.userId}/${this.deviceId}`;
  }

  get isConnected(): boolean {
    return this.client?.socket.connected === true;
  }

  connect(): void {
    let next = this.#host.route();
    const { userId, deviceId } = this;
    const auth = { userId, deviceId, communities: [...this.rooms] };
    const quick = { reconnectionDelay: 50, reconnectionDelayMax: 400, timeout: 2000 };
    const client = new TestClient(next.url, auth, quick);
    this.client = client;
    const { socket } = client;
    socket.on('connect', () => {
      this.at = next;
      const now = performance.now();
      const { lingerMs } = this.#host;
      if (now - this.#lostAt > lingerMs / 2 || !this.#host.isRedisThere()) this.isKnown = false;
      this.connectedAt = now;
      this.#calmSince = now;
    });
    socket.on('disconnect', (reason) => {
      this.#lostAt = performance.now();
      this.connectedAt = Infinity;
      if (reason === 'io server disconnect') socket.connect();
    });
    const moveOn = (): void => {
      next = this.#host.route();
      (socket.io as unknown as { uri: string }).uri = next.url;
    };
    socket.io.on('reconnect_attempt', moveOn);
    socket.on('globalPresenceSync', (users: SeenUser[], { communityId }: SeenInfo) => {
      if (!users.some((user) => user.userId === userId)) {
        this.violations.push(`I14: ${userId} is not in the list of ${communityId}`);
      }
    });
    socket.on('userOffline', (event: Parameters<MemberHost['onOffline']>[1]) =>
      this.#host.onOffline(this, event),
    );
  }

  /**
   * Ends the connection for a while: deliberately, or as a device that loses its network, or with its
   * node, which is killed at this moment.
   */
  end(how: 'left' | 'lost' | 'killed', awayMs: number): void {
    const { client } = this;
    if (client === undefined) return;
    this.client = undefined;
    this.isKnown = false;
    this.connectedAt = Infinity;
    this.#lostAt = -Infinity;
    this.awayUntil = performance.now() + awayMs;
    this.#settle(client);
    client.socket.io.reconnection(false);
    if (how === 'lost' && client.socket.connected) client.drop();
    // Closing says goodbye, which a device that goes down with its node does not.
    if (how !== 'killed') client.close();
  }

  /** Takes over what a client's stream was found to be. */
  #settle(client: TestClient): void {
    this.violations.push(...client.violations.map((what) => `I5: ${this.key} is told ${what}`));
    this.eventsChecked += client.model.told.length;
  }

  finish(): void {
    this.end('left', Infinity);
  }

  drop(): void {
    if (this.isConnected) this.client?.drop();
  }

  update(patch: Record<string, unknown>): void {
    if (this.isConnected) this.client?.socket.emit('presenceUpdate', patch, () => {});
  }

  /** Leaves or joins one of the communities, now and at each later connection. */
  toggle(communityId: string): void {
    const { client, rooms } = this;
    if (client === undefined || !this.isConnected) return;
    const leaves = rooms.has(communityId);
    if (leaves && rooms.size === 1) return;
    if (leaves) rooms.delete(communityId);
    else rooms.add(communityId);
    client.socket.auth = { ...(client.socket.auth as object), communities: [...rooms] };
    // A device in a new community has to become known there.
    this.isKnown = false;
    this.#calmSince = performance.now();
    client.socket.emit(leaves ? 'leaveCommunity' : 'joinCommunity', communityId, () => {
      if (!leaves || rooms.has(communityId)) return;
      client.model.rosters.delete(communityId);
      client.model.infos.delete(communityId);
    });
  }

  /** To be called often: finds out whether by now everybody must know of it. */
  watch(now: number): void {
    if (!this.isConnected || this.at?.isTroubled !== false || !this.#host.isCalm()) {
      this.#calmSince = now;
    } else if (now - Math.max(this.#calmSince, this.connectedAt) > SETTLED_MS) {
      this.isKnown = true;
    }
  }
}
