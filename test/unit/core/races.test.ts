import { describe, expect, it } from 'vitest';
import { CoreCluster } from '../../support/core-cluster.js';

/** The races of the design's analysis that show on the core alone, by their numbers there. */
function clusterThatLostAda(): CoreCluster {
  const cluster = CoreCluster.of('a', 'b', 'c');
  cluster.join('c', 'watcher');
  cluster.join('a', 'eve');
  const ada = cluster.join('a', 'ada');
  cluster.run(500);
  cluster.drop(ada);
  return cluster;
}

/** Where eve and a watcher stay, ada was lost a moment ago: she is there for the whole linger, and no longer. */
function expectToLinger(cluster: CoreCluster): void {
  cluster.run(4500);
  for (const id of ['a', 'c']) expect(cluster.online(id)).toEqual(['ada', 'eve', 'watcher']);
  cluster.run(1000);
  for (const id of ['a', 'c']) {
    expect(cluster.online(id)).toEqual(['eve', 'watcher']);
    expect(cluster.count(id, 'userOffline', 'ada')).toBe(1);
  }
}

describe('race', () => {
  it('1: the last two devices of a user leave on two nodes at once: one edge, no ghost', () => {
    const cluster = CoreCluster.of('a', 'b', 'c');
    for (const id of ['a', 'b', 'c']) cluster.join(id, 'watcher', id);
    cluster.run(2000);
    for (let i = 0; i < 100; i++) {
      const phone = cluster.join('a', 'ada', 'phone');
      const laptop = cluster.join('b', 'ada', 'laptop');
      cluster.run(200);
      expect(cluster.online('c')).toEqual(['ada', 'watcher']);
      cluster.drop(phone, 'left');
      cluster.drop(laptop, 'left');
      cluster.run(200);
      for (const id of ['a', 'b', 'c']) expect(cluster.online(id)).toEqual(['watcher']);
      expect(cluster.count('c', 'userOnline', 'ada')).toBe(i + 1);
      expect(cluster.count('c', 'userOffline', 'ada')).toBe(i + 1);
    }
  });

  it('2: a late message of an incarnation that left or was superseded changes nothing', () => {
    const cluster = CoreCluster.of('a');
    cluster.start('b1', { nodeName: 'b' });
    cluster.run(3000);
    cluster.join('a', 'watcher');
    cluster.run(100);
    cluster.isHeld = ({ from, to }) => from === 'b1' && to === 'a';
    cluster.join('b1', 'ada');
    cluster.run(500);
    cluster.kill('b1');
    cluster.isHeld = () => false;
    cluster.start('b2', { nodeName: 'b' });
    cluster.run(4000);
    const down = cluster.at('a').effects.find((effect) => effect.kind === 'nodeDown');
    expect(down).toMatchObject({ nodeId: 'b1', reason: 'superseded' });
    cluster.release();
    cluster.run(500);
    expect(cluster.online('a')).toEqual(['watcher']);
    expect(cluster.count('a', 'userOnline', 'ada')).toBe(0);
  });

  it('3: two living nodes with one name both live, with one warning', () => {
    const cluster = CoreCluster.of('w');
    cluster.start('a', { nodeName: 'same' });
    cluster.start('b', { nodeName: 'same' });
    cluster.join('w', 'watcher');
    cluster.join('a', 'ada');
    cluster.join('b', 'bob');
    cluster.run(30_000);
    expect(cluster.online('w')).toEqual(['ada', 'bob', 'watcher']);
    const { effects } = cluster.at('w');
    expect(effects.filter((effect) => effect.kind === 'nodeDown')).toEqual([]);
    expect(effects.filter((effect) => effect.kind === 'nameConflict')).toHaveLength(1);
  });

  it('4, 5: deltas that pass a snapshot under way end up on top of it', () => {
    const cluster = new CoreCluster();
    cluster.start('a', { snapshotPieceEntries: 1, log: { deltas: 1, bytes: 1, ageMs: 1 } });
    cluster.run(2000);
    cluster.join('a', 'u0');
    cluster.join('a', 'u1');
    const u2 = cluster.join('a', 'u2');
    cluster.run(3000);
    cluster.isHeld = (_letter, { message }) => message.kind === 'snapshot';
    cluster.start('b');
    cluster.join('b', 'watcher');
    cluster.run(1500);
    // While the pieces are on their way, the owner goes on.
    cluster.drop(u2, 'left');
    cluster.join('a', 'u3');
    cluster.run(100);
    cluster.isHeld = () => false;
    cluster.release((letters) => letters.reverse());
    cluster.run(2000);
    expect(cluster.online('b')).toEqual(['u0', 'u1', 'u3', 'watcher']);
    expect(cluster.node('b').stats.divergences).toBe(0);
  });

  it('6: a heartbeat that overtakes its delta costs no pull', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    cluster.run(500);
    const { pulls } = cluster.node('b').stats;
    cluster.isHeld = ({ to }, { message }) => to === 'b' && message.kind === 'delta';
    const from = cluster.sent.length;
    cluster.join('a', 'ada');
    // A heartbeat names a sequence number whose delta has not come.
    const overtaken = (): boolean =>
      cluster.sent
        .slice(from)
        .some(
          ({ from: sender, message }) =>
            sender === 'a' &&
            message.kind === 'beat' &&
            message.states.some(({ seq }) => seq === 1),
        );
    while (!overtaken()) cluster.run(5);
    expect(cluster.held).toHaveLength(1);
    cluster.isHeld = () => false;
    cluster.release();
    cluster.run(1000);
    expect(cluster.online('b')).toEqual(['ada', 'watcher']);
    expect(cluster.node('b').stats.pulls).toBe(pulls);
  });

  it('7: a delta of an unknown owner makes no entry before its base is there', () => {
    const cluster = CoreCluster.of('a');
    for (let i = 0; i < 3; i++) {
      cluster.join('a', `u${i}`);
      cluster.run(100);
    }
    const last = cluster.sent.findLast(({ message }) => message.kind === 'delta');
    cluster.isLost = () => true;
    cluster.start('b');
    cluster.join('b', 'watcher');
    cluster.run(1000);
    cluster.deliver({ from: 'a', to: 'b', data: last?.data ?? '' });
    cluster.run(1000);
    expect(cluster.online('b')).toEqual(['watcher']);
    cluster.isLost = () => false;
    cluster.run(4000);
    expect(cluster.online('b')).toEqual(['u0', 'u1', 'u2', 'watcher']);
  });

  it('8, 28: after a leave nothing of that incarnation counts, and its users linger', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    cluster.join('a', 'ada');
    cluster.run(500);
    cluster.isHeld = ({ to }, { message }) => to === 'b' && message.kind === 'delta';
    cluster.join('a', 'late');
    cluster.run(100);
    cluster.isHeld = () => false;
    cluster.node('a').close(cluster.t);
    cluster.run(10);
    cluster.kill('a');
    cluster.release();
    cluster.run(4000);
    expect(cluster.online('b')).toEqual(['ada', 'watcher']);
    cluster.run(2000);
    expect(cluster.online('b')).toEqual(['watcher']);
    expect(cluster.count('b', 'userOffline', 'ada')).toBe(1);
    expect(cluster.count('b', 'userOnline', 'late')).toBe(0);
  });

  it('9: deltas alone are life, and a wrong merge at an equal sequence number is found', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    cluster.isLost = (_letter, { message }) => message.kind === 'beat' || message.kind === 'pull';
    const socket = cluster.join('a', 'ada');
    for (let i = 0; i < 40; i++) {
      cluster.node('a').update(socket, { meta: { i } }, cluster.t);
      cluster.run(500);
    }
    const { effects } = cluster.at('b');
    expect(effects.filter((effect) => effect.kind === 'nodeDown')).toEqual([]);
    // A delta arrives empty under its own number.
    cluster.isLost = ({ to }, { message }) => to === 'b' && message.kind === 'delta';
    cluster.node('a').update(socket, { boardId: 'roadmap' }, cluster.t);
    cluster.run(100);
    cluster.isLost = () => false;
    const spoilt = cluster.sent.findLast(({ message }) => message.kind === 'delta')?.data ?? '';
    cluster.deliver({
      from: 'a',
      to: 'b',
      data: `${spoilt.slice(0, spoilt.lastIndexOf('\n'))}\n[]`,
    });
    cluster.run(3000);
    expect(cluster.node('b').stats.divergences).toBe(1);
    const ada = cluster
      .node('b')
      .onlineUsers('c')
      .find((user) => user.userId === 'ada');
    expect(ada?.devices[0]?.boardId).toBe('roadmap');
  });

  it('10: changes in shards that a node does not host are no gaps for it', () => {
    const cluster = CoreCluster.of('a', 'b');
    const communities = Array.from({ length: 8 }, (_, i) => `c${i}`);
    cluster.join('b', 'watcher', 'd', 'c0');
    cluster.run(500);
    const { pulls } = cluster.node('b').stats;
    for (const communityId of communities) {
      cluster.join('a', 'ada', 'd', communityId);
      cluster.run(300);
    }
    cluster.run(5000);
    expect(cluster.online('b', 'c0')).toEqual(['ada', 'watcher']);
    expect(cluster.node('b').stats.pulls).toBe(pulls);
    expect(cluster.node('b').gauges(cluster.now).shards).toBe(1);
  });

  it('11: interest that begins while deltas flow misses nothing', () => {
    const cluster = CoreCluster.of('a', 'b');
    const sockets: string[] = [];
    for (let i = 0; i < 50; i++) {
      sockets.push(cluster.join('a', `u${i}`));
      if (i === 25) cluster.join('b', 'watcher');
      if (i % 3 === 0) cluster.drop(sockets[i] as string, 'left');
      cluster.run(15);
    }
    cluster.run(1000);
    expect(cluster.online('b')).toEqual(cluster.online('a'));
    expect(cluster.online('b')).toHaveLength(34);
    const [list] = cluster.at('b').told.filter((told) => told.type === 'list');
    expect(list).toMatchObject({ info: { complete: true } });
  });

  it('12: the order between kinds of messages does not matter', () => {
    const orders = [
      <T>(letters: T[]): T[] => letters.reverse(),
      <T>(letters: T[]): T[] => letters.sort(() => -1),
      <T>(letters: T[]): T[] => [...letters.slice(2), ...letters.slice(0, 2)],
    ];
    for (const order of orders) {
      const cluster = CoreCluster.of('a', 'b');
      cluster.join('b', 'watcher');
      cluster.run(500);
      cluster.isHeld = ({ to }) => to === 'b';
      const socket = cluster.join('a', 'ada');
      for (let i = 0; i < 60; i++) {
        cluster.node('a').update(socket, { meta: { i } }, cluster.t);
        cluster.run(40);
      }
      cluster.isHeld = () => false;
      cluster.release(order);
      cluster.run(3000);
      const ada = cluster
        .node('b')
        .onlineUsers('c')
        .find((user) => user.userId === 'ada');
      expect(ada?.devices[0]?.meta).toEqual({ i: 59 });
      expect(cluster.count('b', 'userOnline', 'ada')).toBe(1);
      expect(cluster.node('b').stats.divergences).toBe(0);
    }
  });

  it('13: a list is complete when the nodes that are known have answered, not when some number has', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('a', 'ada');
    cluster.join('b', 'bob');
    cluster.run(500);
    // b is heard, but its answers are lost: whoever else answers does not stand in for it.
    cluster.isLost = ({ from, to }, { message }) =>
      from === 'b' &&
      to === 'new' &&
      message.kind !== 'hello' &&
      'answers' in message &&
      message.answers.length > 0;
    cluster.start('new');
    cluster.start('other');
    cluster.join('new', 'carl');
    cluster.run(2500);
    const lists = cluster.at('new').told.filter((told) => told.type === 'list');
    expect(lists).toHaveLength(1);
    expect(lists[0]).toMatchObject({ info: { complete: false } });
    cluster.isLost = () => false;
    cluster.run(3000);
    expect(cluster.at('new').told.findLast((told) => told.type === 'list')).toMatchObject({
      users: ['ada', 'bob', 'carl'],
      info: { complete: true },
    });
  });

  it('14: a node that stands still costs a bounded wait and a list that says so', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'bob');
    cluster.run(500);
    cluster.at('b').paused = true;
    cluster.run(1000);
    cluster.join('a', 'ada');
    cluster.run(500);
    expect(cluster.at('a').told.find((told) => told.type === 'list')).toMatchObject({
      users: ['ada'],
      info: { complete: false },
    });
    cluster.at('b').paused = false;
    cluster.release();
    cluster.run(2000);
    expect(cluster.at('a').told.findLast((told) => told.type === 'list')).toMatchObject({
      users: ['ada', 'bob'],
      info: { complete: true },
    });
  });

  it('15: priming announces nobody who was there all along', () => {
    const cluster = CoreCluster.of('a');
    for (let i = 0; i < 20; i++) cluster.join('a', `u${i}`);
    cluster.run(500);
    cluster.start('b');
    cluster.join('b', 'watcher');
    cluster.run(4000);
    expect(cluster.online('b')).toHaveLength(21);
    const online = cluster.at('b').told.filter((told) => told.type === 'userOnline');
    expect(online).toEqual([{ type: 'userOnline', userId: 'watcher' }]);
  });

  it('18: one publication answers all who ask within a moment', () => {
    const cluster = CoreCluster.of('a');
    for (let i = 0; i < 100; i++) cluster.join('a', `u${i}`);
    cluster.run(65_000);
    const before = cluster.sent.length;
    for (let i = 0; i < 6; i++) cluster.join(cluster.start(`n${i}`).nodeId, `w${i}`);
    cluster.run(4000);
    for (let i = 0; i < 6; i++) expect(cluster.online(`n${i}`)).toHaveLength(106);
    const snapshots = cluster.sent
      .slice(before)
      .filter(({ from, message }) => from === 'a' && message.kind === 'snapshot');
    expect(snapshots.length).toBeLessThanOrEqual(4);
  });

  it('19: a node that flaps gets more time', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('a', 'ada');
    cluster.join('b', 'watcher');
    cluster.run(500);
    const silences: number[] = [];
    for (let i = 0; i < 4; i++) {
      cluster.isLost = ({ from }) => from === 'a';
      const from = cluster.now;
      const downs = (): number =>
        cluster.at('b').effects.filter((effect) => effect.kind === 'nodeDown').length;
      while (downs() === i && cluster.now - from < 30_000) cluster.run(50);
      silences.push(cluster.now - from);
      cluster.isLost = () => false;
      cluster.run(2000);
    }
    expect(silences[3]).toBeGreaterThan(1.5 * (silences[0] as number));
    expect(cluster.count('b', 'userOffline', 'ada')).toBe(0);
  });

  it('8: a device that came to the node that leaves lingers from there, wherever it lingered before', () => {
    const cluster = clusterThatLostAda();
    cluster.run(2500);
    // The node where it lingers learns late that it has come back.
    cluster.isLost = ({ from, to }, { message }) =>
      from === 'b' && to === 'a' && message.kind === 'delta';
    cluster.join('b', 'ada');
    cluster.run(100);
    cluster.isLost = () => false;
    cluster.run(1900);
    cluster.node('b').close(cluster.t);
    cluster.run(10);
    cluster.kill('b');
    // It was lost 4.5 s ago on the one node, and a moment ago on the other.
    expectToLinger(cluster);
    expect(cluster.node('a').gauges(cluster.now).waiting).toBe(0);
  });

  it('8: a device that waits for the first list of a node that leaves has come, and lingers', () => {
    const cluster = clusterThatLostAda();
    cluster.run(4500);
    // Nobody answers what the community's newcomer asks.
    cluster.isLost = ({ to }) => to === 'b';
    cluster.join('b', 'ada');
    cluster.run(200);
    expect(cluster.at('b').told).toEqual([]);
    cluster.node('b').close(cluster.t);
    cluster.run(10);
    cluster.kill('b');
    expectToLinger(cluster);
  });

  it('8: what changed last goes with the goodbye, which a delta might come after', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    cluster.join('a', 'ada');
    const eve = cluster.join('a', 'eve');
    cluster.run(500);
    cluster.isHeld = (_letter, { message }) => message.kind === 'delta';
    cluster.join('a', 'late');
    cluster.drop(eve, 'left');
    cluster.node('a').close(cluster.t);
    cluster.run(10);
    cluster.kill('a');
    cluster.run(1000);
    cluster.release();
    expect(cluster.online('b')).toEqual(['ada', 'late', 'watcher']);
    cluster.run(5000);
    expect(cluster.online('b')).toEqual(['watcher']);
  });

  it('8: a node that leaves in the middle of its snapshot leaves nothing half told', () => {
    const cluster = CoreCluster.of('a', 'c');
    cluster.join('c', 'watcher');
    for (let i = 0; i < 250; i++) cluster.join('a', `user-${i}`);
    // So long that the deltas are not kept any more.
    cluster.run(65_000);
    cluster.start('b');
    cluster.run(3000);
    const pieces: number[] = [];
    cluster.isLost = ({ from, to }, { message }) =>
      from === 'a' && to === 'b' && message.kind === 'snapshot' && pieces.push(message.part) > 1;
    const late = cluster.join('b', 'late');
    for (let i = 0; i < 200 && pieces.length < 2; i++) cluster.run(5);
    expect(pieces.length).toBeGreaterThan(1);
    cluster.node('a').close(cluster.t);
    cluster.run(10);
    cluster.kill('a');
    cluster.run(7000);
    for (const id of ['b', 'c']) expect(cluster.online(id)).toEqual(['late', 'watcher']);
    const lists = cluster.at('b').told.filter((told) => told.type === 'list' && told.to === late);
    expect(lists.at(-1)).toMatchObject({ users: ['late', 'watcher'], info: { complete: true } });
    expect(cluster.node('b').gauges(cluster.now).replicas).toBe(
      cluster.node('c').gauges(cluster.now).replicas,
    );
  });

  it('20: a device that moves is not missed where its new entry is late', () => {
    const cluster = CoreCluster.of('a', 'b', 'c');
    cluster.join('c', 'watcher');
    const old = cluster.join('a', 'ada', 'phone');
    cluster.run(500);
    cluster.isLost = ({ from, to }, { message }) =>
      from === 'b' && to === 'c' && message.kind === 'delta';
    cluster.drop(old);
    cluster.join('b', 'ada', 'phone');
    cluster.run(200);
    cluster.isLost = () => false;
    cluster.run(5000);
    expect(cluster.online('c')).toEqual(['ada', 'watcher']);
    expect(cluster.count('c', 'userOffline', 'ada')).toBe(0);
  });

  it('21: a half-open socket gives way to a newer connection of the same client, and to no other user', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    cluster.join('a', 'ada', 'phone', 'c', 1);
    cluster.join('a', 'eve', 'phone', 'c', 1);
    cluster.run(500);
    const newer = cluster.join('b', 'ada', 'phone', 'c', 2);
    cluster.run(500);
    expect(cluster.node('a').gauges(cluster.now).entriesOwned).toBe(1);
    cluster.drop(newer, 'left');
    cluster.run(500);
    for (const id of ['a', 'b']) expect(cluster.online(id)).toEqual(['eve', 'watcher']);
  });

  it('21: a device that comes and leaves within one flush has left where it is half open, too', () => {
    const cluster = CoreCluster.of('a', 'b', 'c');
    for (const id of ['a', 'b', 'c']) cluster.join(id, `w${id}`);
    cluster.join('a', 'ada', 'phone');
    const alive = cluster.join('a', 'bob', 'phone');
    cluster.join('a', 'eve', 'phone');
    cluster.run(500);
    // The first change opens the window in which the others come and go.
    cluster.join('b', 'first');
    cluster.run(5);
    const before = cluster.sent.length;
    for (const userId of ['ada', 'bob', 'new']) {
      cluster.drop(cluster.join('b', userId, 'phone'), 'left');
    }
    cluster.run(500);
    // Whoever is nowhere else leaves no trace.
    const said = cluster.sent.slice(before).map(({ data }) => data);
    expect(said.filter((data) => data.includes('"ada"'))).toHaveLength(1);
    expect(said.filter((data) => data.includes('"new"'))).toEqual([]);
    cluster.node('a').alive(alive, cluster.t);
    cluster.run(3000);
    for (const id of ['a', 'b', 'c']) {
      expect(cluster.online(id)).toEqual(['bob', 'eve', 'first', 'wa', 'wb', 'wc']);
      expect(cluster.count(id, 'userOffline', 'bob')).toBe(0);
    }
    expect(cluster.count('c', 'userOffline', 'ada')).toBe(1);
    expect(cluster.node('a').gauges(cluster.now).waiting).toBe(0);
  });

  it('22: after a stall the own sockets must show life, and who does not lingers away', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    const alive = cluster.join('a', 'ada');
    cluster.join('a', 'bob');
    cluster.run(500);
    cluster.at('a').paused = true;
    cluster.run(20_000);
    cluster.at('a').paused = false;
    cluster.release();
    cluster.run(100);
    const asked = cluster.at('a').effects.filter((effect) => effect.kind === 'prove');
    expect(
      asked.flatMap((effect) => (effect.kind === 'prove' ? effect.socketIds : [])),
    ).toHaveLength(2);
    cluster.node('a').alive(alive, cluster.t);
    cluster.run(16_000);
    for (const id of ['a', 'b']) expect(cluster.online(id)).toEqual(['ada', 'watcher']);
  });

  it('24: more deltas than may wait are a gap like any other', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    const socket = cluster.join('a', 'ada');
    cluster.run(500);
    let first = true;
    cluster.isLost = ({ to }, { message }) => {
      if (to !== 'b' || message.kind !== 'delta')
        return message.kind === 'pull' || message.kind === 'beat';
      const lose = first;
      first = false;
      return lose;
    };
    for (let i = 0; i < 100; i++) {
      cluster.node('a').update(socket, { meta: { i } }, cluster.t);
      cluster.run(40);
      expect(cluster.node('b').gauges(cluster.now).bufferedDeltas).toBeLessThanOrEqual(32);
    }
    expect(cluster.node('b').stats.deltasDropped).toBeGreaterThan(0);
    cluster.isLost = () => false;
    // By then the pulls have waited for one another.
    cluster.run(10_000);
    const ada = cluster
      .node('b')
      .onlineUsers('c')
      .find((user) => user.userId === 'ada');
    expect(ada?.devices[0]?.meta).toEqual({ i: 99 });
  });

  it.each(['dies', 'leaves'])(
    'an invisible user who goes is not seen again on a device whose node %s',
    (how) => {
      const cluster = CoreCluster.of('a', 'b', 'c');
      cluster.join('c', 'watcher');
      cluster.run(500);
      cluster.join('b', 'ada', 'laptop');
      const phone = cluster.join('a', 'ada', 'phone');
      cluster.run(500);
      if (how === 'dies') cluster.kill('b');
      else cluster.node('b').close(cluster.t);
      cluster.run(200);
      cluster.node('a').update(phone, { status: 'invisible' }, cluster.t);
      cluster.run(200);
      cluster.drop(phone, 'left');
      cluster.run(30_000);
      expect(cluster.online('c')).toEqual(['watcher']);
      expect(cluster.count('c', 'userOnline', 'ada')).toBe(1);
      expect(cluster.count('c', 'userOffline', 'ada')).toBe(1);
      expect(cluster.node('a').gauges(cluster.now)).toMatchObject({ entriesOwned: 0, waiting: 0 });
    },
  );

  it('a device that learns in one community that its user is invisible is so in the others, too', () => {
    const cluster = CoreCluster.of('a', 'b');
    // What is said of both is known on both before she comes.
    for (const id of ['a', 'b']) {
      for (const communityId of ['c', 'other']) cluster.join(id, `on ${id}`, 'd', communityId);
    }
    const phone = cluster.join('b', 'ada', 'phone', 'other');
    cluster.run(500);
    cluster.node('b').update(phone, { status: 'invisible' }, cluster.t);
    cluster.run(500);
    const laptop = cluster.join('a', 'ada', 'laptop', 'c');
    cluster.node('a').join(laptop, 'other', cluster.t);
    cluster.run(500);
    for (const id of ['a', 'b']) {
      expect(cluster.online(id, 'c')).not.toContain('ada');
      expect(cluster.online(id, 'other')).not.toContain('ada');
    }
    cluster.node('b').update(phone, { status: 'active' }, cluster.t);
    cluster.run(500);
    for (const id of ['a', 'b']) expect(cluster.online(id, 'c')).toContain('ada');
  });

  it('who was made visible again by another device stays so when the first one joins a community', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('b', 'watcher');
    const phone = cluster.join('a', 'ada', 'phone');
    cluster.run(500);
    cluster.node('a').update(phone, { status: 'invisible' }, cluster.t);
    const laptop = cluster.join('a', 'ada', 'laptop');
    cluster.run(500);
    expect(cluster.online('b')).toEqual(['watcher']);
    cluster.node('a').update(laptop, { status: 'busy' }, cluster.t);
    cluster.run(500);
    expect(cluster.online('b')).toEqual(['ada', 'watcher']);
    cluster.node('a').join(phone, 'other', cluster.t);
    cluster.run(500);
    expect(cluster.online('b')).toEqual(['ada', 'watcher']);
    expect(cluster.online('a', 'other')).toEqual(['ada']);
  });

  it('the application hears of who dies with the one node of a community, where it hears of every community', () => {
    const cluster = new CoreCluster();
    for (const id of ['a', 'b']) cluster.start(id, { interest: 'all' });
    cluster.run(2000);
    cluster.join('a', 'ada');
    cluster.run(500);
    cluster.kill('a');
    cluster.run(20_000);
    expect(cluster.count('b', 'userOnline', 'ada')).toBe(1);
    expect(cluster.count('b', 'userOffline', 'ada')).toBe(1);
  });
});
