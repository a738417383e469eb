/** The simulator: the shipping core under faults, in virtual time. */
export {
  drawPlan,
  FAULTS,
  type Action,
  type Fault,
  type Plan,
  type PlanOptions,
  type PlanWish,
} from './plan.js';
export { kindOf, runPlan, runSeed, shrink, type RunResult } from './run.js';
export { Violation, World, type WorldHost, type WorldStats } from './world.js';
export { compareWays, type WayCounts } from './compare.js';
export { addTotals, newTotals, type Totals } from './totals.js';
