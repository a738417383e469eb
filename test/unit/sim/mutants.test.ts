import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { MUTANTS, type Mutant } from './mutants.js';

const DIST = fileURLToPath(new URL('../../../dist/', import.meta.url));
const MOST_SEEDS = 300;
const MEDIAN_SEEDS = 20;

interface Caught {
  readonly seed: number;
  readonly violation: string;
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-mutants-'));
// Forty copies of what is built.
afterAll(() => rmSync(folder, { recursive: true, force: true }), 120_000);
writeFileSync(join(folder, 'package.json'), '{"type":"module"}');

/** The built simulator over a core with the defect in it. */
function plant(mutant: Mutant, index: number): string {
  const copy = join(folder, String(index));
  for (const part of ['core', 'sim', 'strategy']) {
    cpSync(join(DIST, part), join(copy, part), { recursive: true });
  }
  const file = join(copy, mutant.file);
  let source = readFileSync(file, 'utf8');
  for (const [from, to] of mutant.edits) {
    expect(source.split(from), `must stand once in ${mutant.file}: ${from}`).toHaveLength(2);
    source = source.replace(from, () => to);
  }
  writeFileSync(file, source);
  return pathToFileURL(join(copy, 'sim', 'index.js')).href;
}

async function catchIt(simulator: string, { faults }: Mutant): Promise<Caught | null> {
  const worker = new Worker(new URL('./run-until-caught.mjs', import.meta.url), {
    workerData: { simulator, most: MOST_SEEDS, wish: { ...(faults && { faults }) } },
  });
  const [caught] = (await once(worker, 'message')) as [Caught | null];
  await worker.terminate();
  return caught;
}

const seedsToCatch: number[] = [];

describe('the simulator finds what is planted in the core', () => {
  it.each(MUTANTS.map((mutant, index) => [mutant.name, mutant, index] as const))(
    '%s',
    async (name, mutant, index) => {
      const caught = await catchIt(plant(mutant, index), mutant);
      expect(caught, `not found in ${MOST_SEEDS} seeds`).not.toBeNull();
      const { seed, violation } = caught as Caught;
      seedsToCatch.push(seed);
      // The rows of the table in docs/reliability.md.
      console.log(`| ${name} | ${seed} | ${violation.slice(0, 60).replaceAll('|', '/')} |`);
    },
  );

  it(`finds half of them within ${MEDIAN_SEEDS} seeds`, () => {
    expect(seedsToCatch).toHaveLength(MUTANTS.length);
    const sorted = seedsToCatch.toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(MEDIAN_SEEDS);
  });
});
