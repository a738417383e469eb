import { isDeepStrictEqual } from 'node:util';
import type { Host } from './host.js';
import type { SeenUser } from '../support/stream.js';
import type { Member } from './member.js';

/** Who is seen somewhere, by how it differs from the truth. */
interface Seen {
  readonly who: string;
  readonly ghosts: readonly string[];
  readonly missing: readonly string[];
  readonly isComplete: boolean;
}

function isRight({ ghosts, missing, isComplete }: Seen): boolean {
  return isComplete && ghosts.length + missing.length === 0;
}

function describe({ who, ghosts, missing, isComplete }: Seen): string {
  const state = isComplete ? '' : ' (not complete)';
  return `${who}${state} has ghosts: ${ghosts.join(' ') || 'none'}; misses: ${missing.join(' ') || 'nobody'}`;
}

/** Who is connected, by what the test did itself, against what every client and node says. */
export class Truth {
  readonly #members: readonly Member[];
  readonly #hosts: readonly Host[];

  constructor(members: readonly Member[], hosts: readonly Host[]) {
    this.#members = members;
    this.#hosts = hosts;
  }

  get #wanted(): Member[] {
    return this.#members.filter((member) => member.client !== undefined);
  }

  /** The devices that are in a community, as `user/device`. */
  #devicesIn(communityId: string): string[] {
    const keys = this.#wanted.filter(({ rooms }) => rooms.has(communityId)).map(({ key }) => key);
    return keys.sort();
  }

  /** How each view differs from the truth: whom it has and should not, and the other way round. */
  get #views(): Seen[] {
    const expected = new Map<string, string[]>();
    return this.#wanted.flatMap((member) =>
      [...member.rooms].map((communityId) => {
        const truth = expected.get(communityId) ?? this.#devicesIn(communityId);
        expected.set(communityId, truth);
        const model = member.isConnected ? member.client?.model : undefined;
        const seen = [...(model?.rosters.get(communityId)?.values() ?? [])].flatMap((user) =>
          user.devices.map(({ deviceId }) => `${user.userId}/${deviceId}`),
        );
        return {
          who: `${member.key} in ${communityId} at ${member.at?.url}`,
          ghosts: seen.filter((key) => !truth.includes(key)),
          missing: truth.filter((key) => !seen.includes(key)),
          isComplete: model?.infos.get(communityId)?.complete === true,
        };
      }),
    );
  }

  /** Every client is connected, and its view of each of its communities is the truth, and complete. */
  get isSeen(): boolean {
    return this.#views.every(isRight);
  }

  /** Where two clients, or a client and a node over HTTP, are told different things of one user. */
  async disagreements(): Promise<string[]> {
    const found: string[] = [];
    const told = new Map<string, { user: SeenUser; by: string }>();
    const compare = (user: SeenUser, by: string): void => {
      const key = `${user.userId} in ${user.communityId}`;
      const first = told.get(key);
      if (first === undefined) told.set(key, { user, by });
      else if (!isDeepStrictEqual(user, first.user)) {
        const [one, other] = [JSON.stringify(first.user), JSON.stringify(user)];
        found.push(`${key} is ${one} for ${first.by} and ${other} for ${by}`);
      }
    };
    for (const member of this.#wanted) {
      for (const roster of member.client?.model.rosters.values() ?? []) {
        for (const user of roster.values()) compare(user, `${member.key} at ${member.at?.url}`);
      }
    }
    const userIds = new Set(this.#wanted.map(({ userId }) => userId));
    for (const { node, url } of this.#hosts) {
      for (const userId of userIds) {
        const body = (await node?.get(`/api/users/${userId}`))?.body;
        const communities = (body?.['communities'] ?? []) as SeenUser[];
        for (const user of communities) compare(user, url);
        const rooms = new Set(
          this.#wanted.flatMap((member) => (member.userId === userId ? [...member.rooms] : [])),
        );
        if (communities.length !== rooms.size) {
          found.push(
            `${userId} is in ${communities.length} communities for ${url}, not ${rooms.size}`,
          );
        }
      }
    }
    return found;
  }

  get differences(): { ghosts: number; missing: number } {
    const views = this.#views;
    return {
      ghosts: new Set(views.flatMap(({ ghosts }) => ghosts)).size,
      missing: new Set(views.flatMap(({ missing }) => missing)).size,
    };
  }

  get report(): string[] {
    return this.#views.filter((view) => !isRight(view)).map(describe);
  }

  /** Every client sees these devices on these boards, where it sees them at all. */
  sees(boards: ReadonlyMap<string, string>): boolean {
    return this.#wanted.every(({ client }) =>
      [...(client?.model.rosters.values() ?? [])].every((roster) =>
        [...roster.values()].every(({ userId, devices }) =>
          devices.every(({ deviceId, boardId }) => {
            const board = boards.get(`${userId}/${deviceId}`);
            return board === undefined || board === boardId;
          }),
        ),
      ),
    );
  }

  /** Where a node's answer over HTTP is not the truth. */
  async overHttp(): Promise<string[]> {
    const communities = new Set(this.#wanted.flatMap(({ rooms }) => [...rooms]));
    const wrong: string[] = [];
    for (const { node, url } of this.#hosts) {
      for (const communityId of communities) {
        const body = (await node?.get(`/api/communities/${communityId}`))?.body;
        const users = (body?.['users'] ?? []) as {
          userId: string;
          devices: { deviceId: string }[];
        }[];
        const seen = users.flatMap(({ userId, devices }) =>
          devices.map(({ deviceId }) => `${userId}/${deviceId}`),
        );
        const truth = this.#devicesIn(communityId);
        const ghosts = seen.filter((key) => !truth.includes(key));
        const missing = truth.filter((key) => !seen.includes(key));
        const isComplete = body?.['complete'] === true;
        const view = { who: `${url} for ${communityId}`, ghosts, missing, isComplete };
        if (!isRight(view)) wrong.push(describe(view));
      }
    }
    return wrong;
  }
}
