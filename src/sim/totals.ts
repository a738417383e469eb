import type { WorldStats } from './world.js';

/** Results of many runs, added up. */
export interface Totals extends WorldStats {
  seeds: number;
  violations: number;
}

export function newTotals(): Partial<Totals> {
  return { seeds: 0, violations: 0 };
}

/** Adds one run, or the totals of others, to `totals`. */
export function addTotals(totals: Partial<Totals>, more: Partial<Totals>): void {
  for (const [name, value] of Object.entries(more) as [keyof Totals, number][]) {
    const was = totals[name] ?? 0;
    totals[name] = name === 'convergenceMs' ? Math.max(was, value) : was + value;
  }
}
