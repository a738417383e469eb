import type { EventEmitter } from 'node:events';
import type { EvictionTarget, PresenceEvent } from '../core/index.js';
import type { LocalEffect } from './driver.js';
import type { PresenceLogger } from './options.js';
import type { PresenceEvents } from './presence.js';

/**
 * What the application and its operators hear of this node by themselves: the events of `presence.on`
 * and the lines of the log. No listener of the application can stop the node.
 */

/** Effects of which nobody else is told. */
type Announced = Extract<
  LocalEffect,
  { kind: 'nodeUp' | 'nodeDown' | 'degraded' | 'incomplete' | 'strategyConflict' | 'nameConflict' }
>;

/** A node that goes on missing in roll calls is missing since it was first; there is one for each community. */
const SAME_SILENCE_MS = 30_000;

export class Announcements {
  readonly #events: EventEmitter<PresenceEvents>;
  readonly #logger: PresenceLogger;
  readonly #hasToldOf = new Set<string>();
  /** When a node was missing in a roll call last. */
  readonly #missingAt = new Map<string, number>();

  constructor(events: EventEmitter<PresenceEvents>, logger: PresenceLogger) {
    this.#events = events;
    this.#logger = logger;
  }

  user({ type, ...payload }: PresenceEvent): void {
    this.#tell(type, payload as never);
  }

  ready(complete: boolean, nodes: number): void {
    this.#logger.info({ event: 'ready', complete, nodes }, 'ready');
  }

  evicted(target: EvictionTarget, reason: string): void {
    this.#logger.info({ event: 'evicted', ...target, reason }, 'an operator ended a user here');
  }

  /** Said once of each: it is heard for each socket and each event, each user, or each time that somebody reads. */
  outgoingListenerFailed(error: unknown): void {
    if (this.#isFirst('onAnyOutgoing')) this.#logListener('onAnyOutgoing', error);
  }

  sortKeyFailed(error: unknown): void {
    if (!this.#isFirst('sortKey')) return;
    this.#logger.error(
      { event: 'sort-key-failed', error: String(error) },
      'sortKey of the application failed; whom it fails for is sorted by name',
    );
  }

  metricFailed(error: unknown): void {
    if (!this.#isFirst('metrics')) return;
    this.#logger.error(
      { event: 'metric-failed', error: String(error) },
      'a metric that the application added failed: none can be read',
    );
  }

  lastSeenFailed(error: unknown): void {
    if (!this.#isFirst('lastSeen')) return;
    this.#logger.error(
      { event: 'last-seen-failed', error: String(error) },
      'what the application keeps in lastSeen could not be written; it is not known later',
    );
  }

  announce(effect: Announced): void {
    const logger = this.#logger;
    switch (effect.kind) {
      case 'nodeUp':
        logger.info(
          { event: 'node-up', nodeId: effect.nodeId, nodeName: effect.nodeName },
          'a node is there',
        );
        this.#tell('nodeUp', { nodeId: effect.nodeId, nodeName: effect.nodeName });
        return;
      case 'nodeDown': {
        const { nodeId, nodeName, reason } = effect;
        const log = { event: 'node-down', nodeId, nodeName, reason };
        if (reason === 'left') logger.info(log, 'a node left');
        else
          logger.warn(
            log,
            'a node is silent and taken for dead; its users linger, then go offline',
          );
        this.#tell('nodeDown', { nodeId, nodeName, reason });
        return;
      }
      case 'degraded':
        if (effect.degraded) {
          logger.warn(
            { event: 'degraded' },
            'the medium between the nodes cannot be reached: the last known lists stay, marked complete: false',
          );
        } else {
          logger.info({ event: 'healed' }, 'the medium can be reached again; catching up');
        }
        this.#tell('degraded', effect.degraded);
        return;
      case 'incomplete': {
        const missing = effect.missing.filter((nodeId) => this.#isNewlyMissing(nodeId));
        if (missing.length === 0) return;
        logger.warn(
          { event: 'roll-call-incomplete', missing },
          'nodes did not answer a roll call in time; the list says complete: false until they do',
        );
        return;
      }
      case 'strategyConflict':
        logger.warn(
          { event: 'strategy-conflict', nodeId: effect.nodeId, nodeName: effect.nodeName },
          'a node keeps presence where this one does not find it (dual-write and redis in Redis, the others not): lists say complete: false. Give all nodes one strategy, or each kind its own cluster',
        );
        return;
      case 'nameConflict':
        logger.warn(
          { event: 'name-conflict', nodeName: effect.nodeName, nodeIds: effect.nodeIds },
          'two living nodes have one name; the name is ignored. Give each node its own',
        );
        return;
    }
  }

  #tell<E extends keyof PresenceEvents>(event: E, ...args: PresenceEvents[E]): void {
    for (const listener of (this.#events as EventEmitter).listeners(event)) {
      // What an async listener rejects with is its failure, too, and nobody else would catch it.
      const hear = async (): Promise<unknown> => Reflect.apply(listener, undefined, args);
      hear().catch((error: unknown) => this.#logListener(event, error));
    }
  }

  #isNewlyMissing(nodeId: string): boolean {
    const now = performance.now();
    for (const [id, at] of this.#missingAt) {
      if (now - at >= SAME_SILENCE_MS) this.#missingAt.delete(id);
    }
    const isNew = !this.#missingAt.has(nodeId);
    this.#missingAt.set(nodeId, now);
    return isNew;
  }

  #isFirst(of: string): boolean {
    if (this.#hasToldOf.has(of)) return false;
    this.#hasToldOf.add(of);
    return true;
  }

  #logListener(of: string, error: unknown): void {
    this.#logger.error(
      { event: 'listener-failed', of, error: String(error) },
      'a listener of the application failed',
    );
  }
}
