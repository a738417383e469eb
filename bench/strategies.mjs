// npm run bench -- strategies [--users 100,1000] [--ways replicated,floor] [--parts lists,churn]: rollcall's
// strategies beside the ways in which it is done by hand and the least that it can cost, three nodes over
// one Redis, in one run. Prints the tables of docs/strategies.md. A missed goal is only said.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { BY_HAND } from './by-hand.mjs';
import { measureChurn } from './churn.mjs';
import { measureFirstLists } from './first-lists.mjs';
import { ROLLCALL_WAYS } from './rollcall-ways.mjs';
import { measureSteady } from './steady.mjs';
import { startRedis } from './workers.mjs';

/** The defaults of rollcall. */
const TIMINGS = { heartbeatMs: 1000, downAfterMs: 5000, lingerMs: 5000 };
const LIST_WAYS = [...ROLLCALL_WAYS, ...BY_HAND];
const CHURN_WAYS = [
  ...ROLLCALL_WAYS,
  'an event a change',
  'Redis hash and an event a change',
  'floor',
];
const PARTS = ['lists', 'churn', 'steady'];
/** What is judged is measured more often: medians of 60 differ by several hundredths from run to run. */
const NEWCOMERS = 60;
const JUDGED_NEWCOMERS = 300;
/** So is a steady pace: by how processes happened to start, its ratio differs by a tenth and more. */
const STARTS = 1;
const JUDGED_STARTS = 3;
/** Deaths take long to be waited for and do not depend on the number of users. */
const DEATH_USERS = 1000;
/** A steady pace is measured in turns with the floor, which takes long, too. */
const STEADY_USERS = 1000;
const DEATH_WITHIN_MS = 13_000;

function listOf(text, name, known) {
  const chosen = text?.split(',') ?? known;
  const unknown = chosen.find((one) => !known.includes(one));
  if (unknown === undefined) return chosen;
  console.error(
    `--${name} ${unknown} is not known; accepted, separated by commas: ${known.join(', ')}`,
  );
  process.exit(2);
}

const { values } = parseArgs({
  options: { users: { type: 'string' }, ways: { type: 'string' }, parts: { type: 'string' } },
});
const sizes = listOf(values.users, 'users', ['100', '1000', '10000']).map(Number);
const ways = listOf(values.ways, 'ways', [...new Set([...LIST_WAYS, ...CHURN_WAYS])]);
const parts = listOf(values.parts, 'parts', PARTS);
const redis = await startRedis();

/** What is judged, of one way at one size. */
const verdicts = [];
function judge(what, value, goal, isMet) {
  const verdict = `${what}: ${value} (goal ${goal}): ${isMet ? 'met' : 'missed'}`;
  verdicts.push([what, value, goal, isMet ? 'met' : 'missed']);
  console.error(`  ${verdict}`);
}

const shown = (number, digits = 1) =>
  number.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const short = (number) =>
  number >= 100 ? shown(number, 0) : number >= 1 ? shown(number) : shown(number, 2);
const seconds = (ms) => (ms === undefined ? '' : Number.isFinite(ms) ? shown(ms / 1000) : 'never');
/** Goals are in hundredths. */
const times = (ratio) => `${ratio < 10 ? shown(ratio, 2) : short(ratio)} ×`;
/** Ours only: the ways that goals are for. */
const isReplicated = (way) => way.startsWith('replicated');

function print(title, columns, rows) {
  console.log(`\n${title}\n\n| way | ${columns.map(([name]) => name).join(' | ')} |`);
  console.log(`| --- |${' --- |'.repeat(columns.length)}`);
  for (const [way, row] of rows) {
    console.log(`| ${way} | ${columns.map(([, cell]) => cell(row)).join(' | ')} |`);
  }
}

async function measureAll(names, users, measure) {
  const rows = new Map();
  for (const way of names.filter((name) => ways.includes(name))) {
    console.error(`${way}, ${users} users …`);
    rows.set(way, await measure(way));
  }
  return rows;
}

async function lists(users) {
  const rows = await measureAll(LIST_WAYS, users, (way) =>
    measureFirstLists(
      way,
      users,
      isReplicated(way) ? JUDGED_NEWCOMERS : NEWCOMERS,
      redis,
      TIMINGS,
      users === DEATH_USERS ? DEATH_WITHIN_MS : undefined,
    ),
  );
  const n = users.toLocaleString('en');
  const columns = [
    ['first list, p50 / p99, ms', (row) => `${shown(row.p50Ms)} / ${shown(row.p99Ms)}`],
    ['÷ floor, in turns', (row) => shown(row.p50Ms / row.floorP50Ms, 2)],
    ['on the server alone', (row) => `${shown(row.serverP50Ms, 2)} / ${shown(row.serverP99Ms, 2)}`],
    ['CPU of the server per connect, ms', (row) => shown(row.cpuMs)],
    ['kB through Redis per connect', (row) => short(row.redisBytes / 1000)],
  ];
  if (users === DEATH_USERS) {
    columns.push(
      ['SIGKILL until the last survivor knows, s', (row) => seconds(row.knownMs)],
      ['until the last client is told, s', (row) => seconds(row.toldMs)],
    );
  }
  print(`A first list of ${n} users`, columns, rows);
  for (const [way, row] of [...rows].filter(([name]) => isReplicated(name))) {
    const name = `${way}, a first list of ${n}`;
    if (users >= 1000) {
      const ratio = row.p50Ms / row.floorP50Ms;
      judge(`${name}: end to end ÷ floor`, times(ratio), '≤ 1.15 ×', ratio <= 1.15);
    }
    for (const [other, least] of [
      ['serverSideEmit() gather', 20],
      ['fetchSockets()', 100],
    ]) {
      if (users < 10_000 || !rows.has(other)) continue;
      const ratio = rows.get(other).serverP50Ms / row.serverP50Ms;
      judge(
        `${name}: on the server alone, ${other} ÷ ours`,
        times(ratio),
        `≥ ${least} ×`,
        ratio >= least,
      );
    }
    if (row.knownMs !== undefined && way !== 'replicated') {
      judge(
        `${way}: a killed node is known to be dead`,
        `${seconds(row.knownMs)} s`,
        '≤ 1 s',
        row.knownMs <= 1000,
      );
    }
  }
}

async function churn(users) {
  const rows = await measureAll(CHURN_WAYS, users, async (way) => {
    const row = await measureChurn(way, users, redis, TIMINGS);
    if (!isReplicated(way)) return row;
    // Beside its own floor: how fast a shared machine is changes by the minute.
    return { ...row, floor: await measureChurn('floor', users, redis, TIMINGS) };
  });
  const last = rows.get('floor');
  const byFloor = ({ changesPerSecond, floor = last }) =>
    floor && changesPerSecond / floor.changesPerSecond;
  const n = users.toLocaleString('en');
  print(
    `Users who join and leave, ${n} online`,
    [
      ['changes/s until all agree', (row) => shown(row.changesPerSecond, 0)],
      ['÷ floor', (row) => (byFloor(row) ? shown(byFloor(row), 2) : '')],
      ['CPU-s per 10,000, three nodes', (row) => shown(row.cpuPer10000, 3)],
      [
        'bytes per change into / out of Redis',
        (row) => `${short(row.bytesInto)} / ${short(row.bytesOut)}`,
      ],
      ['changes sent', (row) => (row.sentShare > 0 ? `${shown(100 * row.sentShare, 0)} %` : '')],
    ],
    rows,
  );
  for (const [way, row] of [...rows].filter(([name]) => isReplicated(name))) {
    const name = `${way}, churn at ${n}`;
    if (users === 1000) {
      const { changesPerSecond, cpuPer10000, bytesInto } = row;
      judge(
        `${name}: changes/s`,
        shown(changesPerSecond, 0),
        '≥ 200,000',
        changesPerSecond >= 200_000,
      );
      judge(`${name}: CPU-s per 10,000`, shown(cpuPer10000, 3), '≤ 0.12', cpuPer10000 <= 0.12);
      judge(`${name}: bytes per change into Redis`, short(bytesInto), '≤ 45', bytesInto <= 45);
    }
    if (users !== 1000) continue;
    const rate = byFloor(row);
    judge(`${name}: rate ÷ floor`, times(rate), '≥ 0.6 ×', rate >= 0.6);
  }
}

async function steady(users) {
  const names = CHURN_WAYS.filter((way) => way !== 'floor');
  const rows = await measureAll(names, users, (way) =>
    measureSteady(way, users, isReplicated(way) ? JUDGED_STARTS : STARTS, redis, TIMINGS),
  );
  print(
    `A steady 900 changes/s, ${users.toLocaleString('en')} online`,
    [
      ['CPU-s per 10,000, three nodes', (row) => shown(row.cpuPer10000, 2)],
      ['÷ floor, in turns', (row) => shown(row.byFloor, 2)],
    ],
    rows,
  );
  for (const [way, { byFloor }] of [...rows].filter(([name]) => isReplicated(name))) {
    judge(`${way}: CPU at 900/s ÷ floor`, times(byFloor), '≤ 1.2 ×', byFloor <= 1.2);
  }
}

for (const users of parts.includes('lists') ? sizes : []) await lists(users);
for (const users of parts.includes('churn') ? sizes : []) await churn(users);
if (parts.includes('steady') && sizes.includes(STEADY_USERS)) await steady(STEADY_USERS);
if (verdicts.length > 0) {
  console.log(`\nGoals\n\n| number | measured | goal | |\n| --- | --- | --- | --- |`);
}
for (const cells of verdicts) console.log(`| ${cells.join(' | ')} |`);
console.log(`\n${cpus().length} cores, Node ${process.version}, load ${loadavg()[0].toFixed(1)}`);
process.exit(0);
