import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.js';
import { tied } from './process.js';
import { waitFor } from './wait.js';

/** Whether there is a redis-server; with CI it must be there. */
export const hasRedis = process.env['REDIS_SERVER'] !== undefined;

if (!hasRedis && process.env['CI']) throw new Error('CI needs redis-server; run npm test');

/** A redis-server of the test's own. */
export class TestRedis {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'rollcall-redis-'));
  readonly args: readonly string[];
  #process: ChildProcess | undefined;

  readonly #config: readonly string[];

  private constructor(port: number, args: readonly string[], config: readonly string[]) {
    this.port = port;
    this.args = args;
    this.#config = config;
  }

  /**
   * Starts one on a free port; further arguments go to redis-server, now and at each restart, after the
   * path of a configuration file where there is one.
   */
  static async start(args: readonly string[] = [], config?: string): Promise<TestRedis> {
    const redis = new TestRedis(await freePort(), args, config === undefined ? [] : [config]);
    await redis.restart();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process?.pid as number;
  }

  /** Starts it (again) on its port. */
  async restart(): Promise<void> {
    await this.kill();
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', ''];
    const child = tied(
      spawn(
        process.env['REDIS_SERVER'] as string,
        [...this.#config, ...args, '--appendonly', 'no', '--dir', this.#folder, ...this.args],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      ),
    );
    this.#process = child;
    let log = '';
    let failed = false;
    child.stdout?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    child.once('error', (error) => {
      failed = true;
      log += error.message;
    });
    const ended = (): boolean => failed || child.exitCode !== null || child.signalCode !== null;
    await waitFor(
      async () => ended() || (await processId(this.port)) === child.pid,
      () => `redis-server to answer; its log: ${log}`,
    );
    if (ended()) throw new Error(`redis-server ended: ${log}`);
  }

  /** Kills it with SIGKILL and waits until it is gone. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null)
      return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  }

  /** Runs one command and gives the raw answer's first line. */
  command(...words: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => socket.write(words.join(' ') + '\r\n'));
      socket.once('data', (chunk) => {
        socket.destroy();
        const [line] = chunk.toString().split('\r\n', 1) as [string];
        if (line.startsWith('-')) reject(new Error(line));
        else resolve(line);
      });
    });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The process id of the redis-server that answers there: another may have taken the port. */
function processId(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
    socket.once('connect', () => socket.write('INFO server\r\n'));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const found = /process_id:(\d+)\r\n/.exec(text);
      if (found === null && !text.startsWith('-')) return;
      resolve(found === null ? undefined : Number(found[1]));
      socket.destroy();
    });
  });
}
