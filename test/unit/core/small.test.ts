import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/sim/prng.js';
import { SmallMap, SmallSet } from '../../../src/core/small.js';

/** What a Map and a Set would be after the same deeds is what they must be. */
describe('a small map and a small set', () => {
  it('hold what a Map and a Set hold, in their order', () => {
    const random = new Random(7, 'small');
    for (let round = 0; round < 50; round++) {
      const map = new SmallMap<string, number>();
      const set = new SmallSet<string>();
      const model = new Map<string, number>();
      for (let deed = 0; deed < 30; deed++) {
        const key = `k${random.int(0, 3)}`;
        if (random.chance(0.5)) {
          map.set(key, deed);
          set.add(key);
          model.set(key, deed);
        } else {
          const isDeleted = model.delete(key);
          expect(map.delete(key)).toBe(isDeleted);
          expect(set.delete(key)).toBe(isDeleted);
        }
        expect(map.size).toBe(model.size);
        expect(set.size).toBe(model.size);
        expect([...map.values()]).toEqual([...model.values()]);
        expect([...set]).toEqual([...model.keys()]);
        for (const one of ['k0', 'k1', 'k2', 'k3']) {
          expect(map.get(one)).toBe(model.get(one));
          expect(set.has(one)).toBe(model.has(one));
        }
      }
    }
  });

  it('may lose what has been passed while they are walked through', () => {
    const map = new SmallMap<string, string>();
    const set = new SmallSet<string>();
    for (const key of ['a', 'b', 'c']) {
      map.set(key, key);
      set.add(key);
    }
    const [values, items]: string[][] = [[], []];
    for (const value of map.values()) {
      values?.push(value);
      map.delete(value);
    }
    for (const item of set) {
      items?.push(item);
      set.delete(item);
    }
    expect([values, items, map.size, set.size]).toEqual([['a', 'b', 'c'], ['a', 'b', 'c'], 0, 0]);
  });
});
