import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { Gauge } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHttpApi, type HttpApiOptions, type Presence, type UserPresence } from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { freePort } from '../support/ports.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

const DASHBOARD = new URL('../../dist/server/http/dashboard.js', import.meta.url).href;
const KEY = { headers: { Authorization: 'Bearer the-key' } };

/** Asks for a path as it stands, which fetch would put in order first. */
function ask(url: string, method: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request(url, { method, path, ...KEY }, (response) => resolve(json(response)))
      .once('error', reject)
      .end();
  });
}

describe('the HTTP API', () => {
  let node: ServeProcess;
  const clients: TestClient[] = [];
  beforeAll(async () => {
    node = await ServeProcess.start(['--api-key', 'the-key', '--name', 'one']);
    clients.push(
      await TestClient.join(node.url, {
        userId: 'ada & co/1',
        deviceId: 'phone',
        communities: ['c d', 'e'],
        info: { name: 'Ada' },
      }),
    );
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await node.stop();
  });

  it('answers about communities, users and nodes', async () => {
    const community = await node.get('/api/communities/c%20d', KEY);
    expect(community).toMatchObject({
      status: 200,
      body: {
        communityId: 'c d',
        complete: true,
        users: [{ userId: 'ada & co/1', info: { name: 'Ada' }, devices: [{ deviceId: 'phone' }] }],
      },
    });
    const user = await node.get('/api/users/ada%20%26%20co%2F1', KEY);
    expect(user).toMatchObject({ status: 200, body: { userId: 'ada & co/1' } });
    expect(user.body['communities']).toHaveLength(2);
    expect(await node.get('/api/communities/nobody-here', KEY)).toMatchObject({
      status: 200,
      body: { complete: true, users: [] },
    });
    expect(await node.get('/api/nodes', KEY)).toEqual({
      status: 200,
      body: {
        nodes: [
          { nodeId: node.nodeId, nodeName: 'one', state: 'alive', entries: 2, lastHeardMs: 0 },
        ],
      },
    });
  });

  it.each([
    ['/api/users/nobody', 404, 'NOT_FOUND'],
    ['/api', 404, 'NOT_FOUND'],
    ['/api/', 404, 'NOT_FOUND'],
    ['/api/communities', 404, 'NOT_FOUND'],
    ['/api/communities/', 404, 'NOT_FOUND'],
    ['/api/communities/c/d', 404, 'NOT_FOUND'],
    ['/api/__proto__/c', 404, 'NOT_FOUND'],
    ['/nowhere', 404, 'NOT_FOUND'],
    ['/socket.io', 404, 'NOT_FOUND'],
    ['/api/communities/%00', 400, 'INVALID_ARGUMENT'],
    ['/api/communities/%zz', 400, 'INVALID_ARGUMENT'],
    ['/api/communities/%ED%A0%80', 400, 'INVALID_ARGUMENT'],
    [`/api/users/${'x'.repeat(129)}`, 400, 'LIMIT_EXCEEDED'],
  ])('answers %s with %i %s', async (path, status, code) => {
    const answer = await node.get(path, KEY);
    expect(answer).toEqual({
      status,
      body: { error: { code, message: expect.stringMatching(/\w+ \w+/) } },
    });
  });

  it.each([
    ['no key', {}],
    ['another key', { Authorization: 'Bearer the-other' }],
    ['a longer key', { Authorization: 'Bearer the-key-and-more' }],
    ['a part of the key', { Authorization: 'Bearer the' }],
    ['another scheme', { Authorization: 'Basic the-key' }],
    ['an empty key', { Authorization: 'Bearer ' }],
  ])('answers 401 to %s before anything is looked up', async (_name, headers) => {
    for (const path of ['/api/users/nobody', '/api/communities/c', '/api/nodes', '/api/%zz']) {
      const response = await fetch(node.url + path, { headers });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toMatch(/Bearer/);
      expect(await response.json()).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
    }
  });

  it.each(['ada#1', 'a\\b', '.', '..'])('ends whom it shows as %s, and nobody else', async (id) => {
    const join = (userId: string): Promise<TestClient> =>
      TestClient.join(node.url, { userId, communities: ['odd'] });
    const others = ['ada', 'a/b'];
    clients.push(...(await Promise.all([id, ...others].map(join))));
    for (const path of [`/api/users/${id}`, `/api/users/${encodeURIComponent(id)}?reason=x`]) {
      expect(await ask(node.url, 'GET', path)).toMatchObject({ userId: id });
      expect(await ask(node.url, 'DELETE', path)).toMatchObject({ userId: id, sockets: 1 });
      clients.push(await join(id));
    }
    expect(await ask(node.url, 'DELETE', `/api/users/${id}`)).toMatchObject({ sockets: 1 });
    const { users } = (await node.get('/api/communities/odd', KEY)).body as {
      users: UserPresence[];
    };
    expect(users.map(({ userId }) => userId).sort()).toEqual(others.sort());
    for (const client of clients.splice(1)) client.close();
  });

  it('says with which methods it takes a user', async () => {
    for (const method of ['POST', 'PUT', 'PATCH']) {
      const response = await fetch(`${node.url}/api/users/nobody`, { method, ...KEY });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('GET, HEAD, DELETE');
      expect(await response.json()).toMatchObject({
        error: { message: expect.stringContaining('GET, HEAD, DELETE') },
      });
    }
  });

  it('takes GET and HEAD only of all else', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      for (const path of ['/healthz', '/metrics', '/api/nodes']) {
        const response = await fetch(node.url + path, { method, ...KEY });
        expect(response.status).toBe(405);
        expect(response.headers.get('allow')).toBe('GET, HEAD');
      }
    }
    for (const path of ['/healthz', '/metrics', '/api/nodes']) {
      const response = await fetch(node.url + path, { method: 'HEAD', ...KEY });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('');
    }
  });

  it('shows every metric that an operator needs, in Prometheus’ format', async () => {
    let text = '';
    // Who has just left is gone for users with the next flush.
    await waitFor(async () => {
      const response = await fetch(node.url + '/metrics');
      expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
      text = await response.text();
      return /^rollcall_users 1$/m.test(text);
    }, 'only ada to be online');
    const line =
      /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (-?[\d.e+-]+|NaN|\+Inf))$/;
    for (const each of text.trim().split('\n')) if (each !== '') expect(each).toMatch(line);
    for (const name of [
      'entries',
      'entries_owned',
      'users',
      'nodes',
      'deltas_sent_total',
      'deltas_applied_total',
      'gaps_total',
      'pulls_total',
      'bytes_sent_total',
      'bytes_received_total',
      'flush_ops_count',
      'roll_call_seconds_count',
      'health',
      'degraded',
      'event_loop_lag_seconds',
      'list_encode_seconds_count',
      'convergence_lag_seconds',
    ]) {
      expect(text).toMatch(new RegExp(`^rollcall_${name}(\\{.*\\})? `, 'm'));
    }
    expect(text).toMatch(/^rollcall_nodes\{state="suspect"\} 0$/m);
    expect(text).toMatch(/^rollcall_entries 2$/m);
    expect(text).toMatch(/^rollcall_users 1$/m);
    // Nobody is named in a label.
    expect(text).not.toContain('ada');
  });

  it('is closed without a key under jwt, and open to this machine under insecure', async () => {
    const closed = await ServeProcess.start(['--auth', 'jwt', '--jwt-secret', 'secret']);
    const open = await ServeProcess.start();
    try {
      expect(await closed.get('/api/nodes')).toMatchObject({
        status: 401,
        body: { error: { message: expect.stringMatching(/--api-key/) } },
      });
      expect((await open.get('/api/nodes')).status).toBe(200);
    } finally {
      await Promise.all([closed.stop(), open.stop()]);
    }
  });
});

describe('createHttpApi in an application', () => {
  const applications: Application[] = [];
  afterEach(async () => {
    await Promise.all(applications.splice(0).map((each) => each.stop()));
  });
  const start = async (): Promise<Application> => {
    const application = await Application.start();
    applications.push(application);
    return application;
  };

  it.each([
    ['an empty key', { key: '' }],
    ['a key with the line break of its file', { key: 'the-key\n' }],
    ['an undefined key', { key: undefined }],
    ['a number as key', { key: 7 }],
    ['no key', {}],
    ['null', null],
    ['nothing', undefined],
    ['another word', 'opened'],
  ])('refuses access by %s, as the dashboard does', async (_name, access) => {
    const presence = (await start()).present();
    const options = { access } as unknown as HttpApiOptions & { access: 'open' };
    for (const create of [
      () => createHttpApi(presence, options),
      () => presence.dashboard(options),
    ]) {
      expect(create).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          message: expect.stringMatching(/^access must be \{ key \} with a key.*'open'/),
        }),
      );
    }
  });

  it('says what keeps the dashboard from its pages', async () => {
    const presence = (await start()).present();
    // The source has none beside it, as a bundle has none.
    const open = (): unknown => presence.dashboard({ access: 'open' });
    expect(open).toThrow(/out of the bundle.*npm run build/);
  });
});

describe('what is answered late', () => {
  let application: Application;
  let presence: Presence;
  const logged: object[] = [];
  const rejections: unknown[] = [];
  const note = (error: unknown): void => void rejections.push(error);
  beforeEach(async () => {
    process.on('unhandledRejection', note);
    application = await Application.start();
    logged.length = 0;
    const error = (data: object): void => void logged.push(data);
    presence = application.present({ logger: { info: () => {}, warn: () => {}, error } });
    await presence.ready();
  });
  afterEach(async () => {
    await application.stop();
    // Node tells of rejections at the end of a turn.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(rejections.splice(0)).toEqual([]);
  });

  it('is 500 where a metric of the application fails, and the log says why, once', async () => {
    const gauge = new Gauge({
      name: 'of_the_application',
      help: 'x',
      registers: [],
      collect: () => {
        throw new Error('a secret of the database');
      },
    });
    presence.metrics.registerMetric(gauge);
    const api = createHttpApi(presence, { access: 'open' });
    application.http.prependListener('request', (...args) => void api(...args));
    for (let i = 0; i < 2; i++) {
      const response = await fetch(`${application.url}/metrics`, {
        signal: AbortSignal.timeout(30_000),
      });
      expect(response.status).toBe(500);
      const body: unknown = await response.json();
      expect(body).toMatchObject({
        error: { code: 'UNAVAILABLE', message: expect.stringContaining('collect()') },
      });
      expect(JSON.stringify(body)).not.toContain('secret');
    }
    expect(logged).toEqual([
      { event: 'metric-failed', error: expect.stringContaining('a secret of the database') },
    ]);
  });

  it.each([
    ['GET', '/metrics'],
    ['GET', '/api/users/ada'],
    ['DELETE', '/api/users/ada'],
    ['GET', '/dashboard/cluster'],
    ['GET', '/dashboard/explain/ada'],
    ['DELETE', '/dashboard/users/ada'],
  ])('leaves %s %s alone where the application has answered', async (method, path) => {
    const access = { key: 'the-key' };
    const api = createHttpApi(presence, { access });
    // The source has no pages; what is built has.
    const { createDashboard } = (await import(DASHBOARD)) as Pick<
      typeof import('../../src/server/http/dashboard.js'),
      'createDashboard'
    >;
    const dashboard = createDashboard(presence, { access, canEvict: true });
    let asked = 0;
    application.http.prependListener('request', (request, response) => {
      if (!api(request, response) && !dashboard(request, response)) return;
      if (++asked === 1) response.writeHead(504).end();
    });
    const ask = (): Promise<Response> => fetch(application.url + path, { method, ...KEY });
    expect((await ask()).status).toBe(504);
    // What is asked after it is answered after it.
    expect((await ask()).status).toBeOneOf([200, 404]);
  });
});

describe.runIf(hasRedis)('/healthz', () => {
  it('is 503 before the node is ready, 200 then, and 503 while it drains', async () => {
    const redis = await TestRedis.start();
    const port = await freePort();
    const args = ['--port', String(port), '--auth', 'insecure', '--redis', redis.url];
    const node = ServeProcess.spawn(['serve', ...args]);
    const health = (): Promise<{ status: number; body: { status: string } } | undefined> =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        async (response) => ({
          status: response.status,
          body: (await response.json()) as { status: string },
        }),
        () => undefined,
      );
    const clients: TestClient[] = [];
    try {
      const first = await waitFor(health, 'the node to listen');
      expect(first).toMatchObject({ status: 503, body: { status: 'starting' } });
      expect(node.process.stdout).toBe('');
      await node.serving();
      expect(await health()).toMatchObject({ status: 200, body: { status: 'ready' } });
      for (let i = 0; i < 500; i++) {
        clients.push(new TestClient(node.url, { userId: `u${i}`, communities: ['c'] }));
      }
      await waitFor(() => clients.every(({ socket }) => socket.connected), 'all to connect');
      for (const client of clients) client.socket.io.reconnection(false);
      node.signal('SIGTERM');
      const draining = await waitFor(async () => {
        const answer = await health();
        return answer?.status === 503 ? answer : undefined;
      }, 'the node to say that it drains');
      expect(draining.body.status).toBe('draining');
      expect(await node.process.exited()).toBe(0);
    } finally {
      for (const client of clients) client.close();
      await node.stop();
      await redis.stop();
    }
  });
});
