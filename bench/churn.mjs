// Churn: users who join and leave below the sockets of three nodes, each way on nodes of its own.
import { RedisMeter } from './redis-meter.mjs';
import { pause, waitFor, Worker } from './workers.mjs';

const NODES = 3;
/** Code is compiled as it runs: measured is what it costs after so many changes of each node. */
const WARM_CHANGES = 60_000;
const WARM_MS = 5000;
const CHURN_MS = 3000;
const STEADY_MS = 5000;
const STEADY_PER_SECOND = 900;
const AGREE_WITHIN_MS = 60_000;

/** Measures one way with so many users online, over an own redis-server. */
export async function measureChurn(way, users, redis, timings) {
  const meter = await RedisMeter.connect(redis);
  const online = Math.floor(users / NODES);
  const nodes = Array.from(
    { length: NODES },
    (_, index) => new Worker('churn-node.mjs', { redis, way, timings, index, online }),
  );
  const all = (what, ...args) => Promise.all(nodes.map((node) => node.ask(what, ...args)));
  const sum = async (what, ...args) => (await all(what, ...args)).reduce((a, b) => a + b);
  const agree = (expected) =>
    waitFor(async () => {
      const [first, ...others] = await all('view');
      return first.startsWith(`${expected} `) && others.every((view) => view === first);
    }, AGREE_WITHIN_MS);
  try {
    await all('start');
    await waitFor(async () => (await all('isReady')).every(Boolean));
    await all('populate');
    await agree(NODES * online);
    await all('churn', WARM_MS, WARM_CHANGES);
    await agree(NODES * online);
    await pause(500);
    await meter.learnIdle();

    await all('cpu');
    await meter.mark();
    const started = performance.now();
    const churned = await all('churn', CHURN_MS);
    await agree(NODES * online);
    const ms = performance.now() - started;
    const cpuMs = await sum('cpu');
    const bytes = await meter.taken();
    const changes = churned.reduce((total, one) => total + one.changes, 0);
    const sent = churned.reduce((total, one) => total + one.sent, 0);

    await pause(500);
    await all('cpu');
    const steady = await all('steady', STEADY_MS, STEADY_PER_SECOND / NODES);
    const steadyCpuMs = await sum('cpu');
    const steadyChanges = steady.reduce((total, one) => total + one.changes, 0);
    return {
      changesPerSecond: changes / (ms / 1000),
      cpuPer10000: (cpuMs / changes) * 10,
      bytesInto: bytes.into / changes,
      bytesOut: bytes.out / changes,
      sentShare: sent / changes,
      steadyCpuPer10000: (steadyCpuMs / steadyChanges) * 10,
    };
  } finally {
    await meter.close();
    await Promise.all(nodes.map((node) => node.kill()));
  }
}
