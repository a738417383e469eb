import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { onDemand } from 'rollcall';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { Relay } from '../../support/relay.js';
import type { ServeProcess } from '../../support/serve.js';
import { waitFor } from '../../support/wait.js';
import { HandRolled } from './hand-rolled.js';
import { ServeCluster } from './serve-cluster.js';

describe.runIf(hasRedis)('the roll call', () => {
  let redis: TestRedis;
  let stranger: HandRolled;
  const clusters: ServeCluster[] = [];

  async function nodes(count: number, strategy: string): Promise<ServeProcess[]> {
    const cluster = await ServeCluster.start(count, [
      ...(strategy === 'replicated' ? [] : ['--strategy', strategy]),
      '--redis',
      redis.url,
    ]);
    clusters.push(cluster);
    return cluster.nodes;
  }

  async function stopNodes(): Promise<void> {
    await Promise.all(clusters.splice(0).map((cluster) => cluster.stop()));
  }

  const join = (node: ServeProcess, userId: string, communityId: string) =>
    clusters[0]!.join(node, { userId, deviceId: `${userId}-1`, communityId });

  beforeAll(async () => {
    redis = await TestRedis.start();
    stranger = await HandRolled.start(redis.url);
  });
  afterAll(async () => {
    await stopNodes();
    await stranger.stop();
    await redis.stop();
  });

  it('is answered under every strategy, to a server without rollcall too', async () => {
    const strategies = ['replicated', 'on-demand', 'dual-write', 'redis'];
    const started = (await Promise.all(strategies.map((each) => nodes(1, each)))).flat();
    const clients = await Promise.all(started.map((node, i) => join(node, `u${i}`, 'c')));
    for (const communityId of ['c', undefined]) {
      const answers = (await stranger.ask(communityId)) as { userId: string }[][];
      const users = answers.flat().map(({ userId }) => userId);
      expect(answers).toHaveLength(4);
      expect(users.sort()).toEqual(['u0', 'u1', 'u2', 'u3']);
    }
    expect(await stranger.ask('empty')).toEqual([[], [], [], []]);
    for (const client of clients) client.close();
    await stopNodes();
  });

  it('is answered over a connection that is lost then, and the process goes on', async () => {
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown): void => void rejections.push(reason);
    process.on('unhandledRejection', onRejection);
    const relay = await Relay.start(redis.port);
    const publisher = createClient({ url: relay.url });
    const subscriber = createClient({ url: redis.url });
    for (const client of [publisher, subscriber]) {
      client.on('error', () => {});
      await client.connect();
    }
    const adapter = createAdapter(publisher, subscriber, { key: 'rollcall' });
    const application = await Application.start({ adapter });
    try {
      const presence = application.present({ strategy: onDemand() });
      await presence.ready();
      const [asking] = (await nodes(1, 'on-demand')) as [ServeProcess];
      const client = await join(asking, 'asks', 'lost');
      let heard = 0;
      application.io.on('getAllPresence', () => void heard++);
      relay.hold('up');
      // One of rollcall's own, and one of a server without it.
      void client.send('presenceSync', 'other');
      const other = await join(asking, 'asks-too', 'other');
      void stranger.ask('lost').catch(() => {});
      await waitFor(() => heard >= 2, 'both roll calls');
      relay.cut();
      relay.heal();
      await waitFor(() => publisher.isReady, 'the connection to be there again');
      expect(await stranger.ask('lost')).toHaveLength(2);
      expect(rejections).toEqual([]);
      for (const each of [client, other]) each.close();
    } finally {
      process.off('unhandledRejection', onRejection);
      await application.stop();
      await Promise.all([publisher, subscriber].map((client) => client.close()));
      await relay.stop();
      await stopNodes();
    }
  });

  it('is shared by those who connect at once', async () => {
    const [a, b] = (await nodes(2, 'on-demand')) as [ServeProcess, ServeProcess];
    await join(b, 'first', 'shared');
    const before = stranger.calls;
    const crowd = await Promise.all(
      Array.from({ length: 50 }, (_, i) => join(a, `u${i}`, 'shared')),
    );
    for (const { model } of crowd) expect(model.present('shared')).toContain('first');
    // Fifty connects: one call, and few more where connecting took longer than a call is kept.
    expect(stranger.calls - before).toBeLessThan(10);
    expect(stranger.calls - before).toBeGreaterThan(0);
    await stopNodes();
  });

  it('waits for a hung node no longer than its time-out, says so, and mends the list', async () => {
    const [a, b] = (await nodes(2, 'on-demand')) as [ServeProcess, ServeProcess];
    await join(b, 'hung', 'slow');
    b.signal('SIGSTOP');
    const before = performance.now();
    const client = await join(a, 'waits', 'slow');
    expect(performance.now() - before).toBeLessThan(2000);
    expect(client.model.present('slow')).toEqual(['waits']);
    expect(client.model.infos.get('slow')?.complete).toBe(false);
    expect(await a.metric('rollcall_incomplete_lists_sent_total')).toBeGreaterThan(0);
    expect(a.process.stderr).toContain('"event":"roll-call-incomplete"');
    b.signal('SIGCONT');
    await client.sees('slow', ['hung', 'waits']);
    await waitFor(() => client.model.infos.get('slow')?.complete === true, 'a complete list');
    expect(client.violations).toEqual([]);
    await stopNodes();
  });

  it('says of a hung node once that it does not answer, and not for each community', async () => {
    const [a, b] = (await nodes(2, 'on-demand')) as [ServeProcess, ServeProcess];
    b.signal('SIGSTOP');
    const communities = Array.from({ length: 20 }, (_, i) => `silent${i}`);
    const client = await TestClient.join(a.url, { userId: 'u', deviceId: 'd', communities });
    for (const id of communities) expect(client.model.infos.get(id)?.complete).toBe(false);
    const said = a.log.filter(({ event }) => event === 'roll-call-incomplete');
    expect(said).toMatchObject([{ missing: [b.nodeId] }]);
    client.close();
    await stopNodes();
  });

  it('starts everybody over with a new list when a node was lost', async () => {
    const [a, b] = (await nodes(2, 'on-demand')) as [ServeProcess, ServeProcess];
    const watcher = await join(a, 'watcher', 'lost');
    const lost = await join(b, 'lost', 'lost');
    await watcher.sees('lost', ['lost', 'watcher']);
    const lists = watcher.model.count('globalPresenceSync');
    await b.stop('SIGKILL');
    lost.close();
    await watcher.sees('lost', ['watcher']);
    await waitFor(() => watcher.model.count('globalPresenceSync') > lists, 'a new list');
    expect(watcher.model.present('lost')).toEqual(['watcher']);
    expect(watcher.violations).toEqual([]);
    await stopNodes();
  });
});
