import { dualWrite, onDemand, redisOnly, replicated, type Strategy } from 'rollcall';

/** Every strategy over the adapter of the server, and those that can over channels in Redis, by name. */
export const VARIANTS: Record<string, (given: { redis: unknown; prefix?: string }) => Strategy> = {
  replicated: () => replicated(),
  'on-demand': () => onDemand(),
  'dual-write': (given) => dualWrite(given),
  redis: (given) => redisOnly(given),
  'replicated({ redis })': (given) => replicated(given),
  'on-demand({ redis })': (given) => onDemand(given),
};

/** Those that keep an index in Redis. */
export const INDEXED: readonly string[] = ['dual-write', 'redis'];

export function variantOf(name: string, given: { redis: unknown; prefix?: string }): Strategy {
  const variant = VARIANTS[name];
  if (variant === undefined) throw new Error(`${name} is no variant`);
  return variant(given);
}
