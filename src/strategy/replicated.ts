import { PresenceNode } from '../core/index.js';
import type { Strategy } from './engine.js';

/**
 * Every interested node holds the entries of the others in memory, kept right by sequenced deltas of
 * each owner. The first list is read locally. The default.
 */
export function replicated(): Strategy {
  return {
    name: 'replicated',
    readsLocally: true,
    createEngine: ({ cluster, ...options }) =>
      new PresenceNode({ ...options, ...(cluster !== undefined && { cluster }) }),
  };
}
