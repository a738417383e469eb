// The processes that a benchmark needs: a redis-server and Node scripts that talk in JSON over IPC.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export function tie(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a redis-server of the benchmark's own and gives its URL. */
export async function startRedis() {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  tie(spawn(process.env.REDIS_SERVER ?? 'redis-server', args, { stdio: 'ignore' }));
  for (let tries = 0; tries < 500; tries++) {
    const socket = connect(port, '127.0.0.1');
    const answered = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (answered) return `redis://127.0.0.1:${port}`;
    await pause(10);
  }
  throw new Error('redis-server did not start');
}

/** A script of this folder in a process of its own: `ask` sends a request and gives the answer. */
export class Worker {
  #child;
  #waiting = new Map();
  #ids = 0;

  constructor(script, options = {}, execArgv = []) {
    const file = fileURLToPath(new URL(script, import.meta.url));
    const how = { serialization: 'advanced', execArgv };
    this.#child = tie(fork(file, [JSON.stringify(options)], how));
    this.#child.on('message', ({ id, answer, error }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${script} has ended`));
      this.#waiting.clear();
    });
  }

  ask(what, ...args) {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, what, args });
    });
  }

  async kill(signal = 'SIGKILL') {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }
}

/** The other side of a `Worker`: answers its requests with these functions. */
export function answer(handlers) {
  process.on('message', async ({ id, what, args }) => {
    try {
      process.send({ id, answer: await handlers[what](...args) });
    } catch (error) {
      process.send({ id, error: String(error?.stack ?? error) });
    }
  });
  process.on('disconnect', () => process.exit());
}

export function optionsOfWorker() {
  return JSON.parse(process.argv[2]);
}

let cpu = process.cpuUsage();

/** CPU time of this process in ms since the last call. */
export function cpuSinceLast() {
  const { user, system } = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  return (user + system) / 1000;
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export async function waitFor(condition, timeoutMs = 30_000) {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${condition}`);
    await pause(20);
  }
}
