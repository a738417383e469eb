import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createSentinel } from 'redis';
import { TestRedis } from './redis.js';
import { separate } from './redis-replica.js';

/** A master, its replica, and a sentinel that promotes the replica when the master dies. */
export class TestSentinel {
  readonly name = 'main';
  readonly #folder = mkdtempSync(join(tmpdir(), 'rollcall-sentinel-'));
  readonly #servers: TestRedis[] = [];

  static async start(): Promise<TestSentinel> {
    const sentinel = new TestSentinel();
    await sentinel.#start();
    return sentinel;
  }

  async #start(): Promise<void> {
    const master = await TestRedis.start();
    const replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(master.port)]);
    const config = join(this.#folder, 'sentinel.conf');
    const watched = `sentinel monitor ${this.name} 127.0.0.1 ${master.port} 1`;
    const patience = `sentinel down-after-milliseconds ${this.name} 1000`;
    writeFileSync(config, `${watched}\n${patience}\nsentinel failover-timeout ${this.name} 5000\n`);
    this.#servers.push(master, replica, await TestRedis.start(['--sentinel'], config));
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#servers[2] as TestRedis).port };
  }

  get master(): TestRedis {
    return this.#servers[0] as TestRedis;
  }

  /** A connected client of node-redis, which whoever asks for it must end. */
  async viaNodeRedis() {
    const client = createSentinel({ name: this.name, sentinelRootNodes: [this.address] });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  /** A client of ioredis, which whoever asks for it must end. */
  viaIoRedis(): Redis {
    const client = new Redis({ name: this.name, sentinels: [this.address] });
    client.on('error', () => {});
    return client;
  }

  /** A failover loses what is written from now on. */
  separate(): Promise<void> {
    const [master, replica] = this.#servers as [TestRedis, TestRedis];
    return separate(master, replica);
  }

  /** Nobody knows any more which master is in place. */
  async end(): Promise<void> {
    await (this.#servers[2] as TestRedis).kill();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
