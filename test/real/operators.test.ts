import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest';
import type { Eviction, UserExplanation } from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

/** What operators do from outside: ask why somebody is online, and end users. */

const KEY = { headers: { Authorization: 'Bearer the-key' } };
const STRATEGIES = ['replicated', 'on-demand', 'dual-write', 'redis'] as const;

describe.runIf(hasRedis)('explain and evict', () => {
  let redis: TestRedis;
  let nodes: ServeProcess[] = [];
  let clients: TestClient[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis?.stop());
  afterEach(async () => {
    for (const client of clients) client.close();
    await Promise.all(nodes.map((node) => node.stop()));
    clients = [];
    nodes = [];
    // What the dead nodes had in Redis would be there until their leases end.
    await redis.command('FLUSHALL');
  });

  /** Two nodes; a linger so long that only an eviction can end somebody within a test. */
  async function start(strategy: string, args: readonly string[] = []): Promise<ServeProcess[]> {
    const common = ['--redis', redis.url, '--strategy', strategy, '--linger-ms', '60000', ...args];
    nodes = await Promise.all(
      ['one', 'two'].map((name) => ServeProcess.start([...common, '--name', name])),
    );
    await waitFor(async () => {
      const lists = await Promise.all(nodes.map((node) => node.get('/api/nodes', KEY)));
      return lists.every(({ body }) => (body['nodes'] as object[]).length === 2);
    }, 'the nodes to know each other');
    return nodes;
  }
  async function join(
    node: ServeProcess | undefined,
    userId: string,
    more: Record<string, unknown> = {},
  ): Promise<TestClient> {
    const auth = { userId, deviceId: `${userId}-1`, communities: ['c'], ...more };
    const client = await TestClient.join(node?.url as string, auth);
    clients.push(client);
    return client;
  }
  async function explain(node: ServeProcess | undefined, userId: string): Promise<UserExplanation> {
    const { status, body } = await (node as ServeProcess).get(`/api/users/${userId}/explain`);
    expect(status).toBe(200);
    return body as unknown as UserExplanation;
  }
  async function evict(node: ServeProcess | undefined, path: string): Promise<Eviction> {
    const { status, body } = await (node as ServeProcess).get(`/api/users/${path}`, {
      method: 'DELETE',
    });
    expect(status).toBe(200);
    return body as unknown as Eviction;
  }
  const disconnected = (client: TestClient): Promise<string> =>
    new Promise((resolve) => client.socket.once('disconnect', resolve));

  it.each(STRATEGIES)('under %s, says what holds somebody and ends it everywhere', async (name) => {
    const [one, two] = await start(name);
    const zoe = await join(two, 'zoe');
    const laptop = await join(one, 'ada', { deviceId: 'laptop', communities: ['c', 'd'] });
    const phone = await join(two, 'ada', { deviceId: 'phone' });
    await zoe.sees('c', ['ada', 'zoe']);

    const before = await explain(two, 'ada');
    expect(before).toMatchObject({ userId: 'ada', complete: true });
    expect(before.nodes.map(({ hasAnswered }) => hasAnswered)).toEqual([true, true]);
    const own = before.devices.filter(({ source }) => source === 'owner');
    expect(own).toMatchObject([
      { communityId: 'c', deviceId: 'laptop', nodeName: 'one', nodeState: 'alive', isSeen: true },
      { communityId: 'c', deviceId: 'phone', nodeName: 'two', nodeState: 'self', isSeen: true },
      { communityId: 'd', deviceId: 'laptop', nodeName: 'one', nodeState: 'alive', isSeen: true },
    ]);
    for (const { sockets, provenMs, lingerLeftMs } of own) {
      expect([sockets, lingerLeftMs]).toEqual([1, null]);
      expect(provenMs).toBeLessThan(60_000);
    }

    // A ghost: its connection broke, its node holds it for a minute.
    phone.socket.io.reconnection(false);
    phone.drop();
    await waitFor(async () => {
      const ghost = (await explain(one, 'ada')).devices.find(
        ({ deviceId }) => deviceId === 'phone',
      );
      return ghost?.sockets === 0 && (ghost.lingerLeftMs ?? 0) > 30_000 ? ghost : undefined;
    }, 'the phone to linger');
    const ended = await evict(one, 'ada?deviceId=phone');
    expect(ended).toMatchObject({
      complete: true,
      sockets: 0,
      devices: [{ communityId: 'c', deviceId: 'phone', nodeId: two?.nodeId }],
    });
    await waitFor(
      () => zoe.model.rosters.get('c')?.get('ada')?.devices.length === 1,
      'the ghost of the phone to go',
    );

    const gone = disconnected(laptop);
    expect(await evict(two, 'ada?reason=spam')).toMatchObject({ complete: true, sockets: 1 });
    expect(await gone).toBe('io server disconnect');
    await zoe.sees('c', ['zoe']);
    expect(zoe.model.told.at(-1)).toMatchObject({ event: 'userOffline', userId: 'ada' });
    expect((await explain(one, 'ada')).devices).toEqual([]);
    expect(one?.log.some((line) => line['event'] === 'evicted' && line['reason'] === 'spam')).toBe(
      true,
    );
    expect(zoe.violations).toEqual([]);
    // Nobody is banned: whoever is let in again is there again.
    await join(one, 'ada', { deviceId: 'laptop' });
    await zoe.sees('c', ['ada', 'zoe']);
  });

  it('takes a community from somebody whose sockets stay', async () => {
    const [one, two] = await start('replicated');
    const zoe = await join(two, 'zoe', { communities: ['c', 'd'] });
    const ada = await join(one, 'ada', { communities: ['c', 'd'] });
    await zoe.sees('c', ['ada', 'zoe']);
    await zoe.sees('d', ['ada', 'zoe']);
    expect(await evict(two, 'ada?communityId=c')).toMatchObject({ complete: true, sockets: 1 });
    await zoe.sees('c', ['zoe']);
    expect(ada.socket.connected).toBe(true);
    // Nothing more of the community reaches the socket, and of the other everything does.
    const heard: unknown[] = [];
    ada.socket.on('userUpdated', (event: { communityId: string }) => heard.push(event.communityId));
    await zoe.send('presenceUpdate', { status: 'busy' });
    await waitFor(() => heard.includes('d'), 'news of d');
    expect(heard).toEqual(['d']);
    expect(zoe.model.present('d')).toEqual(['ada', 'zoe']);
  });

  it('shows operators who is invisible, and what a node that hangs holds', async () => {
    const [one, two] = await start('replicated', [
      '--heartbeat-ms',
      '200',
      '--down-after-ms',
      '60000',
    ]);
    const ada = await join(two, 'ada');
    const zoe = await join(one, 'zoe');
    await ada.send('presenceUpdate', { status: 'invisible' });
    await waitFor(
      async () => (await explain(one, 'ada')).devices[0]?.isHidden,
      'the invisible user to be explained',
    );
    await zoe.sees('c', ['zoe']);
    const hidden = (await explain(one, 'ada')).devices[0];
    expect(hidden).toMatchObject({ status: 'invisible', isSeen: false, counts: true });
    expect(await one?.get('/api/users/ada')).toMatchObject({ status: 404 });
    await ada.send('presenceUpdate', { status: 'active' });
    await waitFor(
      async () => (await explain(one, 'ada')).devices[0]?.isSeen,
      'the user to be back',
    );
    // The owner said so; what stands still then is known here only if it has told it.
    await zoe.sees('c', ['ada', 'zoe']);
    two?.signal('SIGSTOP');
    const silent = await waitFor(async () => {
      const answer = await explain(one, 'ada');
      return answer.devices[0]?.nodeState === 'suspect' ? answer : undefined;
    }, 'the node to be suspected');
    expect(silent.complete).toBe(false);
    expect(silent.devices[0]).toMatchObject({ source: 'copy', nodeId: two?.nodeId, isSeen: true });
    expect(silent.devices[0]?.endsWhen).toMatch(/silent for/);
    expect(await evict(one, 'ada')).toMatchObject({
      complete: false,
      silentNodes: [two?.nodeId],
      devices: [],
    });
    await waitFor(
      async () => ((await one?.metric('rollcall_oldest_proof_seconds')) ?? 0) > 1,
      'the last proof of life to be old',
    );
    // The message waited in Redis' connection: the node obeys when it goes on.
    const gone = disconnected(ada);
    two?.signal('SIGCONT');
    expect(await gone).toBe('io server disconnect');
    await waitFor(async () => (await explain(one, 'ada')).devices.length === 0, 'the user to go');
  });

  it('has both as commands', async () => {
    const [one, two] = await start('replicated', ['--api-key', 'the-key']);
    await join(one, 'ada', { deviceId: 'laptop' });
    const run = async (...args: string[]): Promise<{ code: number | null; said: string }> => {
      const command = ServeProcess.spawn([...args, '--url', two?.url as string]);
      const code = await command.process.exited();
      return { code, said: command.process.stdout + command.process.stderr };
    };
    const key = ['--api-key', 'the-key'];
    const why = await run('explain', 'ada', ...key);
    expect(why.said).toMatch(/^ada is online in c\.\n/);
    expect(why.said).toMatch(/device laptop in c: seen by others\n {2}node {7}one \(.*, alive\)/);
    expect(why.said).toMatch(/sockets {4}1, last sign of life \d+\.\d s ago/);
    expect(why.code).toBe(0);
    const done = await run('evict', 'ada', '--device', 'laptop', '--reason', 'spam', ...key);
    expect(done).toEqual({
      code: 0,
      said: `ended: device laptop in c, on node ${one?.nodeId}\n1 socket disconnected\n`,
    });
    expect((await run('explain', 'ada', ...key)).said).toBe('ada is not online to others.\n');
    expect((await run('evict', 'ada', ...key)).said).toBe('nothing of ada was there\n');
    const refused = await run('explain', 'ada');
    expect(refused.said).toMatch(/^rollcall: the node at \S+ needs --api-key\n$/);
    expect(refused.code).toBe(1);
    expect((await run('evict', 'ada', '--api-key', 'other')).said).toMatch(/does not accept/);
  });
});

describe.runIf(hasRedis)('rollcall top', () => {
  it('shows every node and how the others see it, also those that hang, and goes on', async () => {
    const redis = await TestRedis.start();
    const args = ['--redis', redis.url, '--heartbeat-ms', '200', '--down-after-ms', '60000'];
    const nodes = await Promise.all(
      ['one', 'two'].map((name) => ServeProcess.start([...args, '--name', name])),
    );
    const [one, two] = nodes;
    const ada = await TestClient.join(two?.url as string, { userId: 'ada', communities: ['c'] });
    const url = ['--url', one?.url as string];
    const once = async (): Promise<string> => {
      const command = ServeProcess.spawn(['top', '--once', ...url]);
      expect(await command.process.exited()).toBe(0);
      return command.process.stdout;
    };
    try {
      await waitFor(
        async () => /^two +ready +1 +\d+ +1 .* alive, heard 0\.\d s ago$/m.test(await once()),
        'both nodes to be shown',
      );
      const text = await once();
      expect(text).toMatch(/^2 nodes, 1 socket, 1 device, all nodes answer$/m);
      // Not a terminal: plain text.
      expect(text).not.toContain('\u001b');
      const running = ServeProcess.spawn(['top', '--interval-ms', '200', ...url]);
      await waitFor(
        () => running.process.stdout.split('NODE ').length > 3,
        () => `several rounds; there is ${running.process.stdout}`,
      );
      expect(running.process.stdout).toMatch(/^one +ready +0 +\d+ +0 +0\.0 +\d+\.\d /m);
      two?.signal('SIGSTOP');
      await waitFor(
        () => /^two +no answer +suspect, heard/m.test(running.process.stdout),
        () => `the node that hangs; there is ${running.process.stdout.slice(-800)}`,
      );
      await one?.stop();
      await waitFor(
        () => running.process.stdout.includes('no node of rollcall can be reached'),
        'the view to say that it lost its node',
      );
      expect(running.process.hasExited).toBe(false);
      await running.stop();
      const late = ServeProcess.spawn(['top', ...url]);
      expect(await late.process.exited()).toBe(1);
      expect(late.process.stderr).toMatch(
        /^rollcall: no node of rollcall can be reached at [^\n]+\n$/,
      );
    } finally {
      ada.close();
      await Promise.all(nodes.map((node) => node.stop()));
      await redis.stop();
    }
  });

  it('does not say that all nodes answer while it shows one that is dead', async () => {
    const redis = await TestRedis.start();
    const args = ['--redis', redis.url, '--heartbeat-ms', '200', '--down-after-ms', '1000'];
    const [one, two] = [
      await ServeProcess.start([...args, '--name', 'one']),
      await ServeProcess.start([...args, '--name', 'two']),
    ];
    const command = ServeProcess.spawn(['top', '--interval-ms', '200', '--url', one.url]);
    const last = (): string => command.process.stdout.split('rollcall at ').at(-2) ?? '';
    try {
      await waitFor(() => last().includes('2 nodes, 0 sockets, 0 devices, all nodes'), 'both');
      await two.stop();
      await waitFor(() => /^two +no answer +down, heard/m.test(last()), 'the dead one');
      expect(last()).toMatch(/^2 nodes, 0 sockets, 0 devices, NOT EVERY NODE ANSWERS$/m);
    } finally {
      await Promise.all([one, two, command].map((each) => each.stop()));
      await redis.stop();
    }
  });
});

describe('the HTTP API for operators', () => {
  let node: ServeProcess;
  beforeAll(async () => {
    node = await ServeProcess.start();
  });
  afterAll(() => node.stop());

  it.each([
    ['ada?device=x', 400, 'INVALID_ARGUMENT'],
    ['ada?deviceId=x&deviceId=y', 400, 'INVALID_ARGUMENT'],
    ['ada?communityId=', 400, 'INVALID_ARGUMENT'],
    ['%00', 400, 'INVALID_ARGUMENT'],
    [`ada?reason=${'x'.repeat(201)}`, 400, 'INVALID_ARGUMENT'],
    ['ada?reason=a%0Ab', 400, 'INVALID_ARGUMENT'],
  ])('refuses to delete %s with %i %s', async (path, status, code) => {
    const answer = await node.get(`/api/users/${path}`, { method: 'DELETE' });
    expect(answer).toMatchObject({ status, body: { error: { code } } });
  });

  it('takes no change from a web page where no key is needed', async () => {
    const from = { Origin: 'http://127.0.0.1:1' };
    const answer = await node.get('/api/users/ada', { method: 'DELETE', headers: from });
    expect(answer).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } });
    expect((await node.get('/api/users/ada', { method: 'DELETE' })).status).toBe(200);
  });
});

describe('presence.revoke', () => {
  const joining = { userId: 'ada', communities: ['c', 'd'] };

  it('leaves what identify said behind: only a new connection may come back by it', async () => {
    const application = await Application.start();
    const { io, url } = application;
    const presence = application.present({ authorize: undefined } as object, io);
    const ada = await TestClient.join(url, joining);
    expect(await presence.revoke('ada', 'c')).toMatchObject({ complete: true, sockets: 1 });
    expect(presence.onlineUsers('c')).toEqual([]);
    for (const event of ['joinCommunity', 'presenceSync']) {
      expect(await ada.send(event, 'c')).toMatchObject({ error: { code: 'NOT_AUTHORIZED' } });
    }
    expect(await ada.send('joinCommunity', 'd')).toMatchObject({ ok: true });
    ada.close();
    const again = await TestClient.join(url, joining);
    await again.sees('c', ['ada']);
    again.close();
    await application.stop();
  });

  it('does not let in whom an earlier answer of authorize would have let in', async () => {
    const application = await Application.start();
    let isMember = true;
    const answers: (() => void)[] = [];
    const presence = application.present({
      identify: () => ({ userId: 'ada' }),
      authorize: () => {
        const may = isMember;
        return new Promise((resolve) => answers.push(() => resolve(may)));
      },
    });
    const ada = await TestClient.join(application.url, { userId: 'ada', communities: [] });
    const joined = ada.send('joinCommunity', 'c');
    await waitFor(() => answers.length === 1, 'authorize to be asked');
    isMember = false;
    await presence.revoke('ada', 'c');
    answers[0]?.();
    await waitFor(() => answers.length === 2, 'authorize to be asked again');
    answers[1]?.();
    expect(await joined).toMatchObject({ ok: false, error: { code: 'NOT_AUTHORIZED' } });
    expect(presence.onlineUsers('c')).toEqual([]);
    ada.close();
    await application.stop();
  });
});
