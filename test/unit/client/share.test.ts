import { assert, jsonValue, property } from 'fast-check';
import { expect, it } from 'vitest';
import { share } from '../../../src/client/share.js';

it('gives the old where the new says the same, and the same value in any case', () => {
  assert(
    property(jsonValue(), jsonValue(), (a, b) => {
      const expected = structuredClone(b);
      const shared = share(a, b);
      expect(JSON.stringify(shared)).toBe(JSON.stringify(expected));
      if (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(expected)) {
        expect(shared).toBe(a);
      }
    }),
  );
});

it('keeps the parts that are the same', () => {
  const old = { info: { name: 'Ada', tags: ['x'] }, devices: [{ id: 1 }, { id: 2 }] };
  const next = { info: { name: 'Ada', tags: ['x'] }, devices: [{ id: 1 }, { id: 3 }] };
  const shared = share(old, next);
  expect(shared).not.toBe(old);
  expect(shared.info).toBe(old.info);
  expect(shared.devices[0]).toBe(old.devices[0]);
  expect(shared.devices[1]).toEqual({ id: 3 });
});

it('changes neither the old nor the new', () => {
  const freeze = <T>(value: T): T => {
    if (typeof value === 'object' && value !== null) {
      Object.values(value).forEach(freeze);
      Object.freeze(value);
    }
    return value;
  };
  assert(
    property(jsonValue(), jsonValue(), (a, b) => {
      const next = freeze(structuredClone(b));
      expect(JSON.stringify(share(freeze(a), next))).toBe(JSON.stringify(b));
      expect(share(b, next)).toBe(b);
    }),
  );
});

it('tells lists from objects, and names of the language from fields', () => {
  expect(share({ a: [] }, { a: {} })).toEqual({ a: {} });
  const hostile = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"x":1}}') as object;
  share({}, hostile);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect(Object.hasOwn(Object, 'x')).toBe(false);
});
