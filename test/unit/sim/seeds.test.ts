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

/** In blocks, so that a long run shows how far it is. */
const BLOCK = 250;
const FIXED_BLOCKS = 6;
const FRESH_BLOCKS = 2;

/** The first seeds of so many blocks. */
function blocks(first: number, count: number): number[] {
  return Array.from({ length: count }, (_one, i) => first + i * BLOCK);
}

function demandSafe(seed: number): void {
  const { violation, lastEvents } = runSeed(seed);
  if (violation === undefined) return;
  throw new Error(
    `${violation}\n${lastEvents.join('\n')}\nreplay: npm run simulate -- --seed ${seed}`,
  );
}

describe('the core under faults', () => {
  it.each(blocks(1, FIXED_BLOCKS))(`holds every invariant over ${BLOCK} seeds from %i`, (first) => {
    for (let seed = first; seed < first + BLOCK; seed++) demandSafe(seed);
  });

  const fresh = blocks(1_000_000 + (Date.now() % 1_000_000_000), FRESH_BLOCKS);
  it.each(fresh)(`holds every invariant over ${BLOCK} fresh seeds from %i`, (first) => {
    for (let seed = first; seed < first + BLOCK; seed++) demandSafe(seed);
  });

  it('tells the same story for the same seed (I19)', () => {
    for (const seed of [3, 14, 159]) {
      expect(runSeed(seed).traceHash).toBe(runSeed(seed).traceHash);
    }
    expect(runSeed(3).traceHash).not.toBe(runSeed(14).traceHash);
  });
});
