import { expect, it } from 'vitest';
import type { UserPresence } from 'rollcall';
import { WatchedCommunity } from '../../../src/server/watching/watched-community.js';
import type { WatchQuery, WatchSort } from '../../../src/server/watching/watch-query.js';

/** Numbers in [0, 1) that are the same at every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const STATUSES = ['active', 'busy', 'idle'] as const;

function presenceOf(userId: string, status: UserPresence['status']): UserPresence {
  const base = { userId, communityId: 'c', status, onlineSince: 1, lastActiveAt: 1 };
  return { ...base, devices: [] };
}

const nameOf = ({ userId }: UserPresence): string => userId;

/** The truth, sorted anew each time. */
function sorted(truth: ReadonlyMap<string, UserPresence>, sort: WatchSort): string[] {
  const rank = (user: UserPresence): number =>
    sort === 'name' ? 0 : STATUSES.indexOf(user.status);
  return [...truth.values()]
    .sort((a, b) => rank(a) - rank(b) || (a.userId < b.userId ? -1 : 1))
    .map((user) => user.userId);
}

/** A watcher that knows only what it is told. */
class Watcher {
  readonly users = new Map<string, UserPresence>();
  order: readonly string[] = [];
  total = -1;
  messages = 0;

  take({ total, users = [], gone = [], order }: ReturnType<WatchedCommunity['watch']>): void {
    this.messages++;
    this.total = total;
    for (const user of users) this.users.set(user.userId, user);
    for (const { userId } of gone) this.users.delete(userId);
    if (order !== undefined) this.order = order;
  }
}

const QUERIES: readonly WatchQuery[] = [
  {},
  { countOnly: true },
  { window: { offset: 0, limit: 5, sort: 'availability' } },
  { window: { offset: 3, limit: 4, sort: 'name' } },
  { window: { offset: 20, limit: 30, sort: 'availability' } },
  { users: ['u1', 'u7', 'u30'] },
  { users: ['u2'], window: { offset: 2, limit: 2, sort: 'name' } },
];

it('tells every watcher enough to know what it watches, through any changes', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = chance(seed);
    const truth = new Map<string, UserPresence>();
    const change = (): Parameters<WatchedCommunity['apply']>[0] => {
      const userId = `u${Math.floor(random() * 40)}`;
      if (truth.has(userId) && random() < 0.4) {
        truth.delete(userId);
        const gone = { communityId: 'c', userId, lastSeenAt: 1, reason: 'left' } as const;
        return { type: 'userOffline', ...gone };
      }
      const type = truth.has(userId) ? 'userUpdated' : 'userOnline';
      const userPresence = presenceOf(
        userId,
        STATUSES[Math.floor(random() * 3)] as UserPresence['status'],
      );
      truth.set(userId, userPresence);
      return { type, communityId: 'c', userId, userPresence };
    };
    for (let i = 0; i < 30; i++) change();
    const community = new WatchedCommunity([...truth.values()], nameOf);
    const watchers = new Map<string, { watcher: Watcher; query: WatchQuery }>();
    const flush = (): void => {
      for (const { sockets, changes } of community.flush(false)) {
        for (const socketId of sockets) watchers.get(socketId)?.watcher.take(changes);
      }
    };
    for (let step = 0; step < 60; step++) {
      if (random() < 0.3) {
        flush();
        const query = QUERIES[Math.floor(random() * QUERIES.length)] as WatchQuery;
        const socketId = `s${Math.floor(random() * 10)}`;
        const watcher = new Watcher();
        watcher.take(community.watch(socketId, query));
        watchers.set(socketId, { watcher, query });
      } else if (random() < 0.1) {
        const socketId = `s${Math.floor(random() * 10)}`;
        community.unwatch(socketId);
        watchers.delete(socketId);
      }
      const changes = Math.floor(random() * 8);
      // Some come as events, some only as another list.
      if (random() < 0.7) for (let i = 0; i < changes; i++) community.apply(change());
      else {
        for (let i = 0; i < changes; i++) change();
        community.sync(Object.freeze([...truth.values()]));
      }
      flush();
      for (const { watcher, query } of watchers.values()) {
        expect(watcher.total).toBe(truth.size);
        const { window, users, countOnly } = query;
        if (window !== undefined) {
          const { offset, limit, sort } = window;
          expect(watcher.order).toEqual(sorted(truth, sort).slice(offset, offset + limit));
          for (const id of watcher.order) expect(watcher.users.get(id)).toBe(truth.get(id));
        }
        for (const id of users ?? []) expect(watcher.users.get(id)).toBe(truth.get(id));
        if (window === undefined && users === undefined && countOnly !== true) {
          expect(new Map([...watcher.users].sort())).toEqual(new Map([...truth].sort()));
        }
      }
    }
  }
});

it('says nothing of who came and went between two flushes, nor to those whom it does not concern', () => {
  const all = Array.from({ length: 100 }, (_, i) => presenceOf(`u${100 + i}`, 'active'));
  const community = new WatchedCommunity(all, nameOf);
  community.watch('first page', { window: { offset: 0, limit: 10, sort: 'name' } });
  community.watch('named', { users: ['u150'] });
  community.watch('count', { countOnly: true });
  const late = presenceOf('u300', 'active');
  const base = { communityId: 'c', userId: 'u300' };
  community.apply({ type: 'userOnline', ...base, userPresence: late });
  community.apply({ type: 'userOffline', ...base, lastSeenAt: 1, reason: 'left' });
  expect(community.flush(false)).toEqual([]);
  community.apply({
    type: 'userUpdated',
    communityId: 'c',
    userId: 'u180',
    userPresence: presenceOf('u180', 'busy'),
  });
  expect(community.flush(false)).toEqual([]);
  const busy = presenceOf('u150', 'busy');
  community.apply({ type: 'userUpdated', communityId: 'c', userId: 'u150', userPresence: busy });
  expect(community.flush(false)).toEqual([
    { sockets: new Set(['named']), changes: { total: 100, users: [busy] } },
  ]);
});

it('sorts a large community piece by piece while it changes', () => {
  const all = Array.from({ length: 2500 }, (_, i) => presenceOf(`u${(i * 7) % 2500}`, 'active'));
  const truth = new Map(all.map((user) => [user.userId, user]));
  const community = new WatchedCommunity(all, nameOf);
  const query = { window: { offset: 0, limit: 2500, sort: 'availability' } } as const;
  for (const isReady of [false, false, false, false, true]) {
    expect(community.prepare(query)).toBe(isReady);
    // Of those who have their place already, of those who have not, and of some more than a few.
    for (const user of [...truth.values()].filter((_, i) => i % 50 === 0)) {
      const { userId } = user;
      truth.delete(userId);
      const gone = { communityId: 'c', userId, lastSeenAt: 1, reason: 'left' } as const;
      community.apply({ type: 'userOffline', ...gone });
    }
    for (const user of [...truth.values()].filter((_, i) => i % 70 === 0)) {
      const { userId } = user;
      const userPresence = presenceOf(userId, user.status === 'busy' ? 'idle' : 'busy');
      truth.set(userId, userPresence);
      community.apply({ type: 'userUpdated', communityId: 'c', userId, userPresence });
    }
    community.flush(false);
  }
  expect(community.watch('s', query).order).toEqual(sorted(truth, 'availability'));
});
