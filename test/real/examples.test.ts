import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { bundle, compile, ExampleServer } from '../support/example.js';
import { tied } from '../support/process.js';
import { hasPython, python } from '../support/python.js';
import { Relay } from '../support/relay.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';
import { pause, waitFor } from '../support/wait.js';

/** What is in examples/ runs as it says: servers with several frameworks, and a client in Python. */

const SERVERS = {
  express: 'express/server.mjs',
  fastify: 'fastify/server.mjs',
  nestjs: 'nestjs/dist/main.js',
  'express, bundled': 'express/dist/server.js',
  'fastify, bundled': 'fastify/dist/server.js',
} as const;
const NAMES = Object.keys(SERVERS) as (keyof typeof SERVERS)[];

describe.runIf(hasRedis).each(NAMES)('with %s', (name) => {
  let redis: TestRedis;
  let servers: ExampleServer[] = [];
  const clients: TestClient[] = [];
  beforeAll(async () => {
    const [folder, isBundled] = name.split(',') as [string, string?];
    if (folder === 'nestjs') await compile(folder);
    if (isBundled !== undefined) await bundle(folder);
    redis = await TestRedis.start();
  });
  afterAll(() => redis?.stop());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(servers.map((server) => server.stop()));
    servers = [];
  });

  const start = async (env: NodeJS.ProcessEnv): Promise<ExampleServer> => {
    const server = await ExampleServer.start(SERVERS[name], env);
    servers.push(server);
    return server;
  };
  const join = async (server: ExampleServer, user: string, more = {}): Promise<TestClient> => {
    const client = new TestClient(server.url, { name: user, deviceId: `${user}-1`, ...more });
    clients.push(client);
    await waitFor(
      () => client.model.rosters.has('lobby'),
      () => `the first list; ${server.stderr}`,
    );
    return client;
  };

  it('shows users of one instance on the other, and leaves in order', async () => {
    const [one, two] = await Promise.all([
      start({ REDIS_URL: redis.url }),
      start({ REDIS_URL: redis.url }),
    ]);
    const ada = await join(one, 'Ada');
    const bob = await join(two, 'Bob');
    await ada.sees('lobby', ['ada', 'bob']);
    await bob.sees('lobby', ['ada', 'bob']);
    expect(await (await fetch(`${two.url}/online`)).json()).toEqual([
      { userId: 'ada', status: 'active' },
      { userId: 'bob', status: 'active' },
    ]);
    expect(await one.stop('SIGTERM')).toBe(0);
    await bob.sees('lobby', ['bob']);
    expect(bob.violations).toEqual([]);
  });

  it('goes on when the connection to Redis is lost with commands on their way', async () => {
    const relay = await Relay.start(redis.port);
    try {
      const env = { REDIS_URL: relay.url };
      const [one, two] = await Promise.all([start(env), start(env)]);
      const ada = await join(one, 'Ada');
      const bob = await join(two, 'Bob');
      await bob.sees('lobby', ['ada', 'bob']);
      relay.hold('up');
      // Two heartbeats are under way then, which nobody will answer.
      await pause(2500);
      relay.cut();
      relay.heal();
      const eve = await join(one, 'Eve');
      await bob.sees('lobby', ['ada', 'bob', 'eve']);
      for (const { violations } of [ada, bob, eve]) expect(violations).toEqual([]);
      for (const server of [one, two]) expect(server.hasExited, server.stderr).toBe(false);
    } finally {
      await relay.stop();
    }
  });

  it('runs alone without Redis', async () => {
    const server = await start({});
    const ada = await join(server, 'Ada');
    await ada.sees('lobby', ['ada']);
    // As createPresenceDevice connects somebody again who is invisible.
    await join(server, 'Eve', { session: 2, status: 'invisible' });
    await ada.send('presenceSync', 'lobby');
    expect(ada.model.count('userOnline', 'eve')).toBe(0);
    if (name === 'express') {
      expect((await fetch(`${server.url}/dashboard`)).status).toBe(200);
    }
    ada.close();
    expect(await server.stop('SIGTERM')).toBe(0);
    // Nothing was sent to other nodes over an adapter that knows of none.
    expect(server.stderr).toBe('');
  });
});

describe.runIf(hasPython)('in Python', () => {
  it('sees what other clients see, sets its status and says goodbye', async () => {
    const node = await ServeProcess.start();
    const ada = await TestClient.join(node.url, { userId: 'ada', communities: ['team'] });
    const script = fileURLToPath(new URL('../../examples/python/client.py', import.meta.url));
    const robot = tied(spawn(python, [script, node.url, 'robot', 'team']));
    let said = '';
    robot.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    robot.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const says = (line: string): Promise<unknown> =>
      waitFor(
        () => said.split('\n').includes(line),
        () => `${line}; it said: ${said}`,
      );
    try {
      await says('online: ada (active), robot (busy)');
      await ada.sees('team', ['ada', 'robot']);
      await ada.send('presenceUpdate', { status: 'idle' });
      await says('online: ada (idle), robot (busy)');
      ada.socket.disconnect();
      await says('online: robot (busy)');
      ada.socket.connect();
      await ada.sees('team', ['ada', 'robot']);
      const ended = once(robot, 'exit');
      robot.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      // At once, long before the linger ends.
      await ada.sees('team', ['ada'], 3000);
      expect(ada.violations).toEqual([]);
    } finally {
      robot.kill('SIGKILL');
      ada.close();
      await node.stop();
    }
  });
});
