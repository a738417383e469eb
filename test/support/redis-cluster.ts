import { createClient } from 'redis';
import { freePort } from './ports.js';
import { TestRedis } from './redis.js';
import { follows, separate } from './redis-replica.js';
import { waitFor } from './wait.js';

const SLOTS = 16_384;

async function startOne(): Promise<TestRedis> {
  const bus = String(await freePort());
  return TestRedis.start([
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    bus,
    '--cluster-announce-ip',
    '127.0.0.1',
  ]);
}

/** A Redis Cluster of three masters, of the test's own. */
export class TestRedisCluster {
  readonly masters: readonly TestRedis[];
  readonly #replicas: TestRedis[] = [];

  private constructor(masters: readonly TestRedis[]) {
    this.masters = masters;
  }

  static async start(): Promise<TestRedisCluster> {
    const masters: TestRedis[] = [];
    for (let i = 0; i < 3; i++) masters.push(await startOne());
    const cluster = new TestRedisCluster(masters);
    await cluster.#join();
    return cluster;
  }

  #connect() {
    return Promise.all(
      this.masters.map(async ({ url }) => {
        const client = createClient({ url });
        client.on('error', () => {});
        await client.connect();
        return client;
      }),
    );
  }

  async #join(): Promise<void> {
    const clients = await this.#connect();
    const ask = (i: number, ...command: string[]): Promise<unknown> =>
      clients[i]!.sendCommand(command);
    for (let i = 0; i < 3; i++) {
      const first = Math.ceil((i * SLOTS) / 3);
      const last = Math.ceil(((i + 1) * SLOTS) / 3) - 1;
      await ask(i, 'CLUSTER', 'ADDSLOTSRANGE', String(first), String(last));
      await ask(i, 'CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
    }
    const bus = this.masters[0]!.args[3] as string;
    for (const i of [1, 2]) {
      await ask(i, 'CLUSTER', 'MEET', '127.0.0.1', String(this.masters[0]!.port), bus);
    }
    for (const i of [0, 1, 2]) {
      await waitFor(
        async () => String(await ask(i, 'CLUSTER', 'INFO')).includes('cluster_state:ok'),
        'the cluster to be whole',
      );
      await waitFor(
        async () => String(await ask(i, 'CLUSTER', 'INFO')).includes('cluster_known_nodes:3'),
        'the masters to know each other',
      );
    }
    for (const client of clients) client.destroy();
  }

  /** Moves the slot of a channel to another master, as resharding does, and gives that master. */
  async move(name: string): Promise<TestRedis> {
    const clients = await this.#connect();
    const ask = async (i: number, ...command: string[]): Promise<string> =>
      String(await clients[i]!.sendCommand(['CLUSTER', ...command]));
    const slot = await ask(0, 'KEYSLOT', name);
    const source = Math.floor((Number(slot) * 3) / SLOTS);
    const target = (source + 1) % 3;
    const [sourceId, targetId] = [await ask(source, 'MYID'), await ask(target, 'MYID')];
    await ask(target, 'SETSLOT', slot, 'IMPORTING', sourceId);
    await ask(source, 'SETSLOT', slot, 'MIGRATING', targetId);
    for (const i of [target, source, 3 - source - target]) {
      await ask(i, 'SETSLOT', slot, 'NODE', targetId);
    }
    for (const client of clients) client.destroy();
    return this.masters[target]!;
  }

  /**
   * Gives the master that has the slot of a key a replica that hears of nothing from then on. What it
   * gives kills that master and puts the replica in its place: what was written meanwhile is lost.
   */
  async forget(key: string): Promise<() => Promise<void>> {
    const replica = await startOne();
    this.#replicas.push(replica);
    const clients = await this.#connect();
    const ask = async (i: number, ...command: string[]): Promise<string> =>
      String(await clients[i]!.sendCommand(['CLUSTER', ...command]));
    const owner = Math.floor((Number(await ask(0, 'KEYSLOT', key)) * 3) / SLOTS);
    const master = this.masters[owner]!;
    const client = createClient({ url: replica.url });
    client.on('error', () => {});
    await client.connect();
    const tryTo = (...command: string[]) =>
      client.sendCommand(['CLUSTER', ...command]).then(
        () => true,
        () => false,
      );
    await tryTo('MEET', '127.0.0.1', String(master.port), master.args[3] as string);
    const id = await ask(owner, 'MYID');
    await waitFor(() => tryTo('REPLICATE', id), 'it to know its master');
    await waitFor(() => follows(replica), 'it to follow its master');
    const replicaId = String(await client.sendCommand(['CLUSTER', 'MYID']));
    for (const i of [0, 1, 2]) {
      const isKnown = async () => (await ask(i, 'NODES')).includes(`${replicaId} `);
      await waitFor(isKnown, 'all masters to know it');
    }
    for (const each of clients) each.destroy();
    await separate(master, replica);
    return async () => {
      await master.kill();
      await waitFor(() => tryTo('FAILOVER', 'TAKEOVER'), 'it to take over');
      client.destroy();
    };
  }

  /** Where its masters are. */
  get addresses(): { host: string; port: number; url: string }[] {
    return this.masters.map(({ port, url }) => ({ host: '127.0.0.1', port, url }));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.masters, ...this.#replicas].map((server) => server.stop()));
  }
}
