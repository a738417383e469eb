import type { ReactNode } from 'react';
import { STEP_MS, type Lane, type Moment } from './timeline.js';

/** A lane for each browser's two lists: when its view was right, and when it was not. */
export function TimelineChart({ lanes }: { lanes: readonly Lane[] }): ReactNode {
  return (
    <ul className="timeline" aria-label="Views over the last minute">
      {lanes.map((lane) => (
        <li key={lane.name} className={lane.of}>
          <span className="lane-name">{lane.name}</span>
          <svg viewBox="0 0 240 10" preserveAspectRatio="none" aria-hidden="true">
            {runsOf(lane.moments).map(({ from, to, moment }) => (
              <rect key={from} x={from} width={to - from} height="10" className={moment.state} />
            ))}
          </svg>
          <span className="lane-now">{describe(lane.moments.at(-1))}</span>
        </li>
      ))}
    </ul>
  );
}

interface Run {
  readonly from: number;
  readonly to: number;
  readonly moment: Moment;
}

/** Moments of one state in a row are one rectangle. */
function runsOf(moments: readonly (Moment | undefined)[]): readonly Run[] {
  const runs: Run[] = [];
  for (const [at, moment] of moments.entries()) {
    if (moment === undefined) continue;
    const last = runs.at(-1);
    if (last?.to === at && last.moment.state === moment.state) {
      runs[runs.length - 1] = { ...last, to: at + 1 };
    } else runs.push({ from: at, to: at + 1, moment });
  }
  return runs;
}

export const TIMELINE_SECONDS = (240 * STEP_MS) / 1000;

function describe(moment: Moment | undefined): string {
  if (moment === undefined) return 'closed';
  const { state, missing, ghosts } = moment;
  if (state === 'away') return 'not connected';
  if (state === 'right') return 'right';
  return [missing > 0 ? `${missing} missing` : '', ghosts > 0 ? `${ghosts} too many` : '']
    .filter((part) => part !== '')
    .join(', ');
}
