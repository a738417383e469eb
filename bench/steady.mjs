// What a steady pace of changes costs, each way in turns with the floor: how fast a shared machine is changes
// by the minute, and how processes came to be compiled and laid out differs from start to start.
import { ChurnCluster } from './churn-cluster.mjs';
import { pause, startRedis } from './workers.mjs';

const CHANGES_PER_SECOND = 900;
const TURN_MS = 3000;
const TURNS = 5;
/**
 * Both run at this pace for so long before they are compared: what warming up left behind is collected in the
 * first quarter of a minute, which doubles the floor's cost for that time, and code goes on being compiled.
 */
const SETTLE_MS = 30_000;

let redisOfFloor;

/**
 * Measures one way with so many users online, started anew so many times; gives CPU-s per 10,000 changes of
 * three nodes, and ÷ floor.
 */
export async function measureSteady(way, users, starts, redis, timings) {
  redisOfFloor ??= await startRedis();
  const costs = [];
  for (let start = 0; start < starts; start++) {
    costs.push(...(await costsOfOneStart(way, users, redis, timings)));
  }
  return {
    cpuPer10000: median(costs.map(({ ours }) => ours)) * 10,
    byFloor: median(costs.map(({ ours, floor }) => ours / floor)),
  };
}

async function costsOfOneStart(way, users, redis, timings) {
  const floor = await ChurnCluster.start('floor', users, redisOfFloor, timings);
  let ours;
  try {
    ours = await ChurnCluster.start(way, users, redis, timings);
    await Promise.all([floor, ours].map((one) => one.steadyCpuMs(SETTLE_MS, CHANGES_PER_SECOND)));
    const costs = [];
    for (let turn = 0; turn < TURNS; turn++) {
      costs.push({ floor: await costOfOneTurn(floor), ours: await costOfOneTurn(ours) });
    }
    return costs;
  } finally {
    await floor.stop();
    await ours?.stop();
  }
}

async function costOfOneTurn(cluster) {
  await pause(300);
  return cluster.steadyCpuMs(TURN_MS, CHANGES_PER_SECOND);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
