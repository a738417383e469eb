import { describe, expect, it } from 'vitest';
import { Digest } from '../../../src/core/digest.js';
import { applyPatch, decodeOps, entryKey, hashKey } from '../../../src/core/entry.js';
import { ShardLog, type LogLimits } from '../../../src/core/log.js';
import type { Entry } from '../../../src/core/index.js';
import { randomFrom } from '../strategy/engines.js';

const WIDE: LogLimits = { deltas: 1000, bytes: 1e9, ageMs: 1e9, opsPerDelta: 100 };

function entryOf(userId: string, rev: number): Entry {
  return {
    key: entryKey('c', userId, 'd'),
    communityId: 'c',
    userId,
    deviceId: 'd',
    status: 'active',
    veil: 0,
    connectedAt: rev,
    lastActiveAt: rev,
    since: rev,
    session: 0,
    born: rev,
    rev,
    info: undefined,
    infoRev: 0,
    boardId: undefined,
    typing: false,
    meta: undefined,
  };
}

/** A log into which so many deltas were sealed, one a ms, and what it was given as it was sealed. */
function sealed(count: number, limits: Partial<LogLimits>): { log: ShardLog; bodies: string[] } {
  const log = new ShardLog(0, { ...WIDE, ...limits });
  const bodies: string[] = [];
  for (let i = 1; i <= count; i++) {
    log.put(entryOf(`user-${i % 7}`, i));
    const delta = log.seal(i);
    expect(delta?.seq).toBe(i);
    bodies.push(delta?.body as string);
    // However far it is into forgetting, what it gives is what it was, or nothing.
    for (const have of [i - 1, i - Math.floor(log.ringSize / 2), i - log.ringSize]) {
      expect(log.since(have)?.map(({ body }) => body)).toEqual(bodies.slice(have));
    }
    expect(log.since(i - log.ringSize - 1)).toBeUndefined();
  }
  return { log, bodies };
}

describe('a log', () => {
  it('keeps so many deltas', () => {
    const { log } = sealed(250, { deltas: 30 });
    expect(log.ringSize).toBe(30);
  });

  it('keeps so many bytes', () => {
    const { log, bodies } = sealed(250, { bytes: 1000 });
    const kept = bodies.slice(-log.ringSize).join('').length;
    expect(kept).toBeLessThanOrEqual(1000);
    expect(kept + (bodies.at(-log.ringSize - 1)?.length as number)).toBeGreaterThan(1000);
  });

  it('keeps them for so long', () => {
    const { log } = sealed(250, { ageMs: 40 });
    expect(log.ringSize).toBe(41);
    log.trim(280);
    expect(log.ringSize).toBe(11);
    log.trim(1000);
    expect(log.ringSize).toBe(0);
    expect(log.since(249)).toBeUndefined();
    expect(log.since(250)).toEqual([]);
  });

  it('says just what is there, whatever came and went before it was sealed', () => {
    const random = randomFrom(3);
    const log = new ShardLog(0, { ...WIDE, opsPerDelta: 5 });
    const there = new Map<string, Entry>();
    const heard = new Map<string, Entry>();
    for (let rev = 1; rev <= 20_000; rev++) {
      const fresh = entryOf(`user-${Math.floor(random() * 20)}`, rev);
      const was = there.get(fresh.key);
      if (was === undefined) {
        there.set(fresh.key, fresh);
        log.put(fresh);
      } else if (random() < 0.5) {
        const changed = applyPatch(was, rev, { status: 'busy', lastActiveAt: rev });
        there.set(fresh.key, changed);
        log.put(changed);
      } else {
        there.delete(fresh.key);
        log.remove(was, 'left', rev, random() < 0.1);
      }
      if (random() < 0.8) continue;
      for (let most = random() < 0.5 ? 1 : Infinity; most > 0; most--) {
        if (log.pending === 0) break;
        const delta = log.seal(rev);
        expect(delta?.ops ?? 0).toBeLessThanOrEqual(6);
        for (const op of decodeOps(delta?.body ?? '[]') ?? []) {
          if (op.op === 'put') {
            heard.set(op.entry.key, op.entry);
            continue;
          }
          const key = entryKey(op.communityId, op.userId, op.deviceId);
          const known = heard.get(key) as Entry;
          // Nobody is told that somebody has gone of whom they have not heard.
          expect(known).toBeDefined();
          if (op.op === 'remove') heard.delete(key);
          else heard.set(key, applyPatch(known, op.rev, op.patch));
        }
      }
      const digest = new Digest();
      for (const { key, rev: at } of heard.values()) digest.fold(hashKey(key), at, 1);
      expect(log.state()).toMatchObject({ a: digest.a, b: digest.b });
      expect(log.size).toBe(heard.size);
      if (log.pending > 0) continue;
      expect(new Map(log.entries().map((entry) => [entry.key, entry]))).toEqual(there);
      expect(heard).toEqual(there);
    }
  });
});
