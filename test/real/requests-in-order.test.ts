import { afterEach, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { waitFor } from '../support/wait.js';

/** What one socket asks for while `authorize` takes its time. */

let application: Application | undefined;
let client: TestClient | undefined;
afterEach(async () => {
  client?.close();
  await application?.stop();
});

/** A server whose `authorize` answers when it is told to, and for `c` at once; a client in these. */
async function start(
  limits: object,
  ...communities: string[]
): Promise<{ asked: (() => void)[]; url: string }> {
  const asked: (() => void)[] = [];
  application = await Application.start();
  application.present({
    limits,
    authorize: (_identity, id) =>
      id === 'c' || new Promise<boolean>((resolve) => asked.push(() => resolve(true))),
  });
  const { url } = application;
  client = new TestClient(url, {
    userId: 'ada',
    deviceId: 'd',
    communities: ['c', ...communities],
  });
  return { asked, url };
}

/** The server has read what was sent before, and had time to heed it too early. */
async function goOn(): Promise<void> {
  for (let i = 0; i < 5; i++) await client?.send('presenceUpdate', { boardId: `${i}` });
}

it('a leave that follows a join is the last word, however long the join takes', async () => {
  const { asked } = await start({});
  const joined = client?.send('joinCommunity', 'slow');
  await waitFor(() => asked.length === 1, 'authorize to be asked');
  const left = client?.send('leaveCommunity', 'slow');
  await goOn();
  asked[0]?.();
  expect(await joined).toMatchObject({ ok: true });
  expect(await left).toMatchObject({ ok: true });
  expect(await application?.presences[0]?.fetchOnlineUsers('slow')).toEqual([]);
});

it('what is asked for before it is known who asks comes first all the same', async () => {
  const asked: (() => void)[] = [];
  const heard: string[] = [];
  let identify = (): void => {};
  application = await Application.start();
  application.io.on('connection', (socket) => socket.onAny((event: string) => heard.push(event)));
  application.present({
    identify: (socket) =>
      new Promise((resolve) => {
        identify = () => resolve(socket.handshake.auth as { userId: string });
      }),
    authorize: (_identity, id) =>
      id === 'c' || new Promise<boolean>((resolve) => asked.push(() => resolve(true))),
  });
  client = new TestClient(application.url, { userId: 'ada', communities: ['slow'] });
  const joined = client.send('joinCommunity', 'c');
  await waitFor(() => heard.includes('joinCommunity'), 'the join to be heard');
  identify();
  await waitFor(() => asked.length === 1, 'authorize to be asked for what `identify` gave');
  const left = client.send('leaveCommunity', 'c');
  await goOn();
  asked[0]?.();
  expect(await joined).toMatchObject({ ok: true });
  expect(await left).toMatchObject({ ok: true });
  expect(await application.presences[0]?.fetchOnlineUsers('c')).toEqual([]);
});

it('joins at once do not pass the limit of communities together', async () => {
  const { asked } = await start({ communitiesPerSocket: 2 });
  const answers = ['a', 'b', 'x', 'y'].map(async (id) => client?.send('joinCommunity', id));
  await waitFor(() => asked.length > 0, 'authorize to be asked');
  const ticking = setInterval(() => asked.splice(0).forEach((answer) => answer()), 10);
  const all = (await Promise.all(answers)) as { ok: boolean; error?: { code: string } }[];
  clearInterval(ticking);
  expect(all.filter(({ ok }) => ok)).toHaveLength(1);
  expect(all.filter(({ error }) => error?.code === 'LIMIT_EXCEEDED')).toHaveLength(3);
});

it('a leave is the last word on what `identify` gave, too', async () => {
  const { asked } = await start({}, 'slow');
  await waitFor(() => asked.length === 1, 'authorize to be asked');
  const left = client?.send('leaveCommunity', 'slow');
  await goOn();
  asked[0]?.();
  expect(await left).toMatchObject({ ok: true });
  await goOn();
  expect(await application?.presences[0]?.fetchOnlineUsers('slow')).toEqual([]);
});

it('what `identify` gave and what is joined meanwhile do not pass the limit together', async () => {
  const { asked } = await start({ communitiesPerSocket: 2 }, 'slow');
  await waitFor(() => asked.length === 1, 'authorize to be asked');
  const joined = client?.send('joinCommunity', 'other');
  await waitFor(() => asked.length === 2, 'authorize to be asked again');
  asked[1]?.();
  expect(await joined).toMatchObject({ ok: true });
  asked[0]?.();
  await goOn();
  expect(await application?.presences[0]?.fetchOnlineUsers('slow')).toEqual([]);
  expect(await application?.presences[0]?.fetchOnlineUsers('other')).toHaveLength(1);
});

it('a community whose `authorize` hangs holds up no other', async () => {
  const { asked } = await start({});
  void client?.send('joinCommunity', 'slow').catch(() => {});
  await waitFor(() => asked.length === 1, 'authorize to be asked');
  expect(await client?.send('leaveCommunity', 'c')).toMatchObject({ ok: true });
  expect(await client?.send('joinCommunity', 'c')).toMatchObject({ ok: true });
});

it('an `authorize` that never answers is a no, and what was asked for after it is done', async () => {
  const { asked } = await start({ decisionMs: 300 });
  const joined = client?.send('joinCommunity', 'slow');
  const left = client?.send('leaveCommunity', 'slow');
  expect(await joined).toMatchObject({ ok: false, error: { code: 'NOT_AUTHORIZED' } });
  expect(await left).toMatchObject({ ok: true });
  // It answers after all, and nobody enters.
  asked[0]?.();
  await goOn();
  expect(await application?.presences[0]?.fetchOnlineUsers('slow')).toEqual([]);
});

it('an `identify` that never answers leaves a socket without presence, and tells it so', async () => {
  application = await Application.start();
  application.present({
    limits: { decisionMs: 300 },
    identify: () => new Promise<never>(() => {}),
  });
  client = new TestClient(application.url, { userId: 'ada', deviceId: 'd', communities: ['c'] });
  expect(await client.send('presenceSync', 'c')).toMatchObject({
    ok: false,
    error: { code: 'NOT_IDENTIFIED' },
  });
});

it('a `decisionMs` that no timer can wait for is refused', async () => {
  application = await Application.start();
  const present = (decisionMs: number): unknown => application?.present({ limits: { decisionMs } });
  expect(() => present(2 ** 31)).toThrow('limits.decisionMs must be at most 3600000');
  expect(() => present(0)).toThrow('limits.decisionMs must be a whole number of at least 1');
});
