import { SignJWT } from 'jose';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  createPresenceClient,
  createPresenceDevice,
  type CommunitySnapshot,
  type PresenceClient,
} from 'rollcall/client';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { freePort } from '../../support/ports.js';
import { ServeProcess } from '../../support/serve.js';
import { waitFor } from '../../support/wait.js';

const QUICK = ['--heartbeat-ms', '200', '--down-after-ms', '1000', '--linger-ms', '1000'];

/** A client as an application makes one, and every snapshot that its community had. */
class Person {
  readonly device = createPresenceDevice();
  readonly socket: Socket;
  readonly client: PresenceClient;
  readonly seen: CommunitySnapshot[] = [];

  constructor(url: string, auth: () => object) {
    this.socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 200,
      auth: this.device.auth(auth),
    });
    this.client = createPresenceClient(this.socket, { device: this.device, leaveAfterMs: 100 });
    people.push(this);
  }

  watch(communityId = 'team'): () => void {
    const store = this.client.community(communityId);
    return store.subscribe(() => this.seen.push(store.getSnapshot()));
  }

  get team(): CommunitySnapshot {
    return this.client.community('team').getSnapshot();
  }

  get userIds(): string {
    return this.team.users
      .map(({ userId }) => userId)
      .sort()
      .join(' ');
  }

  sees(userIds: string): Promise<unknown> {
    return waitFor(
      () => this.team.state === 'live' && this.team.complete && this.userIds === userIds,
      () => `${userIds}; seen: ${JSON.stringify(this.team)}`,
    );
  }

  is(state: string): Promise<unknown> {
    return waitFor(
      () => this.team.state === state,
      () => `${state}; it is ${this.team.state}`,
    );
  }

  close(): void {
    this.client.close();
    this.socket.disconnect();
  }
}

const people: Person[] = [];
const nodes: ServeProcess[] = [];
afterEach(async () => {
  for (const person of people.splice(0)) person.close();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

function join(url: string, userId: string, communities: string[] = []): Person {
  const person = new Person(url, () => ({ userId, communities, info: { name: userId } }));
  person.watch();
  return person;
}

describe.runIf(hasRedis)('over two nodes', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis?.stop());

  async function node(args: readonly string[] = []): Promise<ServeProcess> {
    const started = await ServeProcess.start(['--redis', redis.url, ...QUICK, ...args]);
    nodes.push(started);
    return started;
  }

  it('follows the others, keeps the list over a lost connection, and catches up', async () => {
    const [a, b] = [await node(), await node()];
    const ada = join(a.url, 'ada');
    const ben = join(b.url, 'ben');
    await Promise.all([ada.sees('ada ben'), ben.sees('ada ben')]);
    expect(ada.client.getSnapshot()).toMatchObject({ state: 'live', self: { userId: 'ada' } });
    ada.seen.length = 0;
    ada.socket.io.engine.close();
    await ada.is('stale');
    expect(ada.userIds).toBe('ada ben');
    expect(ada.client.getSnapshot().state).toBe('stale');
    await ada.sees('ada ben');
    // Ben was shown throughout, and heard nothing of it.
    expect(ada.seen.every(({ users }) => users.some(({ userId }) => userId === 'ben'))).toBe(true);
    expect(ben.seen.every(({ users }) => users.some(({ userId }) => userId === 'ben'))).toBe(true);
    expect(ben.team.users.find(({ userId }) => userId === 'ada')?.devices).toHaveLength(1);
  });

  it('survives the death of its node, whose successor knows only half at first', async () => {
    const port = await freePort();
    const [a, b] = [await node(), await node(['--port', String(port)])];
    const ada = join(a.url, 'ada');
    const ben = join(b.url, 'ben');
    await ben.sees('ada ben');
    ben.seen.length = 0;
    await b.stop('SIGKILL');
    await ben.is('stale');
    expect(ben.team.staleSince).toBeGreaterThan(0);
    await ada.sees('ada');
    await node(['--port', String(port)]);
    await Promise.all([ada.sees('ada ben'), ben.sees('ada ben')]);
    // At no time did Ben’s own list lose anybody.
    expect(ben.seen.filter(({ count }) => count < 2)).toEqual([]);
  });

  it('shows a change at once, tells the others, and says it again to the next connection', async () => {
    const [a, b] = [await node(), await node()];
    const ada = join(a.url, 'ada');
    const ben = join(b.url, 'ben');
    await ben.sees('ada ben');
    const done = ada.client.update({ status: 'busy', boardId: 'roadmap', meta: { page: 3 } });
    expect(ada.client.user('ada')).toMatchObject({ status: 'busy' });
    expect(await done).toEqual({ ok: true });
    const shown = { status: 'busy', devices: [{ boardId: 'roadmap', meta: { page: 3 } }] };
    const benSeesIt = (): Promise<unknown> =>
      waitFor(
        () => ben.client.user('ada')?.devices[0]?.boardId === 'roadmap',
        () => JSON.stringify(ben.client.user('ada')),
      );
    await benSeesIt();
    expect(ben.client.user('ada')).toMatchObject(shown);
    // Longer away than the linger: the server has forgotten the device.
    ada.socket.disconnect();
    await ben.sees('ben');
    ada.socket.connect();
    await ben.sees('ada ben');
    await benSeesIt();
    expect(ben.client.user('ada')).toMatchObject(shown);
    await ada.client.setBoard(null);
    await waitFor(() => ben.client.user('ada')?.devices[0]?.boardId === undefined, 'no board');
  });

  it('does not flash up somebody invisible on reconnecting', async () => {
    const [a, b] = [await node(), await node()];
    const ada = join(a.url, 'ada');
    const ben = join(b.url, 'ben');
    await ben.sees('ada ben');
    expect(await ada.client.setStatus('invisible')).toEqual({ ok: true });
    await ben.sees('ben');
    ben.seen.length = 0;
    ada.socket.disconnect();
    ada.socket.connect();
    await ada.sees('ada ben');
    expect(await ada.client.setMeta({ still: 'here' })).toEqual({ ok: true });
    const cleo = join(a.url, 'cleo');
    await Promise.all([cleo.sees('ben cleo'), ben.sees('ben cleo')]);
    expect(ben.seen.filter(({ users }) => users.some(({ userId }) => userId === 'ada'))).toEqual(
      [],
    );
  });

  it('ends typing by itself', async () => {
    const a = await node(['--typing-timeout-ms', '60000']);
    const ada = join(a.url, 'ada');
    const ben = join(a.url, 'ben');
    await ben.sees('ada ben');
    await ada.client.setTyping(true);
    const isTyping = (): boolean => ben.client.user('ada')?.devices[0]?.typing === true;
    await waitFor(isTyping, 'Ada to type');
    await waitFor(() => !isTyping(), 'typing to end by itself, long before the server ends it');
  });
});

async function single(args: readonly string[] = []): Promise<ServeProcess> {
  const node = await ServeProcess.start(args);
  nodes.push(node);
  return node;
}

it('takes back what the server refuses', async () => {
  const { url } = await single();
  const ada = join(url, 'ada');
  await ada.sees('ada');
  const refused = ada.client.setMeta({ text: 'x'.repeat(5000) });
  expect(ada.client.user('ada')?.devices[0]?.meta).toBeDefined();
  expect(await refused).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED' } });
  expect(ada.client.user('ada')?.devices[0]?.meta).toBeUndefined();
  expect(ada.client.getSnapshot().self.meta).toBeUndefined();
});

it('leaves a community that nobody uses any more, but for those the server gave', async () => {
  const { url } = await single();
  const ada = join(url, 'ada');
  const ben = join(url, 'ben', ['team', 'club']);
  await ada.sees('ada ben');
  const endClub = [ada.watch('club'), ben.watch('club')];
  const club = (): number => ada.client.community('club').getSnapshot().count;
  await waitFor(() => club() === 2, 'both to be in the club');
  const observer = new Person(url, () => ({ userId: 'cleo', communities: ['club'] }));
  observer.watch('club');
  const inClub = (): string =>
    observer.client
      .community('club')
      .getSnapshot()
      .users.map(({ userId }) => userId)
      .sort()
      .join(' ');
  await waitFor(() => inClub() === 'ada ben cleo', inClub);
  for (const end of endClub) end();
  await waitFor(() => inClub() === 'ben cleo', inClub);
  // Ben’s time to leave has passed as well, by an answer that is later than it.
  await ben.client.setBoard('b');
  await ben.client.setBoard('c');
  expect(inClub()).toBe('ben cleo');
});

it('is denied what the token does not name, and by a refused handshake', async () => {
  const secret = 'a secret of this test';
  const { url } = await single(['--auth', 'jwt', '--jwt-secret', secret]);
  const token = (communities: string[], exp: number): Promise<string> =>
    new SignJWT({ sub: 'ada', communities })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(exp)
      .sign(new TextEncoder().encode(secret));
  const now = Math.floor(Date.now() / 1000);
  let mine = await token(['club'], now + 600);
  const ada = new Person(url, () => ({ token: mine }));
  ada.watch();
  ada.watch('club');
  await ada.is('denied');
  expect(ada.team.error).toMatchObject({ code: 'NOT_AUTHORIZED' });
  const club = (): CommunitySnapshot => ada.client.community('club').getSnapshot();
  await waitFor(
    () => club().state === 'live',
    () => club().state,
  );
  mine = await token(['club', 'team'], now - 60);
  ada.socket.io.engine.close();
  await waitFor(
    () => ada.client.getSnapshot().state === 'denied',
    () => JSON.stringify(ada.client.getSnapshot()),
  );
  expect(ada.client.getSnapshot().error?.message).toBe('the token has expired');
  expect(club().state).toBe('denied');
  mine = await token(['club', 'team'], now + 600);
  ada.socket.connect();
  await ada.sees('ada');
  expect(club().state).toBe('live');
});
