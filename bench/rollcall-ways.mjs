// rollcall's strategies by the names that the comparison shows.
import { dualWrite, onDemand, redisOnly, replicated } from 'rollcall';

const STRATEGIES = {
  replicated: () => replicated(),
  'replicated({ redis })': (redis) => replicated({ redis }),
  'on-demand': () => onDemand(),
  'dual-write': (redis) => dualWrite({ redis }),
  redis: (redis) => redisOnly({ redis }),
};

export const ROLLCALL_WAYS = Object.keys(STRATEGIES);

/** The strategy of this name over a connected client of Redis, or undefined for a way by hand. */
export function strategyOf(way, redis) {
  return STRATEGIES[way]?.(redis);
}
