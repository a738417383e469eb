// Churn: users who join and leave below the sockets of three nodes, each way on nodes of its own.
import { ChurnCluster } from './churn-cluster.mjs';
import { RedisMeter } from './redis-meter.mjs';
import { pause } from './workers.mjs';

const CHURN_MS = 3000;

/** Measures one way with so many users online who come and go as fast as it takes them. */
export async function measureChurn(way, users, redis, timings) {
  const meter = await RedisMeter.connect(redis);
  let cluster;
  try {
    cluster = await ChurnCluster.start(way, users, redis, timings);
    await pause(500);
    await meter.learnIdle();

    await cluster.cpuMs();
    await meter.mark();
    const started = performance.now();
    const churned = await cluster.all('churn', CHURN_MS);
    await cluster.agree();
    const ms = performance.now() - started;
    const cpuMs = await cluster.cpuMs();
    const bytes = await meter.taken();
    const changes = churned.reduce((total, one) => total + one.changes, 0);
    const sent = churned.reduce((total, one) => total + one.sent, 0);
    return {
      changesPerSecond: changes / (ms / 1000),
      cpuPer10000: (cpuMs / changes) * 10,
      bytesInto: bytes.into / changes,
      bytesOut: bytes.out / changes,
      sentShare: sent / changes,
    };
  } finally {
    await meter.close();
    await cluster?.stop();
  }
}
