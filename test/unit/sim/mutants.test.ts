import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { runPlan, runSeed } from '../../../src/sim/index.js';
import { MUTANTS, type Mutant } from './mutants.js';

const DIST = fileURLToPath(new URL('../../../dist/', import.meta.url));
const MOST_SEEDS = 300;
const MEDIAN_SEEDS = 20;

interface Simulator {
  readonly runSeed: typeof runSeed;
  readonly runPlan: typeof runPlan;
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-mutants-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'package.json'), '{"type":"module"}');

/** Loads the built simulator over a core with the defect in it. */
async function plant(mutant: Mutant, index: number): Promise<Simulator> {
  const copy = join(folder, String(index));
  for (const part of ['core', 'sim', 'strategy']) {
    cpSync(join(DIST, part), join(copy, part), { recursive: true });
  }
  const file = join(copy, mutant.file);
  let source = readFileSync(file, 'utf8');
  for (const [from, to] of mutant.edits) {
    expect(source.split(from), `${mutant.name}: must stand once in ${mutant.file}`).toHaveLength(2);
    source = source.replace(from, () => to);
  }
  writeFileSync(file, source);
  return (await import(pathToFileURL(join(copy, 'sim', 'index.js')).href)) as Simulator;
}

const seedsToCatch: number[] = [];

describe('the simulator finds what is planted in the core', () => {
  it.each(MUTANTS.map((mutant, index) => [mutant.name, mutant, index] as const))(
    '%s',
    async (_name, mutant, index) => {
      const { runSeed } = await plant(mutant, index);
      for (let seed = 1; seed <= MOST_SEEDS; seed++) {
        const { violation } = runSeed(seed);
        if (violation === undefined) continue;
        seedsToCatch.push(seed);
        console.log(`| ${mutant.name} | ${seed} | ${violation.slice(0, 90)} |`);
        return;
      }
      throw new Error(`not found in ${MOST_SEEDS} seeds`);
    },
  );

  it(`finds half of them within ${MEDIAN_SEEDS} seeds`, () => {
    expect(seedsToCatch.length).toBe(MUTANTS.length);
    const sorted = seedsToCatch.toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(MEDIAN_SEEDS);
  });
});
