import { describe, expect, it } from 'vitest';
import { StreamModel, type SeenUser } from '../../support/stream.js';

const COMMUNITY = 'c';

function user(userId: string, communityId = COMMUNITY): SeenUser {
  const device = { deviceId: 'd', status: 'active', connectedAt: 1, lastActiveAt: 1 };
  return {
    userId,
    communityId,
    status: 'active',
    devices: [device],
    onlineSince: 1,
    lastActiveAt: 1,
  };
}

const listed = (...users: SeenUser[]): StreamModel => {
  const model = new StreamModel();
  model.sync(users, { communityId: COMMUNITY, complete: true, nodes: 1 });
  return model;
};
const change = (userId: string) => ({
  communityId: COMMUNITY,
  userId,
  userPresence: user(userId),
});
const gone = (userId: string) => ({
  communityId: COMMUNITY,
  userId,
  lastSeenAt: 1,
  reason: 'left',
});

describe('the model of what a client was told', () => {
  it('folds a sound stream without complaint', () => {
    const model = listed(user('ann'));
    model.online(change('bob'));
    model.updated({ ...change('bob'), userPresence: { ...user('bob'), status: 'busy' } });
    model.offline(gone('ann'));
    expect(model.present(COMMUNITY)).toEqual(['bob']);
    expect(model.user(COMMUNITY, 'bob')?.status).toBe('busy');
    expect(model.violations).toEqual([]);
  });

  it('records every event in order, with its time', () => {
    const model = listed();
    model.online(change('bob'));
    model.offline(gone('bob'));
    expect(model.told.map((told) => told.event)).toEqual([
      'globalPresenceSync',
      'userOnline',
      'userOffline',
    ]);
    expect(model.told[2]?.reason).toBe('left');
    const times = model.told.map((told) => told.atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.every(Number.isFinite)).toBe(true);
  });

  it('keeps communities apart', () => {
    const model = listed(user('ann'));
    model.sync([user('zoe', 'other')], { communityId: 'other', complete: true, nodes: 1 });
    model.offline(gone('ann'));
    expect([model.present(COMMUNITY), model.present('other')]).toEqual([[], ['zoe']]);
    expect(model.violations).toEqual([]);
  });

  it('starts over with a new list, and with a new connection', () => {
    const model = listed(user('ann'));
    model.sync([user('bob')], { communityId: COMMUNITY, complete: true, nodes: 1 });
    expect(model.present(COMMUNITY)).toEqual(['bob']);
    model.restart();
    model.online(change('eve'));
    expect(model.violations).toEqual(['userOnline of eve before the list of c']);
  });

  const planted: [string, () => StreamModel, (model: StreamModel) => void, string][] = [
    [
      'userOnline of somebody present',
      () => listed(user('ann')),
      (model) => model.online(change('ann')),
      'userOnline of ann, who is present',
    ],
    [
      'userUpdated of somebody absent',
      () => listed(),
      (model) => model.updated(change('bob')),
      'userUpdated of bob, who is absent',
    ],
    [
      'userOffline of somebody absent',
      () => listed(),
      (model) => model.offline(gone('bob')),
      'userOffline of bob, who is absent',
    ],
    [
      'a second userOffline',
      () => listed(user('ann')),
      (model) => {
        model.offline(gone('ann'));
        model.offline(gone('ann'));
      },
      'userOffline of ann, who is absent',
    ],
    [
      'userOnline before the list',
      () => new StreamModel(),
      (model) => model.online(change('ann')),
      'userOnline of ann before the list of c',
    ],
    [
      'userOffline before the list',
      () => new StreamModel(),
      (model) => model.offline(gone('ann')),
      'userOffline of ann before the list of c',
    ],
    [
      'a user twice in a list',
      () => new StreamModel(),
      (model) =>
        model.sync([user('ann'), user('ann')], {
          communityId: COMMUNITY,
          complete: true,
          nodes: 1,
        }),
      'ann twice in the list of c',
    ],
    [
      'a user of another community in a list',
      () => new StreamModel(),
      (model) =>
        model.sync([user('ann', 'other')], { communityId: COMMUNITY, complete: true, nodes: 1 }),
      'ann of another community',
    ],
    [
      'a listed user without devices',
      () => new StreamModel(),
      (model) =>
        model.sync([{ ...user('ann'), devices: [] }], {
          communityId: COMMUNITY,
          complete: true,
          nodes: 1,
        }),
      'ann without devices',
    ],
  ];
  it.each(planted)('catches %s', (_, start, plant, violation) => {
    const model = start();
    plant(model);
    expect(model.violations).toEqual([violation]);
  });
});
