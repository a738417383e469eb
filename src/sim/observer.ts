import type { ListInfo, PresenceEvent, UserPresence } from '../core/index.js';

/**
 * What one client has been told, folded as any client would: the first word on a community is its
 * list, nobody comes online who is present, nobody changes or goes who is absent (I5, I6).
 */
export class Observer {
  readonly rosters = new Map<string, Map<string, UserPresence>>();
  readonly infos = new Map<string, ListInfo>();
  readonly #violate: (what: string) => void;

  constructor(violate: (what: string) => void) {
    this.#violate = violate;
  }

  list(users: readonly UserPresence[], info: ListInfo): void {
    const roster = new Map<string, UserPresence>();
    for (const user of users) {
      if (roster.has(user.userId)) this.#violate(`I6: ${user.userId} is in a list twice`);
      roster.set(user.userId, user);
    }
    this.rosters.set(info.communityId, roster);
    this.infos.set(info.communityId, info);
  }

  event(event: PresenceEvent): void {
    const { communityId, userId } = event;
    const roster = this.rosters.get(communityId);
    if (roster === undefined) {
      this.#violate(`I6: ${event.type} of ${userId} before the list of ${communityId}`);
      return;
    }
    const present = roster.has(userId);
    switch (event.type) {
      case 'userOnline':
        if (present) this.#violate(`I5: userOnline of ${userId}, who is present`);
        roster.set(userId, event.userPresence);
        return;
      case 'userUpdated':
        if (!present) this.#violate(`I5: userUpdated of ${userId}, who is absent`);
        roster.set(userId, event.userPresence);
        return;
      case 'userOffline':
        if (!present) this.#violate(`I5: userOffline of ${userId}, who is absent`);
        roster.delete(userId);
    }
  }

  leave(communityId: string): void {
    this.rosters.delete(communityId);
    this.infos.delete(communityId);
  }
}
