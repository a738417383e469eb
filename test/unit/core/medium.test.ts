import { describe, expect, it } from 'vitest';
import type { Effect } from 'rollcall/core';
import { CoreCluster } from '../../support/core-cluster.js';

/** What a medium may tell the core beyond messages, and where messages are for. */

type Sent = Extract<Effect, { kind: 'send' }>;

function sends(cluster: CoreCluster, nodeId: string, kind: string): Sent[] {
  return cluster
    .at(nodeId)
    .effects.filter(
      (effect): effect is Sent =>
        effect.kind === 'send' &&
        effect.data.startsWith('{') &&
        effect.data.includes(`"k":"${kind}"`),
    );
}

describe('a medium that sees a process end', () => {
  it('makes the node down at once, and its users linger', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('a', 'watcher');
    cluster.join('b', 'lost');
    cluster.run(1000);
    cluster.kill('b');
    cluster.run(600);
    cluster.node('a').gone('b', 500, cluster.t);
    expect(cluster.node('a').nodes(cluster.now)[1]?.state).toBe('down');
    cluster.run(4900);
    expect(cluster.online('a')).toEqual(['lost', 'watcher']);
    cluster.run(400);
    expect(cluster.online('a')).toEqual(['watcher']);
    expect(cluster.at('a').told.at(-1)).toMatchObject({ userId: 'lost', reason: 'node-down' });
  });

  it('is not believed of a node that was heard in that time', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.run(1000);
    // The last beat is less old than this.
    cluster.node('a').gone('b', 1300, cluster.t);
    expect(cluster.node('a').nodes(cluster.now)[1]?.state).toBe('alive');
  });

  it('is not believed while this node is cut off, nor just after it stood still', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.kill('b');
    cluster.isReachable = false;
    cluster.run(8000);
    expect(cluster.node('a').isDegraded).toBe(true);
    cluster.node('a').gone('b', 500, cluster.t);
    expect(cluster.node('a').nodes(cluster.now)[1]?.state).toBe('suspect');

    const other = CoreCluster.of('a', 'b');
    other.at('a').paused = true;
    other.run(3000);
    other.at('a').paused = false;
    other.run(5);
    other.node('a').gone('b', 500, other.t);
    expect(other.node('a').nodes(other.now)[1]?.state).not.toBe('down');
  });

  it('loses nothing where the node is heard after all', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('a', 'watcher');
    cluster.join('b', 'back');
    cluster.run(1000);
    cluster.at('b').paused = true;
    cluster.run(1500);
    cluster.node('a').gone('b', 500, cluster.t);
    cluster.at('b').paused = false;
    cluster.run(8000);
    expect(cluster.online('a')).toEqual(['back', 'watcher']);
    expect(cluster.count('a', 'userOffline', 'back')).toBe(0);
    expect(cluster.count('a', 'userOnline', 'back')).toBe(1);
  });
});

describe('a medium that was away for a moment', () => {
  it('makes the node ask at once for what it missed, and say where it stands', () => {
    const cluster = CoreCluster.of('a', 'b');
    cluster.join('a', 'first');
    cluster.join('b', 'second');
    cluster.run(3000);
    cluster.isLost = () => true;
    cluster.join('a', 'third');
    cluster.join('b', 'fourth');
    cluster.run(100);
    // Heartbeats alone would take up to a second, and the grace of the gap.
    cluster.isLost = (_letter, { message }) =>
      message.kind === 'beat' && !message.full && message.answers.length === 0;
    cluster.node('a').returned(cluster.t);
    cluster.run(400);
    expect(cluster.online('a')).toEqual(['first', 'fourth', 'second', 'third']);
    expect(cluster.online('b')).toEqual(['first', 'fourth', 'second', 'third']);
  });
});

describe('a medium that delivers by address', () => {
  it('gets the deltas of each shard apart, and answers for the asker alone', () => {
    const cluster = new CoreCluster();
    cluster.start('a', { isRouted: true, log: { deltas: 1 } });
    cluster.run(3000);
    const communities = ['c', 'd', 'e', 'f', 'g', 'h'];
    for (const communityId of communities) cluster.join('a', 'alice', 'd', communityId);
    cluster.run(500);
    for (const communityId of communities) cluster.join('a', 'alex', 'd', communityId);
    cluster.run(500);
    const shards = sends(cluster, 'a', 'delta').map(({ route }) => route);
    expect(new Set(shards.map((route) => JSON.stringify(route))).size).toBeGreaterThan(1);
    for (const route of shards) expect(route).toEqual({ shard: expect.any(Number) });
    for (const { route } of sends(cluster, 'a', 'beat')) expect(route).toBe('all');

    cluster.start('b', { isRouted: true });
    cluster.join('b', 'bob');
    cluster.run(3000);
    expect(cluster.online('b')).toEqual(['alex', 'alice', 'bob']);
    const snapshots = sends(cluster, 'a', 'snapshot');
    expect(snapshots.length).toBeGreaterThan(0);
    for (const { route } of snapshots) expect(route).toEqual({ nodeId: 'b' });
    for (const { asks } of sends(cluster, 'b', 'pull')) expect(asks).toBe(true);
    const interest = cluster.at('b').effects.findIndex(({ kind }) => kind === 'interest');
    const firstPull = cluster
      .at('b')
      .effects.findIndex((effect) => effect.kind === 'send' && effect.data.includes('"k":"pull"'));
    expect(interest).toBeLessThan(firstPull);
  });

  it('sends what several ask for at once to all that take part in the shard', () => {
    const cluster = new CoreCluster();
    cluster.start('a', { isRouted: true, log: { deltas: 1 } });
    cluster.run(3000);
    for (const userId of ['u', 'v', 'w']) {
      cluster.join('a', userId);
      cluster.run(100);
    }
    for (const nodeId of ['b', 'c']) {
      cluster.start(nodeId, { isRouted: true });
      cluster.join(nodeId, `on-${nodeId}`);
    }
    cluster.run(3000);
    for (const nodeId of ['b', 'c']) expect(cluster.online(nodeId)).toHaveLength(5);
    const routes = sends(cluster, 'a', 'snapshot').map(({ route }) => route);
    expect(routes).toContainEqual({ shard: expect.any(Number) });
  });
});
