import * as fc from 'fast-check';
import { generateKeyPairSync } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient, type Answer } from '../support/client.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

const LONG = 'é'.repeat(65);

/** Connects and gives what the server said to the handshake. */
async function knock(url: string, auth: Record<string, unknown>): Promise<Error | undefined> {
  const client = new TestClient(url, auth, { reconnection: false });
  let refused: (Error & { data?: unknown }) | undefined;
  client.socket.on('connect_error', (error) => (refused = error));
  try {
    await waitFor(() => refused !== undefined || client.socket.connected, 'an answer');
    return refused;
  } finally {
    client.close();
  }
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = { a: value };
  return value;
}

describe('a handshake under insecure auth', () => {
  let node: ServeProcess;
  beforeAll(async () => {
    node = await ServeProcess.start();
  });
  afterAll(() => node.stop());

  const ada = { userId: 'ada', communities: ['c'] };
  it.each([
    ['nothing', {}, /userId is missing/],
    ['a number as user', { ...ada, userId: 7 }, /userId must be a string, not a number/],
    ['an array as user', { ...ada, userId: ['ada'] }, /userId must be a string, not an array/],
    ['null as user', { ...ada, userId: null }, /userId must be a string, not null/],
    ['an empty user', { ...ada, userId: '' }, /userId must not be empty/],
    ['130 bytes of user', { ...ada, userId: LONG }, /userId is longer than idBytes \(128 bytes\)/],
    ['a line break', { ...ada, userId: 'a\nb' }, /userId must not contain control characters/],
    ['a NUL', { ...ada, userId: 'a\0b' }, /control characters/],
    ['a C1 control', { ...ada, userId: 'a\u0085b' }, /control characters/],
    ['half a character', { ...ada, userId: 'a\ud800' }, /userId must be well-formed Unicode/],
    ['a device that is a number', { ...ada, deviceId: 1 }, /deviceId must be a string/],
    ['an empty device', { ...ada, deviceId: '' }, /deviceId must not be empty/],
    ['no communities', { userId: 'ada' }, /communities must be an array/],
    ['communities as text', { ...ada, communities: 'c' }, /communities must be an array/],
    [
      'a community that is an object',
      { ...ada, communities: [{}] },
      /communityId must be a string/,
    ],
    [
      '51 communities',
      { ...ada, communities: Array.from({ length: 51 }, (_, i) => `c${i}`) },
      /51 communities are more than communitiesPerSocket \(50\)/,
    ],
    ['info as text', { ...ada, info: 'Ada' }, /info must be an object, not a string/],
    ['info as an array', { ...ada, info: ['Ada'] }, /info must be an object, not an array/],
    ['deep info', { ...ada, info: nested(5) }, /info is nested deeper than dataDepth \(4\)/],
    ['long info', { ...ada, info: { a: 'x'.repeat(2048) } }, /more than infoBytes \(2048\)/],
    [
      'much info',
      { ...ada, info: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 1])) },
      /info has more keys than dataKeys \(32\)/,
    ],
    [
      'a prototype in info',
      { ...ada, info: JSON.parse('{"__proto__":{"polluted":1}}') as object },
      /info must not have a key "__proto__"/,
    ],
    ['a constructor in info', { ...ada, info: { a: { constructor: 1 } } }, /key "constructor"/],
    ['an unknown status', { ...ada, status: 'away' }, /status must be active, idle, busy or/],
    ['a session that is no number', { ...ada, session: 'x' }, /session must be a whole number/],
  ])('is refused with %s, and says why', async (_name, auth, message) => {
    const refused = await knock(node.url, auth as Record<string, unknown>);
    expect(refused?.message).toMatch(message);
    expect((refused as Error & { data?: { code: string } }).data?.code).toMatch(/^[A-Z_]+$/);
  });

  it('is taken with everything at its limit, and with what nobody knows', async () => {
    const client = await TestClient.join(node.url, {
      userId: 'é'.repeat(64),
      deviceId: 'x'.repeat(128),
      communities: Array.from({ length: 50 }, (_, i) => `c${i}`),
      info: { name: 'Ada', deep: { a: { b: { c: 1 } } } },
      more: { unknown: true },
    });
    expect(client.model.rosters.size).toBe(50);
    client.close();
  });

  it('leaves the node healthy when it is larger than what a node takes in', async () => {
    const refused = await knock(node.url, { ...ada, info: { a: 'x'.repeat(100_000) } }).catch(
      (error: Error) => error,
    );
    expect(refused).toBeInstanceOf(Error);
    expect((await node.get('/healthz')).status).toBe(200);
  });
});

describe('a handshake under jwt auth', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const secret = new TextEncoder().encode('a secret of the tests');
  const claims = { sub: 'ada', communities: ['c'] };
  let bySecret: ServeProcess;
  let byKey: ServeProcess;
  beforeAll(async () => {
    bySecret = await ServeProcess.start(['--auth', 'jwt', '--jwt-secret', 'a secret of the tests']);
    byKey = await ServeProcess.start(['--auth', 'jwt', '--jwt-public-key', pem]);
  });
  afterAll(() => Promise.all([bySecret.stop(), byKey.stop()]));

  function sign(
    payload: Record<string, unknown>,
    alg = 'HS256',
    key: Parameters<SignJWT['sign']>[0] = secret,
  ): Promise<string> {
    return new SignJWT(payload).setProtectedHeader({ alg }).sign(key);
  }

  it.each([
    ['no token', () => undefined, /the token is missing/],
    ['an empty token', () => '', /the token is missing/],
    ['an object as token', () => ({}), /the token is missing/],
    ['no JWT', () => 'nonsense', /is not a valid JWT/],
    ['a huge token', () => 'x'.repeat(50_000), /is not a valid JWT/],
    [
      'another secret',
      () => sign(claims, 'HS256', new TextEncoder().encode('another secret')),
      /signature does not match/,
    ],
    ['an expired token', () => sign({ ...claims, exp: 1 }), /the token has expired/],
    ['a token of tomorrow', () => sign({ ...claims, nbf: 4e9 }), /nbf claim does not hold/],
    ['an exp that is text', () => sign({ ...claims, exp: 'soon' as never }), /exp claim/],
    ['no algorithm', () => new UnsecuredJWT(claims).encode(), /algorithm|not a valid JWT/],
    ['another kind of key', () => sign(claims, 'RS256', rsa.privateKey), /algorithm/],
    ['no sub', () => sign({ communities: ['c'] }), /no sub claim/],
    ['a sub that is a number', () => sign({ ...claims, sub: 7 as never }), /sub claim/],
    ['an empty sub', () => sign({ ...claims, sub: '' }), /userId must not be empty/],
    ['communities as text', () => sign({ ...claims, communities: 'c' }), /communities claim must/],
    ['bad info', () => sign({ ...claims, info: [1] }), /info must be an object/],
  ])('is refused with %s, and says why', async (_name, token, message) => {
    const refused = await knock(bySecret.url, { token: await token() });
    expect(refused?.message).toMatch(message);
  });

  it('never takes a public key for a shared secret', async () => {
    const forged = await sign(claims, 'HS256', new TextEncoder().encode(pem));
    expect((await knock(byKey.url, { token: forged }))?.message).toMatch(/algorithm/);
    expect(await knock(byKey.url, { token: await sign(claims, 'RS256', rsa.privateKey) })).toBe(
      undefined,
    );
  });

  it('takes identity and communities from the token alone', async () => {
    const token = await sign({ ...claims, info: { name: 'Ada' } });
    const client = new TestClient(bySecret.url, {
      token,
      userId: 'eve',
      communities: ['secret'],
      deviceId: 'phone',
      info: { name: 'Eve' },
    });
    await client.sees('c', ['ada']);
    expect(client.model.user('c', 'ada')).toMatchObject({
      info: { name: 'Ada' },
      devices: [{ deviceId: 'phone' }],
    });
    for (const event of ['joinCommunity', 'presenceSync']) {
      expect(await client.send(event, 'secret')).toMatchObject({
        ok: false,
        error: { code: 'NOT_AUTHORIZED' },
      });
    }
    expect(client.model.rosters.has('secret')).toBe(false);
    client.close();
  });

  it('ends with its token, and leaves no false trail', async () => {
    const watcher = await TestClient.join(bySecret.url, {
      token: await sign({ sub: 'watcher', communities: ['c'] }),
      userId: 'watcher',
      communities: ['c'],
    });
    const exp = Math.ceil(Date.now() / 1000) + 2;
    const ada = new TestClient(bySecret.url, { token: await sign({ ...claims, exp }) });
    await watcher.sees('c', ['ada', 'watcher']);
    const reasons: string[] = [];
    ada.socket.on('disconnect', (reason) => reasons.push(reason));
    await watcher.sees('c', ['watcher']);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    expect(reasons).toEqual(['io server disconnect']);
    expect(watcher.model.told.at(-1)).toMatchObject({ event: 'userOffline', reason: 'left' });
    expect(watcher.violations).toEqual([]);
    watcher.close();
  });

  it('goes on unseen where it connects with another token before', async () => {
    const exp = Math.ceil(Date.now() / 1000) + 2;
    const watcher = new TestClient(bySecret.url, {
      token: await sign({ ...claims, sub: 'watcher' }),
    });
    const tokens = [await sign({ ...claims, exp }), await sign(claims)];
    const ada = new TestClient(bySecret.url, {}, { autoConnect: false });
    ada.socket.auth = (send: (auth: object) => void) =>
      send({ token: tokens.shift(), deviceId: 'phone' });
    ada.socket.connect();
    await watcher.sees('c', ['ada', 'watcher']);
    ada.drop();
    await waitFor(() => tokens.length === 0 && Date.now() > exp * 1000, 'the first to end');
    await ada.sees('c', ['ada', 'watcher']);
    await watcher.send('presenceSync', 'c');
    expect(watcher.model.count('userOffline', 'ada')).toBe(0);
    ada.close();
    watcher.close();
  });
});

describe('an event', () => {
  const applications: Application[] = [];
  const clients: TestClient[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(applications.splice(0).map((each) => each.stop()));
  });

  async function start(limits: Record<string, number> = {}): Promise<[TestClient, TestClient]> {
    const application = await Application.start();
    applications.push(application);
    application.present({ limits, authorize: (_identity, id) => id !== 'closed' });
    for (const userId of ['eve', 'watcher']) {
      clients.push(await TestClient.join(application.url, { userId, communities: ['c'] }));
    }
    await clients[0]?.sees('c', ['eve', 'watcher']);
    return clients as unknown as [TestClient, TestClient];
  }

  it.each([
    ['presenceUpdate', undefined, 'INVALID_ARGUMENT', /takes an object, not/],
    ['presenceUpdate', null, 'INVALID_ARGUMENT', /not null/],
    ['presenceUpdate', 'busy', 'INVALID_ARGUMENT', /not a string/],
    ['presenceUpdate', [{ status: 'busy' }], 'INVALID_ARGUMENT', /not an array/],
    ['presenceUpdate', 7, 'INVALID_ARGUMENT', /not a number/],
    ['presenceUpdate', { status: 'away' }, 'INVALID_ARGUMENT', /status must be active/],
    ['presenceUpdate', { status: ['busy'] }, 'INVALID_ARGUMENT', /status must be active/],
    ['presenceUpdate', { typing: 'yes' }, 'INVALID_ARGUMENT', /typing must be true, false or null/],
    ['presenceUpdate', { boardId: 7 }, 'INVALID_ARGUMENT', /boardId must be a string/],
    ['presenceUpdate', { boardId: LONG }, 'LIMIT_EXCEEDED', /idBytes/],
    ['presenceUpdate', { meta: 'x' }, 'INVALID_ARGUMENT', /meta must be an object/],
    ['presenceUpdate', { meta: nested(5) }, 'LIMIT_EXCEEDED', /dataDepth/],
    ['presenceUpdate', { meta: { a: 'x'.repeat(1024) } }, 'LIMIT_EXCEEDED', /metaBytes \(1024\)/],
    ['presenceUpdate', { meta: { a: Array(33).fill(0) } }, 'LIMIT_EXCEEDED', /dataKeys/],
    ['presenceUpdate', { meta: { a: Buffer.from('x') } }, 'INVALID_ARGUMENT', /plain JSON/],
    ['presenceUpdate', { userId: 'ada' }, 'INVALID_ARGUMENT', /does not know "userId"/],
    [
      'presenceUpdate',
      JSON.parse('{"__proto__":{"polluted":1}}'),
      'INVALID_ARGUMENT',
      /does not know "__proto__"/,
    ],
    [
      'presenceUpdate',
      { meta: JSON.parse('{"a":{"__proto__":{"polluted":1}}}') as object },
      'INVALID_ARGUMENT',
      /key "__proto__"/,
    ],
    ['presenceUpdate', Buffer.from('busy'), 'INVALID_ARGUMENT', /not a Buffer/],
    ['joinCommunity', undefined, 'INVALID_ARGUMENT', /communityId must be a string/],
    ['joinCommunity', {}, 'INVALID_ARGUMENT', /not an object/],
    ['joinCommunity', ['c'], 'INVALID_ARGUMENT', /not an array/],
    ['joinCommunity', '', 'INVALID_ARGUMENT', /must not be empty/],
    ['joinCommunity', LONG, 'LIMIT_EXCEEDED', /idBytes/],
    ['joinCommunity', 'a\u007fb', 'INVALID_ARGUMENT', /control characters/],
    ['joinCommunity', '\udc00', 'INVALID_ARGUMENT', /well-formed/],
    ['joinCommunity', 'closed', 'NOT_AUTHORIZED', /not open to you/],
    ['leaveCommunity', 7, 'INVALID_ARGUMENT', /communityId must be a string/],
    ['leaveCommunity', null, 'INVALID_ARGUMENT', /not null/],
    ['presenceSync', { communityId: 'c' }, 'INVALID_ARGUMENT', /communityId must be a string/],
    ['presenceSync', 'closed', 'NOT_AUTHORIZED', /not open to you/],
  ] as const)('%s refuses %j', async (event, argument, code, message) => {
    const [eve, watcher] = await start();
    const told = watcher.model.told.length;
    const answer = await eve.send(event, ...(argument === undefined ? [] : [argument]));
    expect(answer).toEqual({ ok: false, error: { code, message: expect.stringMatching(message) } });
    // It has done nothing, and the next good one works.
    expect(await eve.send('presenceUpdate', { status: 'busy' })).toEqual({ ok: true });
    await waitFor(() => watcher.model.user('c', 'eve')?.status === 'busy', 'the good update');
    expect(watcher.model.told).toHaveLength(told + 1);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect([...eve.violations, ...watcher.violations]).toEqual([]);
  });

  it('works without an acknowledgement and with more arguments than it takes', async () => {
    const [eve, watcher] = await start();
    eve.socket.emit('presenceUpdate');
    eve.socket.emit('presenceUpdate', { nonsense: 1 });
    eve.socket.emit('joinCommunity');
    eve.socket.emit('presenceUpdate', { status: 'busy' }, 'more', { and: 'more' });
    await waitFor(() => watcher.model.user('c', 'eve')?.status === 'busy', 'the update');
    expect(await eve.send('presenceUpdate', { status: null }, 'more')).toEqual({ ok: true });
  });

  it('names the limit of communities, and of requests', async () => {
    const [eve] = await start({ communitiesPerSocket: 2, requestsPerSecond: 1 });
    expect(await eve.send('joinCommunity', 'd')).toMatchObject({ ok: true });
    expect(await eve.send('joinCommunity', 'e')).toMatchObject({
      error: {
        code: 'LIMIT_EXCEEDED',
        message: expect.stringMatching(/communitiesPerSocket \(2\)/),
      },
    });
    let answer: Answer = { ok: true };
    for (let i = 0; i < 5; i++) answer = await eve.send('presenceSync', 'c');
    expect(answer).toMatchObject({
      error: { code: 'RATE_LIMITED', message: expect.stringMatching(/requestsPerSecond \(1\)/) },
    });
  });

  it('is coalesced, not dropped, when it comes too often', async () => {
    const [eve, watcher] = await start({ updatesPerSecond: 5 });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        eve.send('presenceUpdate', i % 2 === 0 ? { boardId: `b${i}` } : { meta: { n: i } }),
      ),
    );
    expect(answers.every(({ ok }) => ok)).toBe(true);
    expect(answers.at(-1)).toEqual({ ok: true, delayed: true });
    await waitFor(() => {
      const device = watcher.model.user('c', 'eve')?.devices[0];
      return device?.boardId === 'b98' && device.meta?.['n'] === 99;
    }, 'the newest state');
    expect(watcher.model.count('userUpdated', 'eve')).toBeLessThan(10);
  });

  it('of no kind breaks the node or bothers others (fuzz)', { timeout: 240_000 }, async () => {
    const [eve, watcher] = await start({ requestsPerSecond: 1e6, updatesPerSecond: 1e6 });
    const value = fc.oneof(
      { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 6 }) },
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ unit: fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code)) }),
      fc.constantFrom('c', 'closed', 'd', '__proto__', 'constructor', 'toString'),
      fc.record(
        {
          status: fc.anything({ maxDepth: 1 }),
          boardId: fc.jsonValue({ maxDepth: 1 }),
          typing: fc.jsonValue({ maxDepth: 1 }),
          meta: fc.jsonValue({ maxDepth: 7 }),
        },
        { requiredKeys: [] },
      ),
      fc.constant({ meta: JSON.parse('{"__proto__":{"polluted":true}}') as object }),
    );
    const event = fc.constantFrom(
      'presenceUpdate',
      'joinCommunity',
      'leaveCommunity',
      'presenceSync',
    );
    await fc.assert(
      fc.asyncProperty(event, fc.array(value, { maxLength: 3 }), async (name, args) => {
        // What JSON cannot say, no client can send.
        const sent = JSON.parse(
          JSON.stringify(args, (_key, v: unknown) =>
            typeof v === 'bigint' || typeof v === 'symbol' || typeof v === 'function' ? null : v,
          ),
        ) as unknown[];
        const answer = await eve.send(name, ...sent);
        if (answer.ok) return;
        expect(answer).toEqual({
          ok: false,
          error: { code: expect.stringMatching(/^[A-Z_]+$/), message: expect.any(String) },
        });
        expect(answer.error?.code).not.toBe('UNAVAILABLE');
      }),
      { numRuns: 1500, interruptAfterTimeLimit: 120_000 },
    );
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(watcher.model.count('userOffline', 'watcher')).toBe(0);
    expect(watcher.socket.connected).toBe(true);
    expect(watcher.violations).toEqual([]);
    expect(await watcher.send('presenceUpdate', { status: 'busy' })).toEqual({ ok: true });
    await waitFor(
      () => watcher.model.user('c', 'watcher')?.status === 'busy',
      'the node to answer',
    );
  });

  it('that is no packet at all ends only its own connection', async () => {
    const [eve, watcher] = await start();
    const reasons: string[] = [];
    eve.socket.on('disconnect', (reason) => reasons.push(reason));
    eve.socket.io.reconnection(false);
    eve.socket.io.engine.write('9nonsense');
    await waitFor(() => reasons.length > 0, 'the disconnect');
    expect(watcher.socket.connected).toBe(true);
    expect(await watcher.send('presenceSync', 'c')).toMatchObject({ ok: true });
  });
});
