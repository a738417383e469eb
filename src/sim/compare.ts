import { NaiveEngine, NAIVE_WAYS, type NaiveWay } from './naive.js';
import { drawPlan, type PlanWish } from './plan.js';
import { kindOf, runPlan } from './run.js';

/** What a client sees of a violation, in the columns of the comparison. */
export interface WayCounts {
  readonly way: NaiveWay | 'rollcall';
  seeds: number;
  /** Events that contradict what the client was told before. */
  inconsistentStream: number;
  /** Announced offline while connected. */
  falseOffline: number;
  /** Seeds after which the clients never agree with the truth: somebody is missing, or a ghost. */
  neverRight: number;
}

/**
 * Runs the same seeds with rollcall and with the naive ways, judged by what clients are told. The
 * naive ways know no invisible users: whoever hides is left out of the judgement.
 */
export function compareWays(
  seeds: readonly number[],
  wish: PlanWish,
  onSeed: () => void = () => {},
): WayCounts[] {
  return (['rollcall', ...NAIVE_WAYS] as const).map((way) => {
    const counts: WayCounts = {
      way,
      seeds: 0,
      inconsistentStream: 0,
      falseOffline: 0,
      neverRight: 0,
    };
    for (const seed of seeds) {
      const { stats } = runPlan(drawPlan(seed, wish), {
        ...(way !== 'rollcall' && {
          makeEngine: ({ nodeId }, world) =>
            new NaiveEngine(nodeId, way, () => world.living.length - 1),
        }),
        onViolation: (what) => {
          const kind = kindOf(what);
          if (kind === 'I5' || kind === 'I6') counts.inconsistentStream++;
          else if (kind === 'I7') counts.neverRight++;
        },
      });
      counts.seeds++;
      counts.falseOffline += stats.falseOfflines;
      onSeed();
    }
    return counts;
  });
}
