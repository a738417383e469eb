// Three nodes of one way in which users come and go, warm and agreed on who is there.
import { waitFor, Worker } from './workers.mjs';

const NODES = 3;
/** Code is compiled as it runs: measured is what it costs after so many changes of each node. */
const WARM_CHANGES = 60_000;
const WARM_MS = 5000;
const AGREE_WITHIN_MS = 60_000;

export class ChurnCluster {
  #nodes;
  #users;

  /** One way with so many users online; each cluster needs a redis-server of its own. */
  static async start(way, users, redis, timings) {
    const cluster = new ChurnCluster();
    const online = Math.floor(users / NODES);
    cluster.#users = NODES * online;
    cluster.#nodes = Array.from(
      { length: NODES },
      (_, index) => new Worker('churn-node.mjs', { redis, way, timings, index, online }),
    );
    try {
      await cluster.all('start');
      await waitFor(async () => (await cluster.all('isReady')).every(Boolean));
      await cluster.all('populate');
      await cluster.agree();
      await cluster.all('churn', WARM_MS, WARM_CHANGES);
      await cluster.agree();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  all(what, ...args) {
    return Promise.all(this.#nodes.map((node) => node.ask(what, ...args)));
  }

  /** CPU time of all nodes since it was asked for last, ms. */
  async cpuMs() {
    return (await this.all('cpu')).reduce((a, b) => a + b);
  }

  async agree() {
    await waitFor(async () => {
      const [first, ...others] = await this.all('view');
      return first.startsWith(`${this.#users} `) && others.every((view) => view === first);
    }, AGREE_WITHIN_MS);
  }

  /** CPU time of all nodes per change at a steady pace over all of them, ms. */
  async steadyCpuMs(ms, changesPerSecond) {
    await this.cpuMs();
    const done = await this.all('steady', ms, changesPerSecond / NODES);
    return (await this.cpuMs()) / done.reduce((total, { changes }) => total + changes, 0);
  }

  async stop() {
    await Promise.all(this.#nodes.map((node) => node.kill()));
  }
}
