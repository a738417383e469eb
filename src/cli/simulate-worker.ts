import { parentPort, workerData } from 'node:worker_threads';
import { addTotals, newTotals, runSeed, type PlanWish, type Totals } from '../sim/index.js';

/** Runs a share of the seeds of `rollcall simulate` in a thread of its own. */

export interface WorkerTask {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly wish: PlanWish;
}

export interface WorkerReport {
  readonly totals: Partial<Totals>;
  readonly failed: readonly { readonly seed: number; readonly violation: string }[];
}

/** Reports after so many seeds. */
const BATCH = 10;

const { first, last, step, wish } = workerData as WorkerTask;
let totals = newTotals();
let failed: { seed: number; violation: string }[] = [];

function report(): void {
  parentPort?.postMessage({ totals, failed } satisfies WorkerReport);
  totals = newTotals();
  failed = [];
}

let done = 0;
for (let seed = first; seed <= last; seed += step) {
  const { stats, violation } = runSeed(seed, wish);
  addTotals(totals, { ...stats, seeds: 1, violations: violation === undefined ? 0 : 1 });
  if (violation !== undefined) failed.push({ seed, violation });
  if (++done % BATCH === 0) report();
}
report();
