import { describe, expect, it } from 'vitest';
import { onDemand, replicated, type Strategy } from '../../../src/strategy/index.js';
import { Engines, type SimNode } from './engines.js';

const STRATEGIES: Record<string, () => Strategy> = { replicated, 'on-demand': onDemand };

/** Two nodes of which each is alone, until their media turn out to reach each other. */
describe.each(Object.keys(STRATEGIES))('a node that meets others late, %s', (name) => {
  function start(seed: number): { engines: Engines; a: SimNode; b: SimNode } {
    const strategy = STRATEGIES[name] as () => Strategy;
    const engines = new Engines(seed);
    const [a, b] = [
      engines.start(strategy(), { solo: true }),
      engines.start(strategy(), { solo: true }),
    ];
    return { engines, a, b };
  }

  function meet(engines: Engines): void {
    for (const node of engines.nodes) engines.input(node, (t) => node.engine.meetOthers(t));
  }

  it('gives those who are there already the whole list', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { engines, a, b } = start(seed);
      // Longer than a start may last.
      engines.run(10_000);
      const clients = [engines.join(a, 'alice', 'd', 'c'), engines.join(b, 'bob', 'd', 'c')];
      engines.run(1000);
      for (const { model, userId } of clients) expect(model.present('c')).toEqual([userId]);
      meet(engines);
      engines.run(5000);
      clients.push(engines.join(a, 'late', 'd', 'c'));
      engines.run(1000);
      for (const { model } of clients) {
        expect(model.present('c')).toEqual(['alice', 'bob', 'late']);
        expect(model.infos.get('c')).toMatchObject({ complete: true, nodes: 2 });
        expect(model.violations).toEqual([]);
      }
    }
  });

  it('takes nobody for gone whom it may not have heard of', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { engines, a, b } = start(seed);
      engines.run(1000);
      meet(engines);
      engines.run(5000);
      for (const { model } of engines.moveUnheard(a, b)) {
        expect(model.present('c')).toEqual(['u', 'wa', 'wb']);
        expect(model.count('userOffline')).toBe(0);
      }
    }
  });
});
