import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Namespace } from 'socket.io';
import type { Transport } from '../transport/index.js';
import type { Driver } from './driver.js';
import { beforeClose } from './namespace.js';
import type { PresenceLogger } from './options.js';

/**
 * What nothing tells of and therefore is looked at again and again: whether sockets keep up, whether the
 * event loop does, whether the adapter was replaced, whether the server still has the namespace.
 */

type Adapter = Namespace['adapter'];

export interface HousekeepingHost {
  readonly driver: Driver;
  readonly transport: Transport;
  readonly logger: PresenceLogger;
  /** The adapter that the application has now: `io.adapter(fn)` replaces it. */
  readonly adapter: () => Adapter;
  readonly onAdapterReplaced: () => void;
  /** The adapter is about to be closed. */
  readonly onAdapterClosing: () => void;
  readonly isServed: () => boolean;
  /** Ends the housekeeping, too. */
  readonly onUnserved: () => void;
  readonly sweepSockets: () => void;
  /** Lets go of what is not needed any more, and keeps up what is. */
  readonly sweep: () => void;
}

const SWEEP_MS = 250;
const HOUSEKEEPING_MS = 1000;
/** A p99 of the event loop's delay above this makes the node trust its own timing less. */
const STRAINED_MS = 200;

export class Housekeeping {
  readonly #host: HousekeepingHost;
  readonly #lag = monitorEventLoopDelay({ resolution: 20 });
  readonly #sweeper: NodeJS.Timeout;
  readonly #housekeeper: NodeJS.Timeout;
  #adapter: Adapter;
  #offClose: () => void;
  #isSolo: boolean;
  #lagSeconds = 0;

  constructor(host: HousekeepingHost) {
    this.#host = host;
    this.#adapter = host.adapter();
    this.#offClose = beforeClose(this.#adapter, host.onAdapterClosing);
    this.#isSolo = host.transport.isSolo;
    this.#lag.enable();
    this.#sweeper = setInterval(host.sweepSockets, SWEEP_MS).unref();
    this.#housekeeper = setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS).unref();
  }

  /** There can be no other node, as far as was seen the last time. */
  get isSolo(): boolean {
    return this.#isSolo;
  }

  /** The p99 of the event loop's delay in the last second. */
  get lagSeconds(): number {
    return this.#lagSeconds;
  }

  #keepHouse(): void {
    const { driver, logger, isServed, onUnserved, sweep } = this.#host;
    if (!isServed()) {
      logger.info({ event: 'namespace-gone' }, 'the server removed the namespace: no presence');
      onUnserved();
      return;
    }
    const p99 = this.#lag.percentile(99) / 1e6;
    this.#lagSeconds = Number.isFinite(p99) ? p99 / 1000 : 0;
    this.#lag.reset();
    if (p99 > STRAINED_MS) driver.node.strained();
    this.#watchAdapter();
    sweep();
  }

  #watchAdapter(): void {
    const { driver, transport, logger, adapter, onAdapterReplaced, onAdapterClosing } = this.#host;
    const current = adapter();
    if (current === this.#adapter) return;
    this.#offClose();
    this.#offClose = beforeClose(current, onAdapterClosing);
    this.#adapter = current;
    logger.info({ event: 'medium-changed', kind: transport.kind }, 'the adapter was replaced');
    if (this.#isSolo && !transport.isSolo) {
      this.#isSolo = false;
      driver.input((node, t) => node.meetOthers(t));
    }
    onAdapterReplaced();
  }

  close(): void {
    clearInterval(this.#sweeper);
    clearInterval(this.#housekeeper);
    this.#lag.disable();
    this.#offClose();
  }
}
