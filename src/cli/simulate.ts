import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  addTotals,
  compareWays,
  drawPlan,
  newTotals,
  runPlan,
  shrink,
  type Plan,
  type PlanWish,
  type Totals,
} from '../sim/index.js';
import type { WorkerReport, WorkerTask } from './simulate-worker.js';

export interface SimulateOptions {
  readonly seeds: number;
  readonly from: number;
  readonly jobs?: number;
  readonly nodes?: number;
  readonly calm?: boolean;
  readonly compare?: boolean;
  /** Replays this one and shows what happened. */
  readonly seed?: number;
}

const SHOWN_FAILURES = 5;
const PROGRESS_MS = 200;

/** Runs seeds of the simulator, or replays one; gives the exit code. */
export async function simulate(options: SimulateOptions): Promise<number> {
  const wish: PlanWish = {
    ...(options.nodes !== undefined && { nodes: options.nodes }),
    ...(options.calm !== undefined && { calm: options.calm }),
  };
  if (options.seed !== undefined) return replay(options.seed, wish);
  if (options.compare === true) return compare(options, wish);
  return runMany(options, wish);
}

async function runMany(options: SimulateOptions, wish: PlanWish): Promise<number> {
  const { seeds, from } = options;
  const jobs = Math.min(options.jobs ?? availableParallelism(), seeds);
  const totals = newTotals();
  const failed: { seed: number; violation: string }[] = [];
  const started = performance.now();
  const progress = new Progress(seeds);
  await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const task: WorkerTask = { first: from + job, last: from + seeds - 1, step: jobs, wish };
      const worker = new Worker(new URL('./simulate-worker.js', import.meta.url), {
        workerData: task,
      });
      worker.on('message', (report: WorkerReport) => {
        addTotals(totals, report.totals);
        failed.push(...report.failed);
        progress.show(totals);
      });
      return new Promise<void>((resolve, reject) => {
        worker.once('error', reject);
        worker.once('exit', () => resolve());
      });
    }),
  );
  progress.end();
  print(totalsTable(totals, (performance.now() - started) / 1000, jobs));
  failed.sort((a, b) => a.seed - b.seed);
  const [first] = failed;
  if (first === undefined) return 0;
  for (const { seed, violation } of failed.slice(0, SHOWN_FAILURES)) {
    print(`seed ${seed}: ${violation}`);
  }
  if (failed.length > SHOWN_FAILURES) print(`and ${failed.length - SHOWN_FAILURES} more`);
  explain(drawPlan(first.seed, wish), first.violation, wish);
  return 1;
}

/** A failing plan, reduced, with its last events and how to see it again. */
function explain(plan: Plan, violation: string, wish: PlanWish): void {
  print(`\nreducing seed ${plan.options.seed} …`);
  const small = shrink(plan, violation);
  const { lastEvents, violation: shown } = runPlan(small);
  print(`${plan.actions.length} actions reduced to ${small.actions.length}:`);
  for (const { at, ...action } of small.actions) {
    print(`${(at / 1000).toFixed(3).padStart(8)} s  ${JSON.stringify(action)}`);
  }
  print('\nthe last events:');
  for (const line of lastEvents) print(line);
  print(`\n${shown ?? violation}`);
  print(`options: ${JSON.stringify(plan.options)}`);
  const nodes = wish.nodes === undefined ? '' : ` --nodes ${wish.nodes}`;
  const calm = wish.calm === true ? ' --calm' : '';
  print(`replay: npm run simulate -- --seed ${plan.options.seed}${nodes}${calm}`);
}

function replay(seed: number, wish: PlanWish): number {
  const plan = drawPlan(seed, wish);
  const { violation, lastEvents, stats, traceHash } = runPlan(plan);
  if (violation !== undefined) {
    explain(plan, violation, wish);
    return 1;
  }
  for (const line of lastEvents) print(line);
  print(`\noptions: ${JSON.stringify(plan.options)}`);
  print(
    `seed ${seed}: every invariant held over ${stats.steps} steps; trace ${traceHash.toString(16)}`,
  );
  return 0;
}

function compare({ seeds, from }: SimulateOptions, wish: PlanWish): number {
  const progress = new Progress(4 * seeds);
  const totals = newTotals();
  const list = Array.from({ length: seeds }, (_, i) => from + i);
  const ways = compareWays(list, wish, () => {
    addTotals(totals, { seeds: 1 });
    progress.show(totals);
  });
  progress.end();
  const per = (count: number): string => ((1000 * count) / seeds).toFixed(0);
  print(
    table([
      ['per 1,000 seeds', 'contradictions', 'false offlines', 'never right again'],
      ...ways.map((way) => [
        way.way,
        per(way.inconsistentStream),
        per(way.falseOffline),
        per(way.neverRight),
      ]),
    ]),
  );
  return 0;
}

function totalsTable(totals: Partial<Totals>, seconds: number, jobs: number): string {
  const n = (value: number | undefined): string => Math.round(value ?? 0).toLocaleString('en');
  const hours = (ms: number | undefined): string => ((ms ?? 0) / 3_600_000).toFixed(1);
  return table([
    ['seeds', n(totals.seeds)],
    ['invariant violations', n(totals.violations)],
    ['steps', n(totals.steps)],
    ['checks', n(totals.checks)],
    ['cluster hours simulated', hours(totals.simulatedMs)],
    ['node hours simulated', hours(totals.nodeMs)],
    ['times faster than real time', n((totals.simulatedMs ?? 0) / (seconds * 1000))],
    ['messages sent', n(totals.sent)],
    ['messages dropped', n(totals.dropped)],
    ['messages repeated', n(totals.duplicated)],
    ['crashes', n(totals.crashes)],
    ['orderly leaves', n(totals.leaves)],
    ['pauses and stalls', n(totals.pauses)],
    ['partitions', n(totals.partitions)],
    ['broken links', n(totals.brokenLinks)],
    ['outages of the medium', n(totals.outages)],
    ['clock steps', n(totals.clockSteps)],
    ['half-open sockets', n(totals.halfOpens)],
    ['slow clients', n(totals.slowClients)],
    ['connections', n(totals.connects)],
    ['lists', n(totals.lists)],
    ['events', n(totals.events)],
    ['offline while connected (links cut or nodes stopped)', n(totals.falseOfflines)],
    ['longest convergence after healing, s', ((totals.convergenceMs ?? 0) / 1000).toFixed(1)],
    ['wall time, s', `${seconds.toFixed(1)} on ${jobs} thread${jobs === 1 ? '' : 's'}`],
  ]);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) =>
          i === 0 ? cell.padEnd(widths?.[i] ?? 0) : cell.padStart(widths?.[i] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** How far it is, on a terminal only. */
class Progress {
  readonly #of: number;
  readonly #started = performance.now();
  #shownAt = 0;

  constructor(of: number) {
    this.#of = of;
  }

  show(totals: Partial<Totals>): void {
    const now = performance.now();
    if (!process.stderr.isTTY || now - this.#shownAt < PROGRESS_MS) return;
    this.#shownAt = now;
    const done = totals.seeds ?? 0;
    const seconds = (now - this.#started) / 1000;
    const bar = '█'.repeat(Math.floor((30 * done) / this.#of)).padEnd(30, '░');
    const faults =
      (totals.dropped ?? 0) +
      (totals.crashes ?? 0) +
      (totals.pauses ?? 0) +
      (totals.partitions ?? 0);
    const rate = (count: number): string => Math.round(count / seconds).toLocaleString('en');
    process.stderr.write(
      `\r${bar} ${done}/${this.#of} seeds, ${rate(totals.steps ?? 0)} steps/s, ` +
        `${rate(faults)} faults/s, ${totals.violations ?? 0} violations `,
    );
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  }
}
