// What a steady pace of changes costs, each way in turns with the floor: how fast a shared machine is changes
// by the minute.
import { ChurnCluster } from './churn-cluster.mjs';
import { pause, startRedis } from './workers.mjs';

const CHANGES_PER_SECOND = 900;
const TURN_MS = 3000;
/** The first turn of each is not counted. */
const TURNS = 8;

let redisOfFloor;

/** Measures one way with so many users online; gives CPU-s per 10,000 changes of three nodes, and ÷ floor. */
export async function measureSteady(way, users, redis, timings) {
  redisOfFloor ??= await startRedis();
  const floor = await ChurnCluster.start('floor', users, redisOfFloor, timings);
  let ours;
  try {
    ours = await ChurnCluster.start(way, users, redis, timings);
    const costs = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const of = [];
      for (const cluster of [floor, ours]) {
        await pause(300);
        of.push(await cluster.steadyCpuMs(TURN_MS, CHANGES_PER_SECOND));
      }
      if (turn > 0) costs.push(of);
    }
    return {
      cpuPer10000: median(costs.map(([, own]) => own)) * 10,
      byFloor: median(costs.map(([least, own]) => own / least)),
    };
  } finally {
    await floor.stop();
    await ours?.stop();
  }
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
