import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runPlan, runSeed, type Plan } from '../../../src/sim/index.js';

const CORPUS = new URL('./corpus/', import.meta.url);

describe('faults that the simulator found', () => {
  for (const file of readdirSync(CORPUS)) {
    const { what, plan } = JSON.parse(readFileSync(new URL(file, CORPUS), 'utf8')) as {
      what: string;
      plan: Plan;
    };
    it(`${file.replace('.json', '')}: ${what}`, () => {
      expect(runPlan(plan).violation).toBeUndefined();
    });
  }
});

const FIXED_SEEDS = 300;
const FRESH_SEEDS = 100;

function demandSafe(seed: number): void {
  const { violation, lastEvents } = runSeed(seed);
  if (violation === undefined) return;
  throw new Error(
    `${violation}\n${lastEvents.join('\n')}\nreplay: npm run simulate -- --seed ${seed}`,
  );
}

describe('the core under faults', () => {
  it(`holds every invariant over ${FIXED_SEEDS} fixed seeds`, () => {
    for (let seed = 1; seed <= FIXED_SEEDS; seed++) demandSafe(seed);
  });

  it(`holds every invariant over ${FRESH_SEEDS} fresh seeds`, () => {
    const first = 1_000_000 + (Date.now() % 1_000_000_000);
    for (let seed = first; seed < first + FRESH_SEEDS; seed++) demandSafe(seed);
  });

  it('tells the same story for the same seed (I19)', () => {
    for (const seed of [3, 14, 159]) {
      expect(runSeed(seed).traceHash).toBe(runSeed(seed).traceHash);
    }
    expect(runSeed(3).traceHash).not.toBe(runSeed(14).traceHash);
  });
});
