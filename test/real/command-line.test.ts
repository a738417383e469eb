import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { freePort } from '../support/ports.js';
import { tied } from '../support/process.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { waitFor } from '../support/wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rollcall-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'no-key.pem'), 'not a key');

function publicKey(kind: 'rsa' | 'ec', options: object): string {
  const generate = generateKeyPairSync as (kind: string, options: object) => KeyPairKeyObjectResult;
  return generate(kind, options).publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

async function run(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const rollcall = ServeProcess.spawn(args, env);
  const code = await rollcall.process.exited();
  const { stdout, stderr } = rollcall.process;
  return { code, stdout, stderr };
}

/** One sentence: one line that starts with the program's name and says something. */
const ONE_LINE = /^rollcall: [^\n]+\n$/;

describe('wrong usage ends with code 2 and one sentence', () => {
  const insecure = ['serve', '--auth', 'insecure', '--port', '0'];
  it.each<[string, readonly string[], NodeJS.ProcessEnv, RegExp]>([
    ['an unknown flag', ['serve', '--prot', '1'], {}, /unknown option '--prot'.*--port/],
    ['an unknown command', ['srve'], {}, /unknown command 'srve'/],
    ['too many arguments', [...insecure, 'more'], {}, /too many arguments/],
    ['a port that is no number', [...insecure, '--port', 'web'], {}, /from 0 to 65535/],
    ['a port that is too large', [...insecure, '--port', '65536'], {}, /from 0 to 65535/],
    ['a port in the environment', insecure.slice(0, 3), { ROLLCALL_PORT: '-1' }, /ROLLCALL_PORT/],
    [
      'a flag of the environment that is neither on nor off',
      insecure,
      { ROLLCALL_DASHBOARD: 'maybe' },
      /ROLLCALL_DASHBOARD .*'maybe'.* true, 1, yes or on, .* false, 0, no or off/,
    ],
    [
      'an API key that was lost on its way into the environment',
      insecure,
      { ROLLCALL_API_KEY: '' },
      /ROLLCALL_API_KEY.* must not be empty/,
    ],
    [
      'an API key with the line break of the file that it was in',
      insecure,
      { ROLLCALL_API_KEY: 'the-key\n' },
      /^(?!.*the-key).*ROLLCALL_API_KEY.* white space/,
    ],
    [
      'origins that were lost on their way into the environment',
      insecure,
      { ROLLCALL_CORS_ORIGIN: '' },
      /ROLLCALL_CORS_ORIGIN.* https:\/\/example/,
    ],
    ['a missing value', [...insecure, '--name'], {}, /argument missing/],
    ['an unknown strategy', [...insecure, '--strategy', 'magic'], {}, /replicated, on-demand/],
    ['an unknown adapter', [...insecure, '--adapter', 'kafka'], {}, /redis-streams/],
    ['a transport without Redis', [...insecure, '--transport', 'redis'], {}, /needs --redis URL/],
    [
      'a transport for a strategy that has its own',
      [
        ...insecure,
        '--transport',
        'redis',
        '--strategy',
        'redis',
        '--redis',
        'redis://127.0.0.1:1',
      ],
      {},
      /replicated or on-demand/,
    ],
    ['an unknown transport', [...insecure, '--transport', 'mail'], {}, /adapter, redis/],
    ['an adapter without Redis', [...insecure, '--adapter', 'redis'], {}, /needs --redis URL/],
    [
      'memory with Redis',
      [...insecure, '--adapter', 'memory', '--redis', 'redis://127.0.0.1:1'],
      {},
      /leave one of them out/,
    ],
    ['a URL that is none', [...insecure, '--redis', 'localhost'], {}, /redis:\/\/127/],
    [
      'a URL that its password breaks, without the password',
      [...insecure, '--redis', 'redis://user:hu/sh@127.0.0.1:6379'],
      {},
      /^(?!.*(hu|sh@)).*--redis .*redis:\/\/127.* %2F/,
    ],
    [
      'a URL that its password cuts short, without the password',
      [...insecure, '--redis', 'redis://user:12/sh@127.0.0.1:6379'],
      {},
      /^(?!.*(12\/|sh@)).*--redis .*redis:\/\/127.* %2F/,
    ],
    ['a URL of the web', [...insecure, '--redis', 'http://127.0.0.1'], {}, /redis:\/\/127/],
    [
      'a dashboard for nobody',
      ['serve', '--jwt-secret', 's', '--dashboard'],
      {},
      /--dashboard .*needs --api-key/,
    ],
    ['no key at all', ['serve'], {}, /--jwt-secret or --jwt-public-key/],
    [
      'no key, and not the port that Kubernetes sets for a service named rollcall',
      ['serve'],
      { ROLLCALL_PORT: 'tcp://10.96.0.10:3001' },
      /--jwt-secret or --jwt-public-key/,
    ],
    ['an empty secret', ['serve', '--jwt-secret', ' '], {}, /--jwt-secret must not be empty/],
    [
      'a public key too short to be safe, by which no token could be verified',
      ['serve', '--jwt-public-key', publicKey('rsa', { modulusLength: 1024 })],
      {},
      /--jwt-public-key .*2048 bits/,
    ],
    [
      'a public key on a curve that no token is signed with',
      ['serve', '--jwt-public-key', publicKey('ec', { namedCurve: 'secp256k1' })],
      {},
      /--jwt-public-key .*P-256, P-384 or P-521/,
    ],
    ['two keys', ['serve', '--jwt-secret', 'a', '--jwt-public-key', 'b'], {}, /not both/],
    ['a key that is no file', ['serve', '--jwt-public-key', '/no/such'], {}, /there is no file/],
    [
      'a key that is no key',
      ['serve', '--jwt-public-key', join(folder, 'no-key.pem')],
      {},
      /not a public key in PEM form/,
    ],
    ['insecure on all addresses', [...insecure, '--host', '0.0.0.0'], {}, /refused on 0\.0\.0\.0/],
    ['insecure on ::', [...insecure, '--host', '::'], {}, /refused on ::/],
    [
      'down-after below 3 heartbeats',
      [...insecure, '--down-after-ms', '2000'],
      {},
      /--down-after-ms \(2000\) must be at least 3 × --heartbeat-ms \(1000\)/,
    ],
    ['a heartbeat of nothing', [...insecure, '--heartbeat-ms', '0'], {}, /--heartbeat-ms must be/],
    ['a linger that is no number', [...insecure, '--linger-ms', '5s'], {}, /whole number/],
    ['a name with spaces', [...insecure, '--name', 'node one'], {}, /--name must be/],
    ['an origin that is none', [...insecure, '--cors-origin', 'example'], {}, /https:\/\/example/],
    [
      'an origin without http or https',
      [...insecure, '--cors-origin', 'https://example.org,localhost:5173'],
      {},
      /localhost:5173.* http:\/\/ or https:\/\//,
    ],
  ])('%s', async (_name, args, env, message) => {
    const { code, stdout, stderr } = await run(args, env);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(ONE_LINE);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

describe('a fault outside ends with code 1 and one sentence', () => {
  it('a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await waitFor(() => taken.listening, 'the port');
    const { port } = taken.address() as AddressInfo;
    const { code, stdout, stderr } = await run([
      'serve',
      '--auth',
      'insecure',
      '--log-level',
      'error',
      '--port',
      String(port),
    ]);
    taken.close();
    expect(stderr).toMatch(new RegExp(`port ${port} on 127.0.0.1 is in use.*--port`));
    expect(stderr).toMatch(ONE_LINE);
    expect([code, stdout]).toEqual([1, '']);
  });

  it('an address of another machine', async () => {
    const args = ['serve', '--jwt-secret', 's', '--port', '0', '--host', '192.0.2.1'];
    const { code, stderr } = await run([...args, '--log-level', 'error']);
    expect(stderr).toMatch(/192\.0\.2\.1 is not an address of this machine.*--host/);
    expect(stderr).toMatch(ONE_LINE);
    expect(code).toBe(1);
  });

  it.each(['hush', 'hush@hush', 'hush:hush'])(
    'a Redis that is not there, without its password %s',
    async (password) => {
      const url = `redis://user:${password}@127.0.0.1:${await freePort()}/0?password=hush`;
      const { code, stdout, stderr } = await run(['serve', '--auth', 'insecure', '--redis', url]);
      expect(stderr).toMatch(/Redis at redis:\/\/127\.0\.0\.1:\d+ cannot be reached/);
      expect(stderr).toMatch(ONE_LINE);
      expect(stderr).not.toContain('hush');
      expect([code, stdout]).toEqual([1, '']);
    },
  );

  it('a Redis that never answers', async () => {
    const open = new Set<Socket>();
    const silent = createTcpServer((socket) => open.add(socket)).listen(0, '127.0.0.1');
    await waitFor(() => silent.listening, 'the port');
    const { port } = silent.address() as AddressInfo;
    const url = `redis://127.0.0.1:${port}`;
    const { code, stderr } = await run(['serve', '--auth', 'insecure', '--redis', url]);
    for (const socket of open) socket.destroy();
    silent.close();
    expect(stderr).toMatch(/cannot be reached/);
    expect(stderr).toMatch(ONE_LINE);
    expect(code).toBe(1);
  });

  it.runIf(hasRedis)('a Redis that wants a password', async () => {
    const redis = await TestRedis.start();
    await redis.command('CONFIG', 'SET', 'requirepass', 'hush');
    const { code, stderr } = await run(['serve', '--auth', 'insecure', '--redis', redis.url]);
    await redis.stop();
    expect(stderr).toMatch(/NOAUTH|authentication/i);
    expect(stderr).toMatch(ONE_LINE);
    expect(code).toBe(1);
  });
});

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Runs it with a standard output whose reader has gone, as `| true` does. */
function unread(args: readonly string[]): ChildProcess {
  const child = tied(
    spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  children.push(child);
  child.stdout?.destroy();
  return child;
}

/** A node whose log the test reads itself, as far as it likes. */
async function withLog(): Promise<{ child: ChildProcess; log: Readable; url: string }> {
  const child = unread(['serve', '--auth', 'insecure', '--port', '0']);
  const log = child.stderr as Readable;
  let text = '';
  log.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await waitFor(
    () => text.includes('"serving"'),
    () => `it to serve; its log: ${text}`,
  );
  return { child, log, url: /"url":"([^"]+)"/.exec(text)?.[1] ?? '' };
}

async function ends(child: ChildProcess): Promise<number | null> {
  child.kill('SIGTERM');
  await waitFor(() => child.exitCode !== null, 'the end');
  return child.exitCode;
}

it('ends without a word when who reads its output has seen enough', async () => {
  const file = join(folder, 'recording');
  const node = await ServeProcess.start(['--record', file]);
  try {
    const api = ['--url', node.url];
    await waitFor(() => statSync(file).size > 0, 'the recording');
    for (const args of [
      ['replay', '--verbose', file],
      ['top', ...api],
      ['explain', 'ada', ...api],
      ['simulate', '--seed', '1'],
    ]) {
      const child = unread(args);
      let said = '';
      child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const [code] = (await once(child, 'close')) as [number | null];
      // As a program ends that a closed pipe ends.
      expect([args[0], said, code]).toEqual([args[0], '', 141]);
    }
  } finally {
    await node.stop();
  }
});

describe('rollcall serve', () => {
  it('takes every flag from the environment, and the flag before it', async () => {
    const port = await freePort();
    const node = ServeProcess.spawn(['serve', '--name', 'by-flag'], {
      ROLLCALL_PORT: String(port),
      ROLLCALL_HOST: '127.0.0.1',
      ROLLCALL_STRATEGY: 'replicated',
      ROLLCALL_ADAPTER: 'memory',
      ROLLCALL_NAME: 'by-environment',
      ROLLCALL_AUTH: 'insecure',
      ROLLCALL_API_KEY: 'the-key',
      ROLLCALL_LINGER_MS: '100',
      ROLLCALL_HEARTBEAT_MS: '100',
      ROLLCALL_DOWN_AFTER_MS: '300',
      ROLLCALL_TYPING_TIMEOUT_MS: '200',
      ROLLCALL_CORS_ORIGIN: 'https://example.org',
      ROLLCALL_LOG_LEVEL: 'info',
    });
    try {
      await node.serving();
      expect(node.url).toBe(`http://127.0.0.1:${port}`);
      expect((await node.get('/api/nodes')).status).toBe(401);
      const { body } = await node.get('/api/nodes', {
        headers: { Authorization: 'Bearer the-key' },
      });
      expect(body).toMatchObject({ nodes: [{ nodeName: 'by-flag' }] });
      const ada = await TestClient.join(node.url, { userId: 'ada', communities: ['c'] });
      const bob = await TestClient.join(node.url, { userId: 'bob', communities: ['c'] });
      await ada.send('presenceUpdate', { typing: true });
      await waitFor(() => bob.model.user('c', 'ada')?.devices[0]?.typing === true, 'typing');
      await waitFor(() => bob.model.user('c', 'ada')?.devices[0]?.typing !== true, 'the timeout');
      ada.socket.io.reconnection(false);
      const droppedAt = performance.now();
      ada.drop();
      await bob.sees('c', ['bob']);
      expect(performance.now() - droppedAt).toBeLessThan(2000);
      bob.close();
    } finally {
      await node.stop();
    }
  });

  it.each([
    ['true', 'false', 200, false],
    ['YES', 'on', 200, true],
    ['1', '0', 200, false],
    ['False', 'no', 404, undefined],
    ['off', '', 404, undefined],
  ])(
    'takes %j and %j from the environment for what they say',
    async (dashboard, evict, status, canEvict) => {
      const node = await ServeProcess.start([], {
        ROLLCALL_DASHBOARD: dashboard,
        ROLLCALL_DASHBOARD_EVICT: evict,
      });
      try {
        expect((await fetch(`${node.url}/dashboard/`)).status).toBe(status);
        expect((await node.get('/dashboard/cluster')).body['canEvict']).toBe(canEvict);
      } finally {
        await node.stop();
      }
    },
  );

  it('takes an empty variable of the environment for one that is not set', async () => {
    const node = await ServeProcess.start([], {
      ROLLCALL_REDIS: '',
      ROLLCALL_STRATEGY: '',
      ROLLCALL_NAME: '',
      ROLLCALL_LINGER_MS: '',
    });
    expect(await node.stop('SIGTERM')).toBe(0);
  });

  it('writes one ready line to standard output, logs JSON to standard error, ends with 0', async () => {
    const node = await ServeProcess.start(['--name', 'one']);
    expect(JSON.parse(node.process.stdout)).toEqual({
      event: 'ready',
      url: node.url,
      nodeId: node.nodeId,
    });
    const ada = await TestClient.join(node.url, { userId: 'lovelace', communities: ['c'] });
    const reasons: string[] = [];
    ada.socket.on('disconnect', (reason) => reasons.push(reason));
    ada.socket.io.reconnection(false);
    expect(await node.stop('SIGTERM')).toBe(0);
    await waitFor(() => reasons.length > 0, 'the disconnect');
    // The transport was closed: the client would come back by itself, to another node.
    expect(reasons).toEqual(['transport close']);
    expect(node.process.stdout.trim().split('\n')).toHaveLength(1);
    expect(node.log.map(({ event }) => event)).toEqual(['ready', 'serving', 'draining', 'stopped']);
    expect(node.process.stderr).not.toContain('lovelace');
  });

  it('drains and ends with 0 on SIGINT too', async () => {
    const node = await ServeProcess.start();
    expect(await node.stop('SIGINT')).toBe(0);
  });

  it('goes on though nobody reads that it is ready', async () => {
    const { child, url } = await withLog();
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await ends(child)).toBe(0);
  });

  it('ends on a signal though nobody reads its log any more', async () => {
    const { child, log } = await withLog();
    log.destroy();
    expect(await ends(child)).toBe(0);
  });

  it('serves, and ends on a signal, though who reads its log has stalled', async () => {
    const { child, log, url } = await withLog();
    log.pause();
    const reason = 'x'.repeat(200);
    // Far more than pipes and buffers hold on the way.
    for (let i = 0; i < 2000; i++) {
      const evicted = await fetch(`${url}/api/users/ada?reason=${reason}`, {
        method: 'DELETE',
        signal: AbortSignal.timeout(20_000),
      });
      expect(evicted.status).toBe(200);
      await evicted.arrayBuffer();
    }
    expect(await ends(child)).toBe(0);
  });

  it('drains though a client hangs that has megabytes to read', async () => {
    const node = await ServeProcess.start();
    const client = await TestClient.join(node.url, { userId: 'ada', communities: ['c'] });
    client.socket.io.reconnection(false);
    client.hang();
    const startedAt = performance.now();
    expect(await node.stop('SIGTERM')).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(8000);
    client.close();
  });

  it.runIf(hasRedis).each(['redis', 'redis-sharded', 'redis-streams'])(
    'drains though Redis is gone, over %s',
    async (adapter) => {
      const redis = await TestRedis.start();
      const node = await ServeProcess.start(['--redis', redis.url, '--adapter', adapter]);
      const client = await TestClient.join(node.url, { userId: 'ada', communities: ['c'] });
      client.socket.io.reconnection(false);
      await redis.kill();
      expect(await node.stop('SIGTERM')).toBe(0);
      expect(node.log.at(-1)).toMatchObject({ event: 'stopped' });
      client.close();
      await redis.stop();
    },
  );

  it.runIf(hasRedis)('logs once that Redis was lost, and once that it is back', async () => {
    const redis = await TestRedis.start();
    const node = await ServeProcess.start(['--redis', redis.url, '--heartbeat-ms', '200']);
    const count = (event: string): number =>
      node.log.filter((line) => line['event'] === event).length;
    await redis.kill();
    await waitFor(() => count('degraded') === 1, 'it to be degraded');
    await redis.restart();
    await waitFor(() => count('healed') === 1, 'it to be healed');
    // Once for each of the two connections.
    expect([count('redis-lost'), count('redis-back')]).toEqual([2, 2]);
    await node.stop();
    await redis.stop();
  });

  it('lets a page in from this machine under insecure, and from no other origin', async () => {
    const node = await ServeProcess.start();
    const handshake = async (origin?: string): Promise<number> => {
      const url = `${node.url}/socket.io/?EIO=4&transport=polling`;
      const response = await fetch(url, origin === undefined ? {} : { headers: { origin } });
      return response.status;
    };
    expect(await handshake()).toBe(200);
    expect(await handshake('http://localhost:5173')).toBe(200);
    expect(await handshake('https://evil.example')).toBe(403);
    await node.stop();
  });
});
