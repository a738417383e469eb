import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UserPresence } from 'rollcall/core';
import { Pages, type Listed } from '../../../src/core/pages.js';

interface Person extends Listed {
  told: UserPresence | null;
}

const presence = (userId: string, version: number): UserPresence =>
  ({ userId, status: `v${version}` }) as unknown as UserPresence;

const said = (pages: Pages): string[] => {
  const text = `[${pages.parts().join(',')}]`;
  // What a list that is not empty is said to take is what it takes.
  if (text.length > 2) expect(pages.length).toBe(text.length);
  return (JSON.parse(text) as object[]).map((one) => JSON.stringify(one)).sort();
};

describe('the pages of a list', () => {
  it('say who is there and what is told of them, however they come, change and go', () => {
    const act = fc.record({
      what: fc.constantFrom('add', 'add', 'add', 'remove', 'change', 'encode', 'read'),
      who: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(act, { minLength: 300, maxLength: 900 }), (acts) => {
        const pages = new Pages();
        const there: Person[] = [];
        let version = 0;
        for (const { what, who } of acts) {
          const at = who % Math.max(1, there.length);
          const person = there[at];
          switch (what) {
            case 'add': {
              const one = { told: presence(`u${++version}`, version), page: null };
              there.push(one);
              pages.add(one);
              break;
            }
            case 'remove':
              if (person === undefined) break;
              person.told = null;
              pages.remove(person);
              there.splice(at, 1);
              break;
            case 'change':
              if (person === undefined) break;
              person.told = presence((person.told as UserPresence).userId, ++version);
              pages.change(person);
              break;
            case 'encode':
              pages.encode(who % 200);
              break;
            default:
              expect(said(pages)).toEqual(there.map(({ told }) => JSON.stringify(told)).sort());
          }
        }
        expect(said(pages)).toEqual(there.map(({ told }) => JSON.stringify(told)).sort());
      }),
      { numRuns: 50 },
    );
  });
});
