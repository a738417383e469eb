import { describe, expect, it } from 'vitest';
import { entryKey } from '../../../src/core/entry.js';
import { ShardLog, type LogLimits } from '../../../src/core/log.js';
import type { Entry } from '../../../src/core/index.js';

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
});
