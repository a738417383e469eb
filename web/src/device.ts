import { Manager, type Socket } from 'socket.io-client';
import {
  createPresenceClient,
  createPresenceDevice,
  type PresenceClient,
} from '../../src/client/index.js';
import { createEventLog, type EventLog } from './event-log.js';
import { createHandRolledList, type HandRolledList } from './hand-rolled-list.js';
import { GUILD, userIdOf } from './people.js';

export const COMMUNITY = 'team';

/** What the demo says of a user, and a device of itself. */
export type Info = { readonly name: string };
export type Meta = { readonly kind: DeviceKind };
export type DeviceKind = 'laptop' | 'phone';

/** All that are open in this page. */
export const openDevices = new Set<Device>();

/** One tab or phone of somebody: a connection to one node, for rollcall and for the hand-rolled map. */
export class Device {
  readonly userId: string;
  readonly client: PresenceClient<Info, Meta>;
  readonly handRolled: HandRolledList;
  readonly log: EventLog;
  /** Where its views are told on the timeline; a phone shows none. */
  readonly lane: string | undefined;
  readonly #manager: Manager;
  readonly #sockets: readonly Socket[];

  /** The key names the device in this tab: after a reload of the page it is the same. */
  constructor(url: string, name: string, kind: DeviceKind, key: string, nodeName: string) {
    this.lane = kind === 'laptop' ? `${name.trim()} on ${nodeName}` : undefined;
    this.userId = userIdOf(name);
    const user = { userId: this.userId, name: name.trim() };
    const device = createPresenceDevice({ key });
    this.#manager = new Manager(url, {
      transports: ['websocket'],
      reconnectionDelay: 400,
      reconnectionDelayMax: 1000,
    });
    const socket = this.#manager.socket('/', {
      auth: device.auth(() => ({ userId: this.userId, info: { name: user.name } })),
    });
    const handRolled = this.#manager.socket('/hand-rolled', { auth: user });
    this.#sockets = [socket, handRolled];
    this.client = createPresenceClient<Info, Meta>(socket, { device, userId: this.userId });
    this.handRolled = createHandRolledList(handRolled);
    this.log = createEventLog(socket, handRolled, COMMUNITY);
    void this.client.setMeta({ kind });
    // In the community for as long as the device is there, whatever the page shows of it.
    this.client.community(COMMUNITY).subscribe(() => {});
    if (GUILD.includes(user.name)) this.client.community('guild').subscribe(() => {});
    openDevices.add(this);
    for (const each of this.#sockets) each.connect();
  }

  /** Resolves when both lists have come. */
  async listed(): Promise<void> {
    const community = this.client.community(COMMUNITY);
    await Promise.all([
      until(community.subscribe, () => community.getSnapshot().state === 'live'),
      until(this.handRolled.subscribe, () => this.handRolled.getUsers() !== undefined),
    ]);
  }

  /** The server has ended the connection, and the device does not come back by itself. */
  get isEnded(): boolean {
    return this.#sockets.some((socket) => !socket.active);
  }

  /** What a page reload is to the server: the connection breaks, and the same device comes back. */
  reload(): void {
    if (this.isEnded) for (const each of this.#sockets) each.connect();
    else this.#manager.engine.close();
  }

  close(): void {
    openDevices.delete(this);
    this.client.close();
    for (const each of this.#sockets) each.off().disconnect();
  }
}

function until(
  subscribe: (listener: () => void) => () => void,
  holds: () => boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!holds()) return;
      end();
      resolve();
    };
    const end = subscribe(check);
    check();
  });
}
