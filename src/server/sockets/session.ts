import type { Socket } from 'socket.io';
import type { Driver } from '../driver.js';
import type { PresenceLimits } from '../limits.js';
import { GivenStatus } from './given-status.js';
import type { Identified } from './identity.js';
import { Turns } from './turns.js';
import { Updates } from './updates.js';

/** One socket for as long as it is connected: what its admission, its requests and its fate share. */
export class Session {
  readonly socket: Socket;
  /** Settles when the socket is identified; null where it has no presence. */
  identity: Promise<Identified | null> = Promise.resolve(null);
  identified: Identified | null = null;
  readonly communities = new Set<string>();
  readonly givenStatus = new GivenStatus();
  readonly updates: Updates;
  readonly turns: Turns;
  proving = false;
  gone = false;
  /** Communities taken from it so far: authority that was asked for before counts no more. */
  revocations = 0;
  /** 0, or since when the socket cannot keep up. */
  slowSince = 0;
  /** Ends listening to the socket. */
  readonly detach: () => void;

  constructor(socket: Socket, driver: Driver, limits: PresenceLimits, detach: () => void) {
    const now = performance.now();
    this.socket = socket;
    this.updates = new Updates(limits.updatesPerSecond, now, (patch) =>
      driver.input((node, t) => node.update(socket.id, patch, t)),
    );
    this.turns = new Turns(this, limits, now);
    this.detach = detach;
  }
}
