/**
 * What one client has been told, folded as any client would fold it, and checked on the way: the
 * first word on a community is its list, nobody comes online who is present, nobody changes or goes
 * who is absent.
 */

export interface SeenUser {
  readonly userId: string;
  readonly communityId: string;
  readonly status: string;
  readonly info?: Record<string, unknown>;
  readonly devices: readonly {
    readonly deviceId: string;
    readonly status: string;
    readonly boardId?: string;
    readonly typing?: boolean;
    readonly meta?: Record<string, unknown>;
    readonly connectedAt: number;
    readonly lastActiveAt: number;
  }[];
  readonly onlineSince: number;
  readonly lastActiveAt: number;
}

export interface SeenInfo {
  readonly communityId: string;
  readonly complete: boolean;
  readonly nodes: number;
}

export interface Told {
  readonly event: 'globalPresenceSync' | 'userOnline' | 'userUpdated' | 'userOffline';
  readonly communityId: string;
  readonly userId?: string;
  readonly reason?: string;
  readonly lastSeenAt?: number;
  /** When, in milliseconds on this process's monotonic clock. */
  readonly atMs: number;
}

export class StreamModel {
  readonly rosters = new Map<string, Map<string, SeenUser>>();
  readonly infos = new Map<string, SeenInfo>();
  readonly violations: string[] = [];
  readonly told: Told[] = [];

  /** A new connection: nothing may be relied on until its first list. */
  restart(): void {
    this.rosters.clear();
    this.infos.clear();
  }

  sync(users: readonly SeenUser[], info: SeenInfo): void {
    const { communityId } = info;
    this.told.push({ event: 'globalPresenceSync', communityId, atMs: performance.now() });
    const roster = new Map<string, SeenUser>();
    for (const user of users) {
      if (roster.has(user.userId))
        this.#violate(`${user.userId} twice in the list of ${communityId}`);
      if (user.communityId !== communityId) this.#violate(`${user.userId} of another community`);
      if (user.devices.length === 0) this.#violate(`${user.userId} without devices`);
      roster.set(user.userId, user);
    }
    this.rosters.set(communityId, roster);
    this.infos.set(communityId, info);
  }

  online(event: { communityId: string; userId: string; userPresence: SeenUser }): void {
    const roster = this.#roster('userOnline', event);
    if (roster?.has(event.userId) === true)
      this.#violate(`userOnline of ${event.userId}, who is present`);
    roster?.set(event.userId, event.userPresence);
  }

  updated(event: { communityId: string; userId: string; userPresence: SeenUser }): void {
    const roster = this.#roster('userUpdated', event);
    if (roster?.has(event.userId) === false)
      this.#violate(`userUpdated of ${event.userId}, who is absent`);
    roster?.set(event.userId, event.userPresence);
  }

  offline(event: {
    communityId: string;
    userId: string;
    lastSeenAt: number;
    reason: string;
  }): void {
    const roster = this.#roster('userOffline', event);
    if (roster?.delete(event.userId) === false) {
      this.#violate(`userOffline of ${event.userId}, who is absent`);
    }
  }

  #roster(
    event: Told['event'],
    told: { communityId: string; userId: string; reason?: string; lastSeenAt?: number },
  ): Map<string, SeenUser> | undefined {
    const { communityId, userId, reason, lastSeenAt } = told;
    this.told.push({
      event,
      communityId,
      userId,
      atMs: performance.now(),
      ...(reason !== undefined && { reason }),
      ...(lastSeenAt !== undefined && { lastSeenAt }),
    });
    const roster = this.rosters.get(communityId);
    if (roster === undefined)
      this.#violate(`${event} of ${userId} before the list of ${communityId}`);
    return roster;
  }

  #violate(what: string): void {
    this.violations.push(what);
  }

  /** The ids of who is online in a community, sorted. */
  present(communityId: string): string[] {
    return [...(this.rosters.get(communityId)?.keys() ?? [])].sort();
  }

  user(communityId: string, userId: string): SeenUser | undefined {
    return this.rosters.get(communityId)?.get(userId);
  }

  count(event: Told['event'], userId?: string): number {
    return this.told.filter(
      (told) => told.event === event && (userId === undefined || told.userId === userId),
    ).length;
  }
}
