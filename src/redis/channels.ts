import type { Route } from '../core/index.js';
import { DEFAULT_CLUSTER } from '../core/node-options.js';
import { checkPrefix, scopeOf } from './keys.js';

/**
 * Names of the channels of one cluster and namespace: one that every node hears, one per shard, one per node.
 *
 * Those for all and for one node share a hash tag: on a Redis Cluster one master carries them, so a
 * node that hears itself there hears the others' heartbeats too. Shards are spread over the masters.
 */
export class Channels {
  readonly all: string;
  readonly #prefix: string;
  readonly #tag: string;

  /** @throws RangeError where the prefix could break the hash tag. */
  constructor(prefix = 'rollcall', cluster = DEFAULT_CLUSTER, namespace?: string) {
    checkPrefix(prefix);
    const name = scopeOf(cluster, namespace);
    this.#prefix = `${prefix}:${name}`;
    this.#tag = `${prefix}:{${name}}`;
    this.all = `${this.#tag}:all`;
  }

  shard(shard: number): string {
    return `${this.#prefix}:shard:${shard}`;
  }

  node(nodeId: string): string {
    return `${this.#tag}:node:${nodeId}`;
  }

  of(route: Route): string {
    if (route === 'all') return this.all;
    return 'shard' in route ? this.shard(route.shard) : this.node(route.nodeId);
  }
}
