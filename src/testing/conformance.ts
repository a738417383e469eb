import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { ConformanceClient, ConformanceCluster, ConformanceNode } from './cluster.js';

/**
 * What every strategy must do, whatever the adapter: the same cases for all. A case throws where the
 * strategy does not conform.
 */
export interface ConformanceCase {
  readonly name: string;
  /** It starts and ends nodes of its own; the others only use those that are there. */
  readonly harmsNodes: boolean;
  readonly run: (cluster: ConformanceCluster) => Promise<void>;
}

const WAIT_MS = 20_000;

async function until(condition: () => boolean, what: () => string, ms = WAIT_MS): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition()) {
    ok(performance.now() < deadline, `waited ${ms} ms for ${what()}`);
    await pause(10);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One community with its clients, which every case has for itself. */
class Scene {
  static #scenes = 0;
  readonly communityId = `scene-${++Scene.#scenes}-{x}`;
  readonly clients: ConformanceClient[] = [];
  readonly #cluster: ConformanceCluster;

  constructor(cluster: ConformanceCluster) {
    this.#cluster = cluster;
  }

  async join(
    node: ConformanceNode,
    userId: string,
    deviceId = `${userId}-1`,
  ): Promise<ConformanceClient> {
    const { communityId } = this;
    const client = await this.#cluster.join(node, { userId, deviceId, communityId });
    this.clients.push(client);
    return client;
  }

  async sees(client: ConformanceClient, userIds: readonly string[]): Promise<void> {
    const expected = [...userIds].sort().join();
    const seen = (): string => client.model.present(this.communityId).join();
    await until(
      () => seen() === expected,
      () => `${expected}; seen: ${seen()}`,
    );
  }

  devices(client: ConformanceClient, userId: string): string[] {
    return (client.model.user(this.communityId, userId)?.devices ?? []).map((d) => d.deviceId);
  }

  /** No stream of any client of this scene was broken. */
  end(): void {
    for (const client of this.clients) {
      client.close();
      deepStrictEqual(client.violations, []);
    }
  }
}

function scene(
  name: string,
  harmsNodes: boolean,
  play: (scene: Scene, cluster: ConformanceCluster) => Promise<void>,
): ConformanceCase {
  return {
    name,
    harmsNodes,
    run: async (cluster) => {
      const stage = new Scene(cluster);
      try {
        await play(stage, cluster);
        stage.end();
      } finally {
        for (const client of stage.clients) client.close();
      }
    },
  };
}

function two({ nodes }: ConformanceCluster): [ConformanceNode, ConformanceNode] {
  return [nodes[0] as ConformanceNode, nodes[1] as ConformanceNode];
}

/** What every strategy must do, as cases that any test runner can run. */
export const conformance: readonly ConformanceCase[] = [
  scene('shows both directions, the own user included', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const alice = await s.join(a, 'alice');
    deepStrictEqual(alice.model.present(s.communityId), ['alice']);
    const bob = await s.join(b, 'bob');
    deepStrictEqual(bob.model.present(s.communityId), ['alice', 'bob']);
    strictEqual(bob.model.infos.get(s.communityId)?.complete, true);
    await s.sees(alice, ['alice', 'bob']);
    strictEqual(alice.model.count('userOnline', 'bob'), 1);
    bob.close();
    await s.sees(alice, ['alice']);
    strictEqual(alice.model.told.at(-1)?.reason, 'left');
  }),

  scene(
    'folds one user on two nodes into one, with one edge each way',
    false,
    async (s, cluster) => {
      const [a, b] = two(cluster);
      const watcher = await s.join(a, 'watcher');
      const phone = await s.join(a, 'alice', 'phone');
      const laptop = await s.join(b, 'alice', 'laptop');
      deepStrictEqual(s.devices(laptop, 'alice'), ['laptop', 'phone']);
      await until(
        () => s.devices(watcher, 'alice').length === 2,
        () => 'both devices',
      );
      phone.close();
      await until(
        () => s.devices(watcher, 'alice').join() === 'laptop',
        () => 'one device',
      );
      laptop.close();
      await s.sees(watcher, ['watcher']);
      strictEqual(watcher.model.count('userOnline', 'alice'), 1);
      strictEqual(watcher.model.count('userOffline', 'alice'), 1);
    },
  ),

  scene('leaves nobody when both devices go at once, twenty times', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watchers = await Promise.all([s.join(a, 'watcher-a'), s.join(b, 'watcher-b')]);
    const both = ['watcher-a', 'watcher-b'];
    for (let round = 1; round <= 20; round++) {
      const devices = await Promise.all([s.join(a, 'alice', 'one'), s.join(b, 'alice', 'two')]);
      for (const watcher of watchers) {
        await until(
          () => s.devices(watcher, 'alice').length === 2,
          () => 'both devices',
        );
      }
      for (const device of devices) device.close();
      await Promise.all(watchers.map((watcher) => s.sees(watcher, both)));
      for (const watcher of watchers) {
        const { told } = watcher.model;
        const offline = watcher.model.count('userOffline', 'alice');
        strictEqual(
          offline,
          round,
          `offline ${offline} of ${round} times: ${JSON.stringify(told)}`,
        );
      }
    }
  }),

  scene('keeps a device that comes back elsewhere within the linger', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watcher = await s.join(a, 'watcher');
    const before = await s.join(a, 'alice', 'tab');
    await s.sees(watcher, ['alice', 'watcher']);
    before.vanish();
    await s.join(b, 'alice', 'tab');
    await pause(cluster.timings.lingerMs + 500);
    deepStrictEqual(watcher.model.present(s.communityId), ['alice', 'watcher']);
    strictEqual(watcher.model.count('userOffline', 'alice'), 0);
    strictEqual(watcher.model.count('userOnline', 'alice'), 1);
  }),

  scene('announces a lost device after the linger', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watcher = await s.join(a, 'watcher');
    const alice = await s.join(b, 'alice');
    await s.sees(watcher, ['alice', 'watcher']);
    alice.vanish();
    await s.sees(watcher, ['watcher']);
    strictEqual(watcher.model.told.at(-1)?.reason, 'disconnected');
  }),

  scene('hides who is invisible from all but themselves', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watcher = await s.join(a, 'watcher');
    const ghost = await s.join(b, 'ghost');
    await s.sees(watcher, ['ghost', 'watcher']);
    ok((await ghost.send('presenceUpdate', { status: 'invisible' })).ok);
    await s.sees(watcher, ['watcher']);
    const late = await s.join(a, 'late');
    deepStrictEqual(late.model.present(s.communityId), ['late', 'watcher']);
    ok(ghost.model.present(s.communityId).includes('ghost'));
    ok((await ghost.send('presenceUpdate', { status: 'active' })).ok);
    await s.sees(watcher, ['ghost', 'late', 'watcher']);
    strictEqual(watcher.model.count('userOffline', 'ghost'), 1);
  }),

  scene('tells updates everywhere, and ends typing by itself', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watcher = await s.join(a, 'watcher');
    const alice = await s.join(b, 'alice');
    await s.sees(watcher, ['alice', 'watcher']);
    const seen = (): ReturnType<typeof watcher.model.user> =>
      watcher.model.user(s.communityId, 'alice');
    ok((await alice.send('presenceUpdate', { status: 'busy', typing: true })).ok);
    await until(
      () => seen()?.status === 'busy' && seen()?.devices[0]?.typing === true,
      () => 'busy and typing',
    );
    await until(
      () => seen()?.devices[0]?.typing !== true,
      () => 'the end of typing',
    );
    strictEqual(seen()?.status, 'busy');
  }),

  scene('ends a storm of joins and leaves with the truth', false, async (s, cluster) => {
    const [a, b] = two(cluster);
    const watchers = await Promise.all([s.join(a, 'watcher-a'), s.join(b, 'watcher-b')]);
    const crowd = await Promise.all(
      Array.from({ length: 60 }, (_, i) => s.join(i % 2 === 0 ? a : b, `u${i % 40}`, `d${i}`)),
    );
    const stay = new Set(['watcher-a', 'watcher-b']);
    crowd.forEach((client, i) => {
      if (i % 3 === 0) client.close();
      else stay.add(`u${i % 40}`);
    });
    await Promise.all(watchers.map((watcher) => s.sees(watcher, [...stay])));
    const late = await s.join(a, 'late');
    deepStrictEqual(late.model.present(s.communityId), [...stay, 'late'].sort());
  }),

  scene('gives a node that starts late the whole list', true, async (s, cluster) => {
    const [a] = two(cluster);
    const early = await Promise.all(Array.from({ length: 20 }, (_, i) => s.join(a, `u${i}`)));
    const b = await cluster.start();
    const late = await s.join(b, 'late');
    // A node that another case has killed may make the first list say that it is not complete.
    await until(
      () => late.model.infos.get(s.communityId)?.complete === true,
      () => 'a complete list',
    );
    strictEqual(late.model.present(s.communityId).length, 21);
    await Promise.all(early.map((client) => s.sees(client, late.model.present(s.communityId))));
    await b.stop('SIGKILL');
  }),

  scene(
    'shows nobody of a node that was killed, once it is known to be dead',
    true,
    async (s, cluster) => {
      const [a] = two(cluster);
      const doomed = await cluster.start();
      const watcher = await s.join(a, 'watcher');
      const lost = await s.join(doomed, 'lost');
      await s.join(doomed, 'moved', 'tab');
      await s.sees(watcher, ['lost', 'moved', 'watcher']);
      await doomed.stop('SIGKILL');
      lost.close();
      await s.join(a, 'moved', 'tab');
      await s.sees(watcher, ['moved', 'watcher']);
      strictEqual(watcher.model.count('userOffline', 'moved'), 0);
      const late = await s.join(a, 'late');
      deepStrictEqual(late.model.present(s.communityId), ['late', 'moved', 'watcher']);
    },
  ),

  scene('keeps who moves from a node that leaves', true, async (s, cluster) => {
    const [a] = two(cluster);
    const leaving = await cluster.start();
    const watcher = await s.join(a, 'watcher');
    const alice = await s.join(leaving, 'alice', 'tab');
    await s.join(leaving, 'stays-away');
    await s.sees(watcher, ['alice', 'stays-away', 'watcher']);
    const stopped = leaving.stop('SIGTERM');
    alice.vanish();
    await s.join(a, 'alice', 'tab');
    await stopped;
    await s.sees(watcher, ['alice', 'watcher']);
    strictEqual(watcher.model.count('userOffline', 'alice'), 0);
  }),
];
