import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PresenceOptions } from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { freePort } from '../support/ports.js';
import { tied } from '../support/process.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

const NGINX = process.env['NGINX'];
if (NGINX === undefined && process.env['CI']) throw new Error('CI needs nginx; run npm test');

const read = (page: string): string =>
  readFileSync(fileURLToPath(new URL(`../../docs/${page}`, import.meta.url)), 'utf8');
const guide = read('guide.md');

describe.runIf(hasRedis && NGINX !== undefined)('the load balancer of the guide', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-nginx-'));
  let redis: TestRedis;
  let nodes: ServeProcess[] = [];
  let nginx: ChildProcess;
  let url = '';

  beforeAll(async () => {
    redis = await TestRedis.start();
    nodes = await Promise.all([1, 2, 3].map(() => ServeProcess.start(['--redis', redis.url])));
    const port = await freePort();
    let site = /```nginx\n([^]*?)```/.exec(guide)?.[1] ?? '';
    for (const [i, node] of nodes.entries()) {
      expect(site).toContain(`127.0.0.1:${3001 + i};`);
      site = site.replace(`127.0.0.1:${3001 + i};`, `127.0.0.1:${node.port};`);
    }
    // Each client of this test stands for one with an address of its own.
    site = site
      .replace('hash $remote_addr', 'hash $http_x_client')
      .replace('listen 80;', `listen 127.0.0.1:${port};`);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
      .join('\n');
    const config = `daemon off;\nmaster_process off;\npid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${site}}\n`;
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, config);
    nginx = tied(spawn(NGINX as string, ['-p', folder, '-c', file, '-e', 'stderr']));
    let log = '';
    nginx.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    url = `http://127.0.0.1:${port}`;
    await waitFor(
      () =>
        fetch(`${url}/healthz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      () => `nginx to serve; its log: ${log}`,
    );
  });
  afterAll(async () => {
    const ended = once(nginx, 'exit');
    nginx.kill('SIGKILL');
    await ended;
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([
    ['long-polling', ['polling']],
    ['long-polling, then WebSocket', ['polling', 'websocket']],
    ['WebSocket alone', ['websocket']],
  ])('keeps each client on one node with %s, and all see each other', async (_name, transports) => {
    const users = ['ada', 'bob', 'cleo', 'dan', 'eve', 'fay'];
    const clients = await Promise.all(
      users.map((userId) =>
        TestClient.join(
          url,
          { userId, communities: ['c'] },
          { transports, extraHeaders: { 'X-Client': userId } },
        ),
      ),
    );
    for (const client of clients) await client.sees('c', users);
    const sockets = await Promise.all(nodes.map((node) => node.metric('rollcall_sockets')));
    expect(sockets.filter((count) => count > 0).length).toBeGreaterThan(1);
    expect(clients.flatMap(({ violations }) => violations)).toEqual([]);
    for (const client of clients) client.close();
    await waitFor(async () => (await nodes[0]?.metric('rollcall_users')) === 0, 'all to be gone');
  });
});

describe.each(['guide.md', 'migrating.md'])('`identify` of %s', (page) => {
  const source = /identify: (\(socket\) => \(\{[^]*?\}\)),\n/.exec(read(page))?.[1];
  const identify = new Function(`return ${source}`)() as PresenceOptions['identify'];
  let application: Application;
  beforeAll(async () => {
    application = await Application.start();
    application.io.use((socket, next) => {
      const { name } = socket.handshake.auth as { name: string };
      const teams = ['everybody'];
      socket.data = { user: { id: name, name, teams }, userId: name, name };
      next();
    });
    application.present({ identify });
  });
  afterAll(() => application.stop());

  it('shows nobody on reconnecting who is invisible', async () => {
    const join = async (name: string, more = {}): Promise<TestClient> => {
      const client = new TestClient(application.url, { name, ...more });
      await waitFor(() => client.model.rosters.has('everybody'), 'the first list');
      return client;
    };
    const ada = await join('ada');
    // As createPresenceDevice connects again.
    const eve = await join('eve', { deviceId: 'eve-1', session: 2, status: 'invisible' });
    await ada.send('presenceSync', 'everybody');
    expect(ada.model.count('userOnline', 'eve')).toBe(0);
    expect(eve.model.user('everybody', 'eve')?.devices).toMatchObject([{ deviceId: 'eve-1' }]);
    ada.close();
    eve.close();
  });
});

describe.runIf(hasRedis)('the user of Redis that the page on security gives', () => {
  let redis: TestRedis;
  let url = '';
  beforeAll(async () => {
    redis = await TestRedis.start();
    const rules = /```text\nuser (app .*)\n```/.exec(read('security.md'))?.[1] ?? '';
    await redis.command('ACL', 'SETUSER', ...rules.split(' '));
    url = redis.url.replace('//', '//app:secret@');
  });
  afterAll(() => redis.stop());

  it.each([
    '--adapter redis',
    '--adapter redis-sharded',
    '--adapter redis-streams',
    '--transport redis',
    '--transport redis --adapter memory',
    '--strategy dual-write',
    '--strategy redis',
  ])('is enough for rollcall serve with %s', async (flags) => {
    const args = ['--redis', url, ...flags.split(' ')];
    const [one, two] = await Promise.all([ServeProcess.start(args), ServeProcess.start(args)]);
    try {
      const ada = await TestClient.join(one.url, { userId: 'ada', communities: ['c'] });
      const bob = await TestClient.join(two.url, { userId: 'bob', communities: ['c'] });
      await ada.sees('c', ['ada', 'bob']);
      await bob.sees('c', ['ada', 'bob']);
      ada.close();
      await bob.sees('c', ['bob']);
      bob.close();
      expect(await one.stop('SIGTERM')).toBe(0);
      expect(await two.stop('SIGTERM')).toBe(0);
      expect([...one.log, ...two.log].filter(({ level }) => Number(level) > 30)).toEqual([]);
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  });
});
