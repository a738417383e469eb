// First lists: newcomers with real connections to one of three nodes, and what a killed node leaves behind.
import { RedisMeter } from './redis-meter.mjs';
import { pause, quantile, waitFor, Worker } from './workers.mjs';

const NODES = 3;
const WARM_NEWCOMERS = 15;
const PAUSE_MS = 40;
const FILL_WITHIN_MS = 60_000;

/** Measures one way with so many users online and so many newcomers, over an own redis-server. */
export async function measureFirstLists(way, users, newcomers, redis, timings, deathWithinMs) {
  const meter = await RedisMeter.connect(redis);
  const nodes = Array.from({ length: NODES }, () => new Worker('way.mjs', { redis, way, timings }));
  const crowd = new Worker('crowd.mjs');
  const all = (what, ...args) => Promise.all(nodes.map((node) => node.ask(what, ...args)));
  try {
    const urls = await all('url');
    await Promise.all(
      nodes.map((node, n) =>
        node.ask(
          'populate',
          Array.from({ length: Math.ceil((users - n) / NODES) }, (_, i) => `user-${n}-${i}`),
        ),
      ),
    );
    await waitFor(
      async () => (await all('count')).every((count) => count === users),
      FILL_WITHIN_MS,
    );
    await all('hush');
    await pause(1000);
    await meter.learnIdle();

    const [, asked] = nodes;
    const come = (n, ...paths) =>
      crowd.ask(
        'firstLists',
        paths.map((path) => urls[1] + path),
        n,
        PAUSE_MS,
      );
    await come(WARM_NEWCOMERS, '/', '/floor');
    await Promise.all([asked.ask('handed'), asked.ask('cpu'), meter.mark()]);
    await come(WARM_NEWCOMERS, '/');
    const cpuMs = await asked.ask('cpu');
    const bytes = await meter.taken();
    await asked.ask('handed');
    const [{ took, size }, floor] = await come(newcomers, '/', '/floor');
    const handed = await asked.ask('handed');
    if (size < users) throw new Error(`a list of ${size} where ${users} are online`);
    const result = {
      p50Ms: quantile(took, 0.5),
      p99Ms: quantile(took, 0.99),
      floorP50Ms: quantile(floor.took, 0.5),
      serverP50Ms: quantile(handed, 0.5),
      serverP99Ms: quantile(handed, 0.99),
      cpuMs: cpuMs / WARM_NEWCOMERS,
      redisBytes: (bytes.into + bytes.out) / WARM_NEWCOMERS,
    };
    return deathWithinMs === undefined
      ? result
      : { ...result, ...(await death(nodes, urls, crowd, deathWithinMs)) };
  } finally {
    await meter.close();
    await Promise.all([...nodes, crowd].map((worker) => worker.kill()));
  }
}

/** SIGKILL of the first node: ms until the last survivor knows, and until the last client is told. */
async function death([victim, ...survivors], [, ...urls], crowd, withinMs) {
  await crowd.ask('watch', urls);
  await pause(500);
  const told = crowd.ask('gone', 'user-0-', withinMs);
  const started = performance.now();
  await victim.kill();
  const knows = async (node) =>
    (await node.ask('hasLostNode')) ?? (await node.ask('countOf', 'user-0-')) === 0;
  const knownMs = await waitFor(
    async () => (await Promise.all(survivors.map(knows))).every(Boolean),
    withinMs,
  ).then(
    () => performance.now() - started,
    () => Infinity,
  );
  return { knownMs, toldMs: await told };
}
