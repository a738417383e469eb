// npm run bench: the numbers of docs/performance.md, as ratios within one run. Ends with code 1 where
// a number is worse than its floor; that a goal is missed is only said.
import { cpus, loadavg } from 'node:os';
import { clientFrame } from './client-frame.mjs';
import { fanOut } from './fan-out.mjs';
import { pause, quantile, startRedis, waitFor, Worker } from './workers.mjs';

const TIMINGS = { heartbeatMs: 500, downAfterMs: 3000, lingerMs: 1000 };
/** The flush window, which the event may take longer. */
const FLUSH_MS = 25;
/** A frame at 60 Hz. */
const FRAME_MS = 16.7;
/** The median of so many runs counts; the worst is told, too. */
const SLICE_RUNS = 5;
const rows = [];
const redis = await startRedis();

function report(what, value, unit, goal, floor, isBetter = (a, b) => a <= b, note = '') {
  const verdict = isBetter(value, goal) ? 'met' : isBetter(value, floor) ? 'missed' : 'FAILED';
  rows.push({ what, value: `${value.toPrecision(3)} ${unit}`.trim() + note, goal, floor, verdict });
  console.error(`${what}: ${rows.at(-1).value} (goal ${goal}, floor ${floor}): ${verdict}`);
}
const atLeast = (a, b) => a >= b;

async function start(users) {
  const population = new Worker('population.mjs', { redis, timings: TIMINGS });
  await waitFor(() => population.ask('ready'));
  await population.ask('come', 0, users);
  const server = new Worker('server.mjs', { redis, timings: TIMINGS });
  const url = await server.ask('url');
  await server.ask('present');
  const clients = new Worker('clients.mjs');
  await clients.ask('together', url, 'c', 1, 1);
  await waitFor(() => server.ask('isComplete'));
  await waitFor(() => server.ask('isOnline', `user-${users - 1}`));
  await pause(500);
  return {
    population,
    server,
    clients,
    url,
    stop: () => Promise.all([population.kill(), server.kill(), clients.kill()]),
  };
}

async function cpuOf({ server }, work) {
  await pause(200);
  await server.ask('cpu');
  await work();
  await pause(300);
  return server.ask('cpu');
}

async function lists(users, single, many) {
  const bench = await start(users);
  const { server, clients, url } = bench;
  const shown = users.toLocaleString('en');
  if (users === 1000) {
    const reads = await server.ask('reads');
    report('isOnline', reads.isOnline, 'ns', 100, 1000);
    report('onlineUsers of 1,000, unchanged', reads.onlineUsers, 'ns', 1000, 10_000);
  }
  await server.ask('copyList');
  /** CPU time of the server while clients connect each way, the best of three turns. */
  const compare = async (how, ...args) => {
    const best = new Map();
    for (let turn = 0; turn < 3; turn++) {
      for (const [way, path, community] of [
        ['idle', '/idle', 'c'],
        ['bare', '/bare', 'c'],
        ['ours, an empty community', '/', 'empty'],
        ['ours', '/', 'c'],
      ]) {
        const used = await cpuOf(bench, () => clients.ask(how, url + path, community, ...args));
        await clients.ask('close');
        await pause(200);
        // The first turn warms up.
        if (turn > 0) best.set(way, Math.min(best.get(way) ?? Infinity, used));
      }
    }
    const shows = [...best].map(([way, used]) => `${way} ${used.toFixed(0)}`);
    console.error(`  ${how} ${args.join(' ')}, ${shown} users, ms: ${shows.join(', ')}`);
    const less = (way, than) => Math.max(0.01, best.get(way) - best.get(than));
    return {
      bare: less('bare', 'idle'),
      list: less('ours', 'ours, an empty community'),
      all: less('ours', 'idle'),
    };
  };
  const one = await compare('oneByOne', single);
  report(`first list of ${shown}, one client: time ÷ bare emit`, one.list / one.bare, '', 1.2, 2.5);
  report(`the same, with all else that presence does`, one.all / one.bare, '', 1.2, 4);
  const together = await compare('together', many, 1);
  report(
    `first list of ${shown}, ${many} clients together: bare emits ÷ time`,
    together.bare / together.list,
    '×',
    10,
    3,
    atLeast,
  );
  report(
    `the same, with all else that presence does`,
    together.bare / together.all,
    '×',
    10,
    2,
    atLeast,
  );
  await bench.stop();
}

async function slices(users, how, ...flags) {
  const phases = new Map();
  const note = (phase, { longestMs, workMs }) => {
    const known = phases.get(phase) ?? { longestMs: [], workMs: [] };
    known.longestMs.push(longestMs);
    known.workMs.push(workMs);
    phases.set(phase, known);
  };
  for (let run = 0; run < SLICE_RUNS; run++) {
    const population = new Worker('population.mjs', { redis, timings: TIMINGS }, flags);
    await waitFor(() => population.ask('ready'));
    await population.ask('come', 0, users);
    await pause(1000);
    const server = new Worker('server.mjs', { redis, timings: TIMINGS }, flags);
    const url = await server.ask('url');
    await Promise.all([server.ask('slices'), population.ask('slices')]);
    await server.ask('present');
    const clients = new Worker('clients.mjs');
    await clients.ask('together', url, 'c', 3, 3);
    await waitFor(() => server.ask('isComplete'));
    await pause(500);
    note('a node primes: the node', await server.ask('slices'));
    note('a node primes: the owner that answers', await population.ask('slices'));
    await population.ask('go', 0, users);
    await waitFor(async () => !(await server.ask('isOnline', `user-${users - 1}`)));
    await pause(500);
    await Promise.all([server.ask('slices'), population.ask('slices')]);
    await population.ask('come', 0, users);
    await waitFor(() => server.ask('isOnline', `user-${users - 1}`));
    await pause(1000);
    note('joins storm in: a node that hears of them', await server.ask('slices'));
    note('joins storm in: the node that they come to', await population.ask('slices'));
    await population.kill();
    await waitFor(async () => !(await server.ask('isOnline', 'user-0')));
    await pause(1000);
    note('a peer dies', await server.ask('slices'));
    await Promise.all([server.kill(), clients.kill()]);
    await pause(2000);
  }
  for (const [phase, { longestMs, workMs }] of phases) {
    for (const [what, values, floor] of [
      [`longest slice${how}, ${phase}`, longestMs, 50],
      ['the same without collecting garbage', workMs, 25],
    ]) {
      const worst = ` (worst of ${SLICE_RUNS}: ${Math.max(...values).toPrecision(3)})`;
      report(what, quantile(values, 0.5), 'ms', 10, floor, undefined, worst);
    }
  }
}

async function latency() {
  const servers = [
    new Worker('server.mjs', { redis, timings: TIMINGS }),
    new Worker('server.mjs', { redis, timings: TIMINGS }),
  ];
  const urls = await Promise.all(servers.map((server) => server.ask('url')));
  await Promise.all(servers.map((server) => server.ask('present')));
  const clients = new Worker('clients.mjs');
  const { bare, rollcall } = await clients.ask('latency', ...urls, 300);
  const [a, b] = [quantile(bare, 0.5), quantile(rollcall, 0.5)];
  console.error(
    `  p50 / p99: bare ${a.toFixed(2)} / ${quantile(bare, 0.99).toFixed(2)} ms, rollcall ${b.toFixed(2)} / ${quantile(rollcall, 0.99).toFixed(2)} ms`,
  );
  report('join to event on another node, p50 − 1.5 × bare', b - 1.5 * a, 'ms', FLUSH_MS, 100);
  await Promise.all([...servers, clients].map((worker) => worker.kill()));
}

const only = process.argv[2];
if (only === undefined || only === 'lists') {
  await lists(1000, 60, 300);
  await pause(2000);
  await lists(10_000, 15, 60);
  await pause(2000);
}
if (only === undefined || only === 'slices') {
  await slices(10_000, '');
  const flag = '--max-semi-space-size=4';
  await slices(10_000, ` with ${flag}`, flag);
}
if (only === undefined || only === 'latency') await latency();
if (only === undefined || only === 'client') {
  const { events, diff } = await clientFrame();
  const what = 'a client takes a diff of 1,000 users into a list of 10,000';
  report(`${what}, an event for each`, events, 'ms', FRAME_MS, 3 * FRAME_MS);
  report(`${what}, in one message`, diff, 'ms', FRAME_MS, 3 * FRAME_MS);
}
const fanned = only === undefined || only === 'fanout' ? await fanOut(redis, TIMINGS) : [];

console.log(`${cpus().length} cores, Node ${process.version}, load ${loadavg()[0].toFixed(1)}\n`);
if (fanned.length > 0) console.log(fanned.join('\n') + '\n');
if (rows.length === 0) process.exit(0);
console.log('| number | measured | goal | floor | |\n| --- | --- | --- | --- | --- |');
for (const { what, value, goal, floor, verdict } of rows) {
  console.log(`| ${what} | ${value} | ${goal} | ${floor} | ${verdict} |`);
}
process.exit(rows.some(({ verdict }) => verdict === 'FAILED') ? 1 : 0);
