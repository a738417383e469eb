import { describe, expect, it } from 'vitest';
import { IndexedNode, onDemand, replicated, type Strategy } from '../../../src/strategy/index.js';
import { Engines, LINGER_MS, type SimNode } from './engines.js';
import { SimIndex } from './sim-index.js';

const indexed: Strategy = {
  name: 'dual-write',
  readsLocally: true,
  createEngine: (options) => new IndexedNode(options, true),
};

/** Longer than an owner keeps what it has said. */
const FORGOTTEN_MS = 70_000;

describe('somebody of whom it was not heard that they left', () => {
  it.each([
    {
      name: 'replicated',
      strategy: replicated(),
      deafen: (engines: Engines) => {
        engines.filter = (_from, _to, data) => !data.includes('"k":"delta"');
      },
    },
    {
      name: 'on-demand',
      strategy: onDemand(),
      deafen: (engines: Engines) => {
        engines.filter = (_from, _to, data) => !data.includes('"k":"delta"');
      },
    },
    {
      name: 'dual-write',
      strategy: indexed,
      deafen: (_engines: Engines, index: SimIndex, node: SimNode) => index.cut(node),
    },
  ])('$name: goes, and was last seen when that was found out', ({ strategy, deafen }) => {
    const engines = new Engines(7);
    const index = new SimIndex(engines);
    const [a, b] = [engines.start(strategy), engines.start(strategy)];
    engines.run(2000);
    const watcher = engines.join(b, 'w', 'd', 'c');
    const u = engines.join(a, 'u', 'd', 'c');
    engines.run(FORGOTTEN_MS);
    const leftAt = engines.now;
    deafen(engines, index, b);
    engines.gone(u, 'left');
    engines.run(FORGOTTEN_MS + 3 * LINGER_MS);
    expect(watcher.model.present('c')).toEqual(['w']);
    const [gone] = watcher.model.told.filter(({ event }) => event === 'userOffline');
    expect(gone).toMatchObject({ userId: 'u', reason: 'disconnected' });
    expect(gone?.lastSeenAt).toBeGreaterThanOrEqual(1_700_000_000_000 + leftAt);
    expect(watcher.model.violations).toEqual([]);
  });
});
