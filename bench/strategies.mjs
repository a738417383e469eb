// npm run bench -- strategies: rollcall's strategies beside the ways in which it is done by hand, three
// nodes over one Redis, one run. The population has real sockets.
import { createClient } from 'redis';
import { pause, quantile, startRedis, waitFor, Worker } from './workers.mjs';

const WAYS = [
  'replicated',
  'on-demand',
  'dual-write',
  'redis',
  'fetchSockets()',
  'serverSideEmit() gather',
  'Redis hash',
  'floor',
];
/** The defaults of rollcall. */
const TIMINGS = { heartbeatMs: 1000, downAfterMs: 5000, lingerMs: 5000 };
const NEWCOMERS = 40;
const ROUNDS = 4;
const TOLD_WITHIN_MS = 20_000;

async function bytesOut(redis) {
  const info = await redis.info('stats');
  const read = (name) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
  return { into: read('total_net_input_bytes'), out: read('total_net_output_bytes') };
}

async function measure(way, users) {
  const url = await startRedis();
  const redis = createClient({ url });
  await redis.connect();
  const nodes = [1, 2, 3].map(() => new Worker('way.mjs', { redis: url, way, timings: TIMINGS }));
  const crowd = new Worker('crowd.mjs');
  try {
    const urls = await Promise.all(nodes.map((node) => node.ask('url')));
    await crowd.ask('populate', urls, users);
    await waitFor(async () => (await nodes[1].ask('count')) === users, 60_000);
    await pause(1500);

    // What the cluster does while nobody comes is taken off.
    let before = await bytesOut(redis);
    await pause(2000);
    let after = await bytesOut(redis);
    const idleMs = 2000;
    const idle = {
      into: (after.into - before.into) / idleMs,
      out: (after.out - before.out) / idleMs,
    };
    const net = (ms) => ({
      into: Math.max(0, after.into - before.into - idle.into * ms),
      out: Math.max(0, after.out - before.out - idle.out * ms),
    });

    await crowd.ask('firstLists', urls[1], 5);
    await nodes[1].ask('cpu');
    before = await bytesOut(redis);
    let started = performance.now();
    const { took, size } = await crowd.ask('firstLists', urls[1], NEWCOMERS);
    let ms = performance.now() - started;
    const cpu = (await nodes[1].ask('cpu')) / NEWCOMERS;
    after = await bytesOut(redis);
    const listBytes = net(ms).out / NEWCOMERS;
    await pause(6000);

    await Promise.all(nodes.map((node) => node.ask('cpu')));
    before = await bytesOut(redis);
    started = performance.now();
    const changes = await crowd.ask('churn', ROUNDS);
    await waitFor(async () => {
      const counts = await Promise.all(nodes.map((node) => node.ask('count')));
      return counts.every((count) => count === users);
    }, 60_000);
    ms = performance.now() - started;
    after = await bytesOut(redis);
    const churnCpu = (await Promise.all(nodes.map((node) => node.ask('cpu')))).reduce(
      (a, b) => a + b,
    );
    const churned = net(ms);

    await crowd.ask('watch', urls.slice(1), urls[0], TOLD_WITHIN_MS);
    await pause(500);
    const told = crowd.ask('toldOfDeath');
    await nodes[0].kill();
    const toldMs = await told;
    return {
      'first list p50, ms': quantile(took, 0.5).toFixed(1),
      'p99, ms': quantile(took, 0.99).toFixed(1),
      'users in it': size,
      'CPU per connect, ms': cpu.toFixed(2),
      'kB from Redis per connect': (listBytes / 1000).toFixed(1),
      'changes/s': (changes / (ms / 1000)).toFixed(0),
      'CPU-s per 10,000 changes': ((churnCpu / changes) * 10).toFixed(2),
      'bytes into / out of Redis per change': `${(churned.into / changes).toFixed(0)} / ${(churned.out / changes).toFixed(0)}`,
      'SIGKILL to last client told, s': Number.isFinite(toldMs)
        ? (toldMs / 1000).toFixed(1)
        : 'never',
    };
  } finally {
    await redis.close();
    await Promise.all([...nodes, crowd].map((worker) => worker.kill()));
  }
}

for (const users of [100, 1000]) {
  const rows = [];
  for (const way of WAYS) {
    console.error(`${way}, ${users} users …`);
    rows.push([way, await measure(way, users)]);
  }
  const columns = Object.keys(rows[0][1]);
  console.log(`\n${users.toLocaleString('en')} users on three nodes\n`);
  console.log(`| way | ${columns.join(' | ')} |\n| --- |${' --- |'.repeat(columns.length)}`);
  for (const [way, row] of rows)
    console.log(`| ${way} | ${columns.map((c) => row[c]).join(' | ')} |`);
}
process.exit(0);
