// What flows through a redis-server, beyond what flows when nothing happens.
import { createClient } from 'redis';
import { pause } from './workers.mjs';

const IDLE_MS = 1500;

export class RedisMeter {
  #redis;
  #idle = { into: 0, out: 0 };
  #from;
  #since;

  /** Connects, and empties the server. */
  static async connect(url) {
    const meter = new RedisMeter();
    meter.#redis = await createClient({ url }).connect();
    await meter.#redis.flushAll();
    return meter;
  }

  /** Measures what flows while nothing happens. */
  async learnIdle() {
    this.#idle = { into: 0, out: 0 };
    await this.mark();
    await pause(IDLE_MS);
    const { into, out } = await this.taken();
    this.#idle = { into: into / IDLE_MS, out: out / IDLE_MS };
  }

  /** Begins to count anew. */
  async mark() {
    this.#since = performance.now();
    this.#from = await this.#read();
  }

  /** Bytes since `mark`. */
  async taken() {
    const { into, out } = await this.#read();
    const ms = performance.now() - this.#since;
    return {
      into: Math.max(0, into - this.#from.into - this.#idle.into * ms),
      out: Math.max(0, out - this.#from.out - this.#idle.out * ms),
    };
  }

  async #read() {
    const info = await this.#redis.info('stats');
    const read = (name) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
    return { into: read('total_net_input_bytes'), out: read('total_net_output_bytes') };
  }

  close() {
    return this.#redis.close();
  }
}
