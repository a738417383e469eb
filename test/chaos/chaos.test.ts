import { randomInt } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { hasRedis } from '../support/redis.js';
import { Round, type RoundOptions, type RoundResult } from './round.js';
import { tableOf } from './table.js';

type Variant = Pick<RoundOptions, 'strategy' | 'medium' | 'isHarsh'>;

const VARIANTS: readonly Variant[] = [
  { strategy: 'replicated', medium: 'redis', isHarsh: true },
  { strategy: 'replicated', medium: 'redis-sharded', isHarsh: false },
  { strategy: 'replicated', medium: 'redis-streams', isHarsh: true },
  { strategy: 'on-demand', medium: 'redis', isHarsh: true },
  { strategy: 'dual-write', medium: 'redis', isHarsh: true },
  { strategy: 'redis', medium: 'redis', isHarsh: true },
  { strategy: 'replicated', medium: 'redis', isHarsh: false },
  { strategy: 'replicated', medium: 'channels', isHarsh: true },
];

/** What is run under a seed: `npm run chaos -- --seed S` finds the same again. */
const variantOf = (seed: number): Variant => VARIANTS[(seed - 1) % VARIANTS.length] as Variant;

/** Without numbers from `npm run chaos`, each variant once: the last under a seed of this run's own. */
function seeds(): number[] {
  const { CHAOS_ROUNDS: rounds, CHAOS_SEED: first } = process.env;
  const count = Number(rounds ?? VARIANTS.length);
  const start = Number(first ?? (rounds === undefined ? 1 : randomInt(1, 1_000_000)));
  const list = Array.from({ length: count }, (_, i) => start + i);
  if (rounds === undefined) list[count - 1] = VARIANTS.length * randomInt(2, 100_000);
  return list;
}

describe.runIf(hasRedis)('real processes under faults', () => {
  const results: RoundResult[] = [];
  afterAll(() => {
    if (results.length > 0) console.log(`\n${tableOf(results)}\n`);
  });

  for (const seed of seeds()) {
    const variant = variantOf(seed);
    const { strategy, medium, isHarsh } = variant;
    const kind = isHarsh ? 'killed, stopped and cut off' : 'restarted in order';
    it(
      `${strategy} over ${medium}, nodes ${kind}: seed ${seed}`,
      { timeout: 150_000 },
      async () => {
        const result = await Round.run({ ...variant, seed, nodes: 3 + (seed % 3), forMs: 25_000 });
        results.push(result);
        const { faults, eventsChecked, known, violations, convergedMs } = result;
        const injected = Object.entries(faults).filter(([, count]) => count > 0);
        console.log(
          `${strategy} over ${medium}, seed ${seed}: ${eventsChecked} events; ${known} devices known; converged in ${convergedMs} ms; ${injected.map((one) => one.join(' ')).join(', ')}`,
        );
        expect(violations, `again: npm run chaos -- --seed ${seed}`).toEqual([]);
        expect(eventsChecked).toBeGreaterThan(1000);
        expect(known).toBeGreaterThan(0);
        expect(injected.length).toBeGreaterThan(1);
      },
    );
  }
});
