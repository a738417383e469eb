// npm run bench -- fanout: a storm of joins into a large community, told in the ways that clients may ask
// for. What the joining clients are sent themselves is the least there is (the count), under every way.
import { pause, waitFor, Worker } from './workers.mjs';

const MEMBERS = 2000;
const JOINERS = 1000;
const NODES = 3;
const LONG_MS = 180_000;

/** Measures one way on nodes of its own. */
async function measure(way, redis, timings) {
  const nodes = Array.from({ length: NODES }, () => new Worker('server.mjs', { redis, timings }));
  const members = new Worker('listeners.mjs');
  const joiners = new Worker('listeners.mjs');
  const urls = await Promise.all(nodes.map((node) => node.ask('url')));
  await Promise.all(nodes.map((node) => node.ask('present')));
  const everywhere = (n) =>
    waitFor(async () => {
      const counts = await Promise.all(nodes.map((node) => node.ask('count')));
      return counts.every((count) => count === n);
    }, LONG_MS);
  /** Waits until nothing more comes; gives what came. */
  const settle = async () => {
    const all = { messages: 0, bytes: 0, connected: 0 };
    for (let quiet = 0; quiet < 3;) {
      await pause(500);
      const { messages, bytes, connected } = await members.ask('take');
      all.messages += messages;
      all.bytes += bytes;
      all.connected = connected;
      quiet = messages === 0 ? quiet + 1 : 0;
    }
    return all;
  };
  await members.ask('connect', urls, 'member', MEMBERS, way, 50);
  await everywhere(MEMBERS);
  await settle();
  await Promise.all(nodes.map((node) => node.ask('cpu')));
  const started = performance.now();
  await joiners.ask('connect', urls, 'joiner', JOINERS, 'the count', 50);
  await everywhere(MEMBERS + JOINERS);
  const tookMs = performance.now() - started;
  const { messages, bytes, connected } = await settle();
  const cpu = await Promise.all(nodes.map((node) => node.ask('cpu')));
  await Promise.all([...nodes, members, joiners].map((worker) => worker.kill()));
  if (connected !== MEMBERS) throw new Error(`only ${connected} of ${MEMBERS} are connected`);
  return {
    messages: messages / MEMBERS,
    bytes: bytes / MEMBERS,
    cpuMs: cpu.reduce((sum, ms) => sum + ms, 0),
    tookMs,
  };
}

/** The ways side by side, as lines of a table. */
export async function fanOut(redis, timings) {
  const lines = [
    `| ${JOINERS} joins, ${MEMBERS} clients, ${NODES} nodes | messages per client | kB per client | CPU of the servers, s | joined within, s |`,
    '| --- | --- | --- | --- | --- |',
  ];
  for (const way of ['the count', 'a window of 50', 'batched diffs', 'plain events']) {
    const { messages, bytes, cpuMs, tookMs } = await measure(way, redis, timings);
    const cells = [
      messages.toFixed(0),
      (bytes / 1000).toFixed(1),
      (cpuMs / 1000).toFixed(1),
      (tookMs / 1000).toFixed(1),
    ];
    lines.push(`| ${way} | ${cells.join(' | ')} |`);
    console.error(lines.at(-1));
    await pause(1000);
  }
  return lines;
}
