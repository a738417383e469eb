import type { Strategy } from '../engine.js';
import { OnDemandNode } from './on-demand-node.js';

/** What `onDemand` takes. */
export interface OnDemandOptions {
  /** How long a roll call waits for a node that is slow or dead. 10 to 60 000 ms, default 1000. */
  readonly rollCallTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 1000;

/**
 * Nothing of the other nodes is kept but what this node has told its sockets: a client's first list
 * comes from a roll call of all nodes. Costs a round trip at connect and least memory.
 *
 * @throws RangeError when an option is not what it should be.
 */
export function onDemand({
  rollCallTimeoutMs = DEFAULT_TIMEOUT_MS,
}: OnDemandOptions = {}): Strategy {
  if (!(rollCallTimeoutMs >= 10 && rollCallTimeoutMs <= 60_000)) {
    throw new RangeError('rollCallTimeoutMs must be a number of ms from 10 to 60000');
  }
  return {
    name: 'on-demand',
    readsLocally: true,
    createEngine: (options) => new OnDemandNode(options, rollCallTimeoutMs),
  };
}
