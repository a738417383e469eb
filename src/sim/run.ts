import { drawPlan, type Plan, type PlanWish } from './plan.js';
import { Violation, World, type WorldHost, type WorldStats } from './world.js';

/** The outcome of one seed. */
export interface RunResult {
  readonly seed: number;
  readonly stats: WorldStats;
  readonly traceHash: number;
  readonly violation: string | undefined;
  readonly lastEvents: readonly string[];
}

/** Runs one plan to its end or to the first violation. */
export function runPlan(plan: Plan, host: WorldHost = {}): RunResult {
  const world = new World(plan, host);
  let violation: string | undefined;
  try {
    world.run();
  } catch (error) {
    // A thrown error of the core is a violation too (R10); other errors are ours.
    const known = error instanceof Violation || (error as Error).name === 'InvariantError';
    violation = known ? (error as Error).message : `threw ${(error as Error).stack}`;
  }
  const { stats, traceHash, lastEvents } = world;
  return { seed: plan.options.seed, stats, traceHash, violation, lastEvents };
}

export function runSeed(seed: number, wish: PlanWish = {}): RunResult {
  return runPlan(drawPlan(seed, wish));
}

/** Most runs that shrinking may take. */
const SHRINK_RUNS = 400;

/**
 * Leaves out actions as long as a violation of the same invariant remains (delta debugging, Zeller and
 * Hildebrandt 2002).
 */
export function shrink(plan: Plan, violation: string): Plan {
  const kind = kindOf(violation);
  let best = plan;
  let runs = 0;
  let pieces = 2;
  while (best.actions.length > 1 && runs < SHRINK_RUNS) {
    const size = Math.ceil(best.actions.length / pieces);
    let found: Plan | undefined;
    for (let from = 0; from < best.actions.length && runs < SHRINK_RUNS; from += size) {
      const actions = [...best.actions.slice(0, from), ...best.actions.slice(from + size)];
      const candidate = { ...best, actions };
      runs++;
      const result = runPlan(candidate);
      if (result.violation !== undefined && kindOf(result.violation) === kind) {
        found = candidate;
        break;
      }
    }
    if (found !== undefined) {
      best = found;
      pieces = Math.max(2, pieces - 1);
    } else if (size === 1) {
      break;
    } else {
      pieces = Math.min(best.actions.length, pieces * 2);
    }
  }
  return best;
}

/** The invariant's number, or the first word of what went wrong. */
export function kindOf(violation: string): string {
  return violation.split(/[\s:]/, 1)[0] as string;
}
