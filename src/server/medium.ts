import type { Namespace } from 'socket.io';
import type { Strategy } from '../strategy/index.js';
import { socketIoTransport, type OnAsked, type Transport } from '../transport/index.js';
import type { PresenceLimits } from './limits.js';
import type { PresenceLogger, PresenceOptions } from './options.js';

/**
 * What carries messages between this node and the others: what the application gives, else what the
 * strategy brings, else the Socket.IO adapter. Under a strategy's own transport the adapter still has to
 * be answered.
 */

export interface MediumHost {
  readonly nodeId: string;
  readonly strategy: Strategy;
  readonly limits: PresenceLimits;
  readonly logger: PresenceLogger;
  readonly options: Pick<PresenceOptions, 'transport' | 'cluster'>;
}

export class Medium {
  readonly transport: Transport;
  /** Set where the strategy's own transport carries presence in its place. */
  readonly #adapter: Transport | undefined;
  readonly #logger: PresenceLogger;

  constructor(nsp: Namespace, { nodeId, strategy, limits, logger, options }: MediumHost) {
    const own =
      options.transport === undefined
        ? strategy.createTransport?.({
            nodeId,
            cluster: options.cluster,
            namespace: nsp.name,
            // As large as the core takes them.
            maxMessageBytes: limits.messageBytes * 4,
            onFault: (reason) => {
              logger.warn(
                { event: 'transport-failed', reason },
                'a command to Redis failed; see degraded',
              );
            },
          })
        : undefined;
    const adapter = socketIoTransport(nsp);
    this.transport = options.transport ?? own ?? adapter;
    this.#adapter = own === undefined ? undefined : adapter;
    this.#logger = logger;
  }

  /** Servers without rollcall ask over the adapter, whatever carries presence here. */
  answerOverAdapter(onAsked: OnAsked): void {
    let isWarned = false;
    const onMessage = (): void => {
      if (isWarned) return;
      isWarned = true;
      this.#logger.warn(
        { event: 'other-medium' },
        'a node sends presence over the adapter, this one over Redis: they do not see each other; give all the same',
      );
    };
    this.#adapter?.start(onMessage, onAsked);
  }

  /** The transport itself is closed by the driver, which has started it. */
  close(): void {
    this.#adapter?.close();
  }
}
