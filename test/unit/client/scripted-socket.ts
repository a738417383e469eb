import type { DevicePresence, PresenceSocket, UserPresence } from 'rollcall/client';

type Listener = (...args: unknown[]) => void;

export interface Sent {
  readonly event: string;
  readonly argument: unknown;
  /** Answers it, as the server's acknowledgement would. */
  readonly answer: (answer: object) => void;
  /** The time for an answer is over. */
  readonly timeOut: () => void;
}

/** A socket whose other end is the test: it says what the server would, when the test wants it. */
export class ScriptedSocket implements PresenceSocket {
  connected = false;
  active = true;
  id: string | undefined;
  readonly sent: Sent[] = [];
  readonly #listeners = new Map<string, Set<Listener>>();
  #connections = 0;

  on(event: string, listener: Listener): this {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return this;
  }

  off(event: string, listener: Listener): this {
    this.#listeners.get(event)?.delete(listener);
    return this;
  }

  emit(event: string, ...args: unknown[]): this {
    const done = typeof args.at(-1) === 'function' ? (args.at(-1) as Listener) : undefined;
    this.sent.push({
      event,
      argument: args[0],
      answer: (answer) => done?.(null, answer),
      timeOut: () => done?.(new Error('operation has timed out')),
    });
    return this;
  }

  timeout(): this {
    return this;
  }

  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** The server says something; as with real sockets, one more argument may follow. */
  tell(event: string, ...args: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...args, 'offset');
  }

  connect(): void {
    this.connected = true;
    this.active = true;
    this.id = `socket-${++this.#connections}`;
    this.#reserved('connect');
  }

  drop(): void {
    this.connected = false;
    this.id = undefined;
    this.#reserved('disconnect', 'transport close');
  }

  refuse(message: string): void {
    this.active = false;
    this.#reserved('connect_error', new Error(message));
  }

  list(
    users: readonly UserPresence[],
    info: { complete?: boolean; communityId?: string } = {},
  ): void {
    const { complete = true, communityId = 'team' } = info;
    this.tell('globalPresenceSync', structuredClone(users), { communityId, complete, nodes: 2 });
  }

  online(user: UserPresence): void {
    const { communityId, userId } = user;
    this.tell('userOnline', { communityId, userId, userPresence: structuredClone(user) });
  }

  updated(user: UserPresence): void {
    const { communityId, userId } = user;
    this.tell('userUpdated', { communityId, userId, userPresence: structuredClone(user) });
  }

  offline(userId: string, communityId = 'team'): void {
    this.tell('userOffline', { communityId, userId, lastSeenAt: 1, reason: 'left' });
  }

  /** What was sent of one event, oldest first. */
  of(event: string): Sent[] {
    return this.sent.filter((sent) => sent.event === event);
  }

  last(event: string): Sent {
    const sent = this.of(event).at(-1);
    if (sent === undefined) throw new Error(`nothing was sent as ${event}`);
    return sent;
  }

  #reserved(event: string, ...args: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...args);
  }
}

/** A user with one device, named after them. */
export function person(
  userId: string,
  change: Partial<DevicePresence> = {},
  info?: Record<string, unknown>,
): UserPresence {
  const device = {
    deviceId: `${userId}-1`,
    status: 'active' as const,
    connectedAt: 1,
    lastActiveAt: 1,
    ...change,
  };
  return {
    userId,
    communityId: 'team',
    status: device.status,
    devices: [device],
    onlineSince: 1,
    lastActiveAt: 1,
    ...(info !== undefined && { info }),
  };
}
