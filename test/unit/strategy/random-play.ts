import { expect } from 'vitest';
import type { Strategy } from '../../../src/strategy/index.js';
import { Engines, type SimClient, type SimNode } from './engines.js';

const FIXED_SEEDS = 40;
const FRESH_SEEDS = 20;

/** Plays seeds of which some are new in each run, and says which of them failed. */
export function forSeeds(demand: (seed: number) => void): void {
  const fresh = 1_000_000 + (Date.now() % 1_000_000_000);
  for (let i = 1; i <= FIXED_SEEDS + FRESH_SEEDS; i++) {
    const seed = i <= FIXED_SEEDS ? i : fresh + i;
    try {
      demand(seed);
    } catch (error) {
      throw new Error(`seed ${seed} failed`, { cause: error });
    }
  }
}

/** Everything at random for a minute, then quiet: every client's view is the truth. */
export function play(
  seed: number,
  strategies: readonly Strategy[],
  /** Further faults at random, and how they end. */
  trouble: { now: (engines: Engines) => void; end: () => void } = { now: () => {}, end: () => {} },
  engines = new Engines(seed),
): Engines {
  const { random } = engines;
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const start = (): SimNode => engines.start(pick(strategies));
  for (let i = 0; i < 3; i++) start();
  engines.run(2000);
  engines.faults = { loss: 0.05, repeat: 0.05, delayMs: 60 };
  const communities = ['c1', 'c2', 'c3'];
  for (let step = 0; step < 250; step++) {
    const roll = random();
    const { clients } = engines;
    if (roll < 0.5 || clients.length === 0) {
      const user = `u${Math.floor(random() * 12)}`;
      const device = `d${Math.floor(random() * 2)}`;
      // One device is in one place: its older socket, if it has one, goes.
      const old = clients.find((c) => c.userId === user && c.deviceId === device);
      if (old !== undefined && random() < 0.9) engines.gone(old, 'disconnected');
      engines.join(pick(engines.nodes), user, device, pick(communities));
    } else if (roll < 0.75) {
      engines.gone(pick(clients), random() < 0.5 ? 'left' : 'disconnected');
    } else if (roll < 0.97) {
      const client = pick(clients);
      const status = pick(['active', 'idle', 'busy'] as const);
      engines.input(client.node, (t) =>
        client.node.engine.update(client.socketId, { status, boardId: pick(['a', 'b', null]) }, t),
      );
    } else if (engines.nodes.length > 1) {
      const node = pick(engines.nodes);
      if (random() < 0.5) engines.crash(node);
      else engines.leave(node);
      start();
    }
    trouble.now(engines);
    engines.run(random() * 300);
  }
  engines.faults = { loss: 0, repeat: 0, delayMs: 5 };
  trouble.end();
  engines.run(40_000);
  return engines;
}

export function demandTruth(engines: Engines): void {
  for (const client of engines.clients) {
    const { communityId, model } = client;
    expect(model.violations).toEqual([]);
    expect(model.present(communityId)).toEqual(engines.truth(communityId));
    expect(model.infos.get(communityId)?.complete).toBe(true);
    for (const other of engines.clients) {
      if (other.communityId !== communityId) continue;
      for (const userId of model.present(communityId)) {
        expect(said(other, userId)).toEqual(said(client, userId));
      }
    }
  }
}

/** What a client has been told of a user, without when it was last active, which alone is not told. */
function said({ model, communityId }: SimClient, userId: string): unknown {
  const { status, onlineSince, devices } = model.user(communityId, userId)!;
  return {
    status,
    onlineSince,
    devices: devices.map((device) => ({ ...device, lastActiveAt: 0 })),
  };
}
