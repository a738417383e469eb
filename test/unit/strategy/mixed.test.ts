import { describe, expect, it } from 'vitest';
import { IndexedNode, onDemand, replicated, type Strategy } from '../../../src/strategy/index.js';
import { Engines, type SimClient } from './engines.js';
import { SimIndex } from './sim-index.js';

const indexed: Strategy = {
  name: 'dual-write',
  readsLocally: true,
  createEngine: (options) => new IndexedNode(options, true),
};

/** Two nodes, one of each strategy, with somebody in one community on each; and what conflicts they saw. */
function pair(one: Strategy, other: Strategy) {
  const engines = new Engines(1);
  const index = new SimIndex(engines);
  const conflicts: string[] = [];
  engines.onEffect = (node, effect) => {
    if (effect.kind !== 'strategyConflict') return;
    conflicts.push(`${node.engine.nodeId} sees ${effect.nodeId}`);
  };
  const nodes = [engines.start(one), engines.start(other)] as const;
  engines.run(3000);
  const clients = [
    engines.join(nodes[0], 'ada', 'd', 'c'),
    engines.join(nodes[1], 'bob', 'd', 'c'),
  ];
  engines.run(3000);
  return { engines, index, nodes, clients: clients as [SimClient, SimClient], conflicts };
}

describe('nodes of different strategies in one cluster', () => {
  it.each([
    ['replicated', replicated()],
    ['on-demand', onDemand()],
  ])(
    'say that they do not know all, and which node it is: %s beside dual-write',
    (_name, strategy) => {
      const { engines, nodes, clients, conflicts } = pair(strategy, indexed);
      const [one, other] = nodes.map(({ engine }) => engine);
      expect(conflicts.sort()).toEqual([
        `${one?.nodeId} sees ${other?.nodeId}`,
        `${other?.nodeId} sees ${one?.nodeId}`,
      ]);
      for (const { engine } of nodes) expect(engine.info('c').complete).toBe(false);
      for (const { model } of clients) expect(model.infos.get('c')?.complete).toBe(false);

      // Once only one kind is left, what it knows is all there is, and clients are told so.
      engines.gone(clients[1], 'left');
      engines.leave(nodes[1]);
      engines.run(3000);
      expect(one?.info('c').complete).toBe(true);
      expect(clients[0].model.infos.get('c')?.complete).toBe(true);
      expect(conflicts).toHaveLength(2);
    },
  );

  it('know all where they can: replicated beside on-demand', () => {
    const { nodes, clients, conflicts } = pair(replicated(), onDemand());
    expect(conflicts).toEqual([]);
    for (const { engine } of nodes) expect(engine.info('c').complete).toBe(true);
    for (const { model } of clients) expect(model.present('c')).toEqual(['ada', 'bob']);
  });
});
