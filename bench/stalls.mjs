// npm run bench -- stalls [--minutes 60] [--longest-ms 2000] [--transport redis]: three `rollcall serve` that
// stand still again and again, alone and together. Counts who is taken for dead wrongly; so that it could
// tell, a node is killed now and then, and must be missed. Ends with code 1 where one was wrong.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pause, quantile, startRedis, tie, waitFor } from './workers.mjs';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const NODES = 3;
/** Between two stalls: at random, up to this. */
const REST_MS = 1500;
/** A node that ran again is heard by then, so that a death that is told later is a real one. */
const SETTLE_MS = 3000;
/** Real deaths, to show that deaths are told. */
const KILLS = 10;
/** Over the adapter a death is a silence of 5 s, judged at the next look. */
const MISSED_WITHIN_MS = 30_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    'longest-ms': { type: 'string', default: '2000' },
    transport: { type: 'string', default: 'redis' },
  },
});
const [minutes, longestMs] = [values.minutes, values['longest-ms']].map(Number);
if (!(minutes > 0 && longestMs > 0)) {
  console.error('--minutes and --longest-ms take numbers greater than 0');
  process.exit(2);
}
const WAYS = { redis: ['--adapter', 'memory'], adapter: ['--adapter', 'redis'] };
const way = WAYS[values.transport];
if (way === undefined) {
  console.error(`--transport ${values.transport} is not known; accepted: redis, adapter`);
  process.exit(2);
}
const redis = await startRedis();

/** Every `node-down` that a node has logged: who said it, of whom, when. */
const deaths = [];
async function serve() {
  const args = ['serve', '--auth', 'insecure', '--port', '0', '--redis', redis];
  const child = tie(
    spawn(process.execPath, [MAIN, ...args, '--transport', values.transport, ...way], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const node = { child, nodeId: undefined };
  createInterface(child.stderr).on('line', (line) => {
    const entry = JSON.parse(line);
    if (entry.event !== 'node-down') return;
    deaths.push({ by: node.nodeId, of: entry.nodeId, at: performance.now(), line });
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  node.nodeId = JSON.parse(line).nodeId;
  return node;
}

const nodes = await Promise.all(Array.from({ length: NODES }, serve));
await pause(SETTLE_MS);
const started = performance.now();
const endsAt = started + minutes * 60_000;
const stalls = [];
const missedMs = [];
const wrong = [];

/** Whatever was told since is wrong: nobody has died. */
function takeWrong() {
  for (const death of deaths.splice(0)) {
    wrong.push(death);
    console.error(`  taken for dead while it stood still: ${death.line}`);
  }
}

async function stall() {
  const stopped = nodes.filter(() => Math.random() < 0.5);
  if (stopped.length === 0) return;
  const ms = Math.random() * longestMs;
  for (const { child } of stopped) child.kill('SIGSTOP');
  await pause(ms);
  for (const { child } of stopped) child.kill('SIGCONT');
  for (const _one of stopped) stalls.push(ms);
}

async function kill() {
  await pause(SETTLE_MS);
  takeWrong();
  const victim = nodes.shift();
  const at = performance.now();
  victim.child.kill('SIGKILL');
  await waitFor(
    () => nodes.every(({ nodeId }) => deaths.some(({ by }) => by === nodeId)),
    MISSED_WITHIN_MS,
  );
  missedMs.push(Math.max(...deaths.map((death) => death.at)) - at);
  for (const death of deaths.splice(0)) if (death.of !== victim.nodeId) wrong.push(death);
  nodes.push(await serve());
  await pause(SETTLE_MS);
}

for (let minute = 0; performance.now() < endsAt;) {
  await stall();
  await pause(Math.random() * REST_MS);
  takeWrong();
  const passed = performance.now() - started;
  if (passed / (endsAt - started) > (missedMs.length + 0.5) / KILLS) await kill();
  if (passed / 60_000 < minute + 1) continue;
  minute = Math.floor(passed / 60_000);
  console.error(`${minute} min: ${stalls.length} stalls, ${wrong.length} false deaths`);
}
await pause(SETTLE_MS);
takeWrong();
for (const { child } of nodes) child.kill('SIGKILL');

const seconds = (ms) => (ms / 1000).toFixed(2);
console.log(`
| number | measured |
| --- | --- |
| minutes, nodes, transport | ${minutes}, ${NODES}, ${values.transport} |
| stalls | ${stalls.length} |
| their length, median / longest, s | ${seconds(quantile(stalls, 0.5))} / ${seconds(quantile(stalls, 1))} |
| false deaths | ${wrong.length} |
| nodes killed, all missed by everybody | ${missedMs.length} |
| until the last survivor knew, median / longest, s | ${seconds(quantile(missedMs, 0.5))} / ${seconds(quantile(missedMs, 1))} |`);
process.exit(wrong.length > 0 ? 1 : 0);
