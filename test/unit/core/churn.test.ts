import { describe, expect, it } from 'vitest';
import { ChurnMap, ChurnSet } from '../../../src/core/churn.js';
import { randomFrom } from '../strategy/engines.js';

const STEPS = 20_000;

describe('what comes and goes', () => {
  it('a ChurnMap holds what a Map would, in the same order', () => {
    const random = randomFrom(1);
    const [map, like] = [new ChurnMap<number, number>(), new Map<number, number>()];
    for (let i = 0; i < STEPS; i++) {
      const key = Math.floor(random() * 40);
      if (random() < 0.5) {
        map.set(key, i);
        like.set(key, i);
      } else {
        expect(map.delete(key)).toBe(like.delete(key));
      }
      expect(map.size).toBe(like.size);
      expect(map.get(key)).toBe(like.get(key));
      expect(map.has(key)).toBe(like.has(key));
      if (i % 50 !== 0) continue;
      expect([...map]).toEqual([...like]);
      expect([...map.keys()]).toEqual([...like.keys()]);
      expect([...map.values()]).toEqual([...like.values()]);
    }
    map.clear();
    expect([map.size, ...map]).toEqual([0]);
  });

  it('a ChurnSet holds what a Set would, in the same order', () => {
    const random = randomFrom(2);
    const [set, like] = [new ChurnSet<number>(), new Set<number>()];
    for (let i = 0; i < STEPS; i++) {
      const item = Math.floor(random() * 40);
      if (random() < 0.5) {
        set.add(item);
        like.add(item);
      } else {
        expect(set.delete(item)).toBe(like.delete(item));
      }
      expect(set.size).toBe(like.size);
      expect(set.has(item)).toBe(like.has(item));
      if (i % 50 === 0) expect([...set]).toEqual([...like]);
    }
    set.clear();
    expect([set.size, ...set]).toEqual([0]);
  });

  it('may be emptied while it is walked through', () => {
    const [map, set] = [new ChurnMap<number, number>(), new ChurnSet<number>()];
    for (let i = 0; i < 500; i++) {
      map.set(i, i);
      set.add(i);
    }
    let seen = 0;
    for (const [key] of map) seen += Number(map.delete(key));
    for (const item of set) seen += Number(set.delete(item));
    expect([seen, map.size, set.size]).toEqual([1000, 0, 0]);
  });
});
