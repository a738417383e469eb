import type { Instant } from '../core/index.js';
import type { Engine, EngineEffect, Store } from '../strategy/index.js';
import type { Transport } from '../transport/index.js';

/**
 * Drives an engine: gives it time, messages and local changes, and performs its effects in order. The
 * only place with a timer.
 */

export interface DriverHost {
  /** Performs what is not between nodes: lists and events to sockets, reports. */
  readonly perform: (effect: LocalEffect) => void;
  readonly onError: (error: unknown) => void;
  /** Called after each tick, for metrics. */
  readonly onTick: () => void;
  /** Called for each message that the transport could not take. */
  readonly onUnsent: () => void;
}

export type LocalEffect = Exclude<
  EngineEffect,
  { kind: 'send' | 'probe' | 'call' | 'store' | 'interest' }
>;

export class Driver {
  readonly node: Engine;
  readonly #transport: Transport;
  readonly #host: DriverHost;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #immediate: NodeJS.Immediate | undefined;
  #performing = false;
  #closed = false;
  #store: Store | undefined;

  constructor(node: Engine, transport: Transport, host: DriverHost) {
    this.node = node;
    this.#transport = transport;
    this.#host = host;
  }

  /** Subscribes first, then lets the node say hello. */
  start(store?: Store): void {
    this.#store = store;
    store?.start();
    this.#transport.start(
      (data) => this.input((node, t) => node.receive(data, t)),
      (communityId) => this.node.localUsers(communityId),
      {
        onGone: (nodeId, forMs) => this.input((node, t) => node.gone(nodeId, forMs, t)),
        onDoubted: () => this.input((node, t) => node.showLife(t)),
        onReturn: () => this.input((node, t) => node.returned(t)),
        silences: () => this.node.nodes(this.now().now),
      },
    );
    this.input((node, t) => node.start(t));
  }

  now(): Instant {
    return { now: performance.now(), wall: Date.now() };
  }

  /** Gives the engine an input and performs what follows. */
  input<T>(change: (node: Engine, t: Instant) => T): T | undefined {
    let result: T | undefined;
    try {
      result = change(this.node, this.now());
    } catch (error) {
      // Nothing that arrives may stop the process; the host logs and counts it.
      this.#host.onError(error);
    }
    this.#perform();
    this.#schedule();
    return result;
  }

  #perform(): void {
    // An effect's own inputs (a listener that calls back) are performed by the outer loop.
    if (this.#performing) return;
    this.#performing = true;
    try {
      while (this.node.hasEffects) {
        for (const effect of this.node.take()) {
          try {
            this.#performOne(effect);
          } catch (error) {
            this.#host.onError(error);
          }
        }
      }
    } finally {
      this.#performing = false;
    }
  }

  #performOne(effect: EngineEffect): void {
    switch (effect.kind) {
      case 'send':
        if (!this.#transport.publish(effect.data, effect)) this.#host.onUnsent();
        return;
      case 'call': {
        const { call } = this.#transport;
        const isSent = call?.(effect.data) ?? this.#transport.publish(effect.data, effect);
        if (!isSent) this.#host.onUnsent();
        return;
      }
      case 'interest':
        this.#transport.interest?.(effect.shard, effect.on);
        return;
      case 'nodeUp':
      case 'nodeDown':
        this.#transport.peer?.(effect.nodeId, effect.kind === 'nodeUp');
        this.#host.perform(effect);
        return;
      case 'store':
        this.#store?.perform(effect);
        return;
      case 'probe':
        void this.#transport.probe().then((ok) => {
          if (!this.#closed) this.input((node, t) => node.probed(effect.id, ok, t));
        });
        return;
      default:
        this.#host.perform(effect);
    }
  }

  #schedule(): void {
    // The tick that is about to come schedules what follows.
    if (this.#closed || this.#immediate !== undefined) return;
    const at = this.node.nextTickAt();
    const now = performance.now();
    if (at <= now) {
      // Timers run before sockets are read; the tick waits until they have been (see 2.3).
      this.#soon();
    } else if (at < this.#timerAt) {
      clearTimeout(this.#timer);
      this.#timerAt = at;
      // The clock of timers counts whole milliseconds and stands still during a turn: without one more
      // they would come too early, and the tick would find nothing due.
      const delay = Math.ceil(at - now) + 1;
      this.#timer = setTimeout(() => {
        this.#timerAt = Infinity;
        // What it was set for may wait for longer by now: a window grows with what there is to send.
        this.#schedule();
      }, delay);
    }
  }

  #soon(): void {
    // The timer may stand for what is done now.
    clearTimeout(this.#timer);
    this.#timerAt = Infinity;
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      if (this.#closed) return;
      this.input((node, t) => node.tick(t));
      this.#host.onTick();
    });
  }

  /** Announces the leave and stops. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.input((node, t) => node.close(t));
    this.#closed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#transport.close();
    await this.#store?.close();
  }
}
