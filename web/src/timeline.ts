import { COMMUNITY, openDevices, type Device } from './device.js';
import { isGuest } from './people.js';

/** How far one client's view is from what is so, at one moment. */
export interface Moment {
  /** `away`: it has no connection, so it claims nothing. */
  readonly state: 'right' | 'wrong' | 'away';
  /** Users who are there and not shown, and users who are shown and not there. */
  readonly missing: number;
  readonly ghosts: number;
}

export interface Lane {
  readonly name: string;
  readonly of: 'rollcall' | 'map';
  /** Oldest first; undefined before the client was there. */
  readonly moments: readonly (Moment | undefined)[];
}

export const STEP_MS = 250;
const STEPS = 240;
/** A device that lost its connection is present for the linger of the demo's nodes. */
const LINGER_MS = 2000;
/** Views are not rendered at the same instant. */
const SETTLE_STEPS = 3;
const AWAY: Moment = { state: 'away', missing: 0, ghosts: 0 };

/**
 * Compares each browser of the page with what the page knows to be so: whose devices are connected.
 * Only people of this page count for the lists; simulated guests are compared
 * between the browsers, by number.
 */
export class Timeline {
  readonly #lanes = new Map<string, Lane>();
  readonly #lastConnected = new Map<Device, number>();
  readonly #people = new Set<string>();
  readonly #guests: number[] = Array<number>(SETTLE_STEPS).fill(0);

  sample(now: number): readonly Lane[] {
    const present = this.#present(now);
    const most = Math.max(0, ...[...openDevices].map(guestsOf));
    this.#guests.push(most);
    // What one view has shown for a while, the others should show.
    const guests = Math.min(this.#guests.shift() ?? 0, most);
    const lanes = new Set<string>();
    for (const device of openDevices) {
      if (device.lane === undefined) continue;
      const rollcall = rollcallMoment(device, present, this.#people, guests);
      const map = mapMoment(device, present, this.#people);
      this.#push(`${device.lane}, rollcall`, 'rollcall', rollcall);
      this.#push(`${device.lane}, map`, 'map', map);
      lanes.add(`${device.lane}, rollcall`).add(`${device.lane}, map`);
    }
    for (const [name, lane] of this.#lanes)
      if (!lanes.has(name)) this.#push(name, lane.of, undefined);
    return [...this.#lanes.values()].sort(
      (a, b) => b.of.localeCompare(a.of) || a.name.localeCompare(b.name),
    );
  }

  #present(now: number): ReadonlyMap<string, 'shown' | 'hidden'> {
    const present = new Map<string, 'shown' | 'hidden'>();
    for (const device of openDevices) {
      this.#people.add(device.userId);
      const { state, self } = device.client.getSnapshot();
      if (state === 'live') this.#lastConnected.set(device, now);
      const last = this.#lastConnected.get(device);
      if (last === undefined || now - last > LINGER_MS) continue;
      if (self.status === 'invisible') present.set(device.userId, 'hidden');
      else if (!present.has(device.userId)) present.set(device.userId, 'shown');
    }
    return present;
  }

  #push(name: string, of: Lane['of'], moment: Moment | undefined): void {
    const before = this.#lanes.get(name)?.moments ?? Array<undefined>(STEPS).fill(undefined);
    this.#lanes.set(name, { name, of, moments: [...before.slice(1), moment] });
  }
}

function rollcallMoment(
  device: Device,
  present: ReadonlyMap<string, 'shown' | 'hidden'>,
  people: ReadonlySet<string>,
  guests: number,
): Moment {
  const { state, users } = device.client.community(COMMUNITY).getSnapshot();
  if (state !== 'live') return AWAY;
  const shown = users.map(({ userId }) => userId);
  const { missing, ghosts } = compare(shown, device.userId, present, people);
  return momentOf(missing + Math.max(0, guests - guestsOf(device)), ghosts);
}

function guestsOf({ client }: Device): number {
  const { state, users } = client.community(COMMUNITY).getSnapshot();
  return state === 'live' ? users.filter(({ userId }) => isGuest(userId)).length : 0;
}

function mapMoment(
  device: Device,
  present: ReadonlyMap<string, 'shown' | 'hidden'>,
  people: ReadonlySet<string>,
): Moment {
  const users = device.handRolled.getUsers();
  if (users === undefined || device.client.getSnapshot().state !== 'live') return AWAY;
  // The map knows nothing of being invisible: that is not held against it here.
  const shown = users.map(({ userId }) => userId).filter((id) => present.get(id) !== 'hidden');
  const { missing, ghosts } = compare(shown, undefined, present, people);
  return momentOf(missing, ghosts);
}

function momentOf(missing: number, ghosts: number): Moment {
  return { state: missing + ghosts === 0 ? 'right' : 'wrong', missing, ghosts };
}

function compare(
  shown: readonly string[],
  self: string | undefined,
  present: ReadonlyMap<string, 'shown' | 'hidden'>,
  people: ReadonlySet<string>,
): { missing: number; ghosts: number } {
  const seen = new Set(shown);
  let missing = 0;
  let ghosts = 0;
  for (const userId of people) {
    const truth = present.get(userId);
    if (userId === self) continue;
    if (truth === 'shown' && !seen.has(userId)) missing++;
    if (truth !== 'shown' && seen.has(userId)) ghosts++;
  }
  return { missing, ghosts };
}
