import type { Socket } from 'socket.io';
import type { Driver } from '../driver.js';
import type { PresenceLimits } from '../limits.js';
import { unsentBytes, waitingBytes } from './connection.js';
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
  readonly turns: Turns;
  proving = false;
  gone = false;
  /** Communities taken from it so far: authority that was asked for before counts no more. */
  revocations = 0;
  /** 0, or since when the socket cannot keep up. */
  slowSince = 0;
  /** Ends listening to the socket. */
  readonly #detach: () => void;
  readonly #driver: Driver;
  readonly #limits: PresenceLimits;
  /** Made with the first update: most sockets say nothing of themselves. */
  #updates: Updates | undefined;
  /** Communities of which it has been handed a list since it last kept up. */
  #listed: Set<string> | undefined;
  /** Bytes that waited when it had been handed the last of these. */
  #owed = 0;
  /** What could not be sent when it was last looked at, and when that was last seen to become less. */
  #unsent = -1;
  #unsentSince = 0;

  constructor(socket: Socket, driver: Driver, limits: PresenceLimits, detach: () => void) {
    this.socket = socket;
    this.#detach = detach;
    this.#driver = driver;
    this.#limits = limits;
    this.turns = new Turns(this, limits);
  }

  get updates(): Updates {
    this.#updates ??= new Updates(this.#limits.updatesPerSecond, performance.now(), (patch) =>
      this.#driver.input((node, t) => node.update(this.socket.id, patch, t)),
    );
    return this.#updates;
  }

  /** No more waits to be read than may. */
  keepsUp(): boolean {
    if (waitingBytes(this.socket) > this.#limits.slowSocketBytes) return false;
    this.#listed = undefined;
    this.#owed = 0;
    if (this.slowSince === 0) this.#unsent = -1;
    return true;
  }

  /** It has been handed a list. */
  onList(communityId: string): void {
    this.#listed ??= new Set();
    if (this.#listed.has(communityId)) return;
    this.#listed.add(communityId);
    this.#owed = waitingBytes(this.socket);
  }

  /**
   * More waits than may beside one list of each community: that one it must read in any case, and were it
   * set aside for that, the next would be as long.
   */
  get isBehind(): boolean {
    return waitingBytes(this.socket) > this.#owed + this.#limits.slowSocketBytes;
  }

  /** For how long it has read nothing, ms: asked regularly of one that does not keep up. */
  stuckMs(now: number): number {
    const unsent = unsentBytes(this.socket);
    // What the application sends it meanwhile is not read.
    if (unsent < this.#unsent || this.#unsent === -1) this.#unsentSince = now;
    this.#unsent = unsent;
    return now - this.#unsentSince;
  }

  /** The socket has gone: nothing of it is done any more. */
  end(): void {
    this.gone = true;
    this.#updates?.close();
    this.#detach();
  }
}
