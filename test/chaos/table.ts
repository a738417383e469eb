import { FAULTS, type Fault } from './faults.js';
import type { RoundResult } from './round.js';

/** The figures of some rounds as a Markdown table. */
export function tableOf(results: readonly RoundResult[]): string {
  const sum = (of: (result: RoundResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  const told = results.flatMap(({ toldMs }) => toldMs).sort((a, b) => a - b);
  const converged = results.map(({ convergedMs }) => convergedMs ?? Infinity);
  const strategies = new Set(results.map(({ options: o }) => `${o.strategy} over ${o.medium}`));
  const rows: [string, string | number][] = [
    ['rounds', `${results.length} (${[...strategies].join(', ')})`],
    ...(Object.keys(FAULTS) as Fault[]).map((kind): [string, number] => [
      FAULTS[kind],
      sum(({ faults }) => faults[kind]),
    ]),
    ['events checked', sum(({ eventsChecked }) => eventsChecked)],
    [
      'devices at any time that nobody might be told are gone, on average',
      Math.round(sum(({ known }) => known) / results.length),
    ],
    ['violations', sum(({ violations }) => violations.length)],
    ['ghosts', sum(({ ghosts }) => ghosts)],
    ['missing', sum(({ missing }) => missing)],
    ['edges told twice, or out of order', sum(({ doubledEdges }) => doubledEdges)],
    ['false offlines', sum(({ falseOfflines }) => falseOfflines)],
    ['worst convergence after healing', `${Math.max(...converged)} ms`],
    [
      'from SIGKILL to the last client told: half of the users',
      `${told[Math.floor(told.length / 2)] ?? '–'} ms`,
    ],
    ['the slowest', `${told.at(-1) ?? '–'} ms (${told.length} users)`],
  ];
  return ['| | |', '| --- | --- |', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join(
    '\n',
  );
}
