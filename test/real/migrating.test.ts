import { fileURLToPath } from 'node:url';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ExampleServer } from '../support/example.js';
import { NodeProcess } from '../support/process.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';

/** The steps of examples/migrating, rolled out server by server under connected clients. */

interface MapUser {
  readonly userId: string;
  readonly name?: string;
}

/** A client from before, which knows the map's events only. */
class MapClient {
  readonly socket: Socket;
  readonly users = new Map<string, MapUser>();

  constructor(url: string, name: string) {
    const auth = { name, deviceId: `${name}-1` };
    const reconnectionDelayMax = 500;
    this.socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      auth,
      reconnectionDelayMax,
    });
    this.socket.on('onlineUsers', (users: MapUser[]) => {
      this.users.clear();
      for (const user of users) this.users.set(user.userId, user);
    });
    this.socket.on('userOnline', (user: MapUser) => {
      if ('communityId' in user) return;
      this.users.set(user.userId, user);
    });
  }

  get ids(): string {
    return [...this.users.keys()].sort().join();
  }
}

/** examples/migrating/client.mjs, and what it has printed. */
class PrintingClient {
  readonly process: NodeProcess;

  constructor(url: string, name: string) {
    const script = new URL('../../examples/migrating/client.mjs', import.meta.url);
    this.process = new NodeProcess(fileURLToPath(script), [url, name]);
  }

  /** Whom it has shown, from its first line to its last. */
  get shown(): string[][] {
    const lines = this.process.stdout.split('\n').slice(0, -1);
    return lines.map((line) => line.replace('online: ', '').split(', '));
  }

  shows(userIds: string): Promise<unknown> {
    return waitFor(
      () => this.shown.at(-1)?.join() === userIds,
      () => `${userIds}; it printed: ${this.process.stdout}${this.process.stderr}`,
    );
  }

  /** Those whom it showed as gone, though nobody left. */
  get flickers(): string[] {
    const { shown } = this;
    return shown.flatMap((users, i) => (shown[i - 1] ?? []).filter((id) => !users.includes(id)));
  }
}

describe.runIf(hasRedis)('from a hand-rolled map to rollcall', () => {
  let redis: TestRedis;
  let servers: ExampleServer[] = [];
  const old: MapClient[] = [];
  const clients: PrintingClient[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis?.stop());
  afterEach(async () => {
    for (const { socket } of old.splice(0)) socket.disconnect();
    const running = [...clients.splice(0).map(({ process }) => process), ...servers.splice(0)];
    await Promise.all(running.map((each) => each.stop()));
  });

  const start = (step: string, env: NodeJS.ProcessEnv = {}): Promise<ExampleServer> =>
    ExampleServer.start(`migrating/${step}.mjs`, { REDIS_URL: redis.url, ...env });
  const connect = (server: ExampleServer | undefined, name: string): PrintingClient => {
    const client = new PrintingClient(server?.url as string, name);
    clients.push(client);
    return client;
  };
  /** Puts a server in the place of another, as a deploy does. */
  const replace = async (i: number, step: string, strategy = ''): Promise<void> => {
    const { url } = servers[i] as ExampleServer;
    expect(await servers[i]?.stop('SIGTERM')).toBe(0);
    servers[i] = await start(step, { PORT: new URL(url).port, STRATEGY: strategy });
    await waitFor(() => old.every(({ socket }) => socket.connected), 'everybody to be back');
  };

  it('makes nobody flicker for clients that listen to rollcall, at any step', async () => {
    servers = await Promise.all([start('1-map'), start('1-map')]);
    const [ada, bob] = servers.map(({ url }, i) => new MapClient(url, ['Ada', 'Bob'][i] as string));
    old.push(ada as MapClient, bob as MapClient);
    await waitFor(() => old.every(({ users }) => users.size > 0), 'the lists of the map');

    // The mixed fleet: rollcall knows those on the new server, the map goes on as it was.
    await replace(0, '2-beside');
    const cleo = connect(servers[0], 'Cleo');
    await cleo.shows('ada,cleo');
    await waitFor(() => bob?.users.has('cleo'), 'the map of the old server to have Cleo');
    await replace(1, '2-beside');
    await cleo.shows('ada,bob,cleo');
    const dan = connect(servers[1], 'Dan');
    const everybody = 'ada,bob,cleo,dan';
    await dan.shows(everybody);
    await cleo.shows(everybody);
    await waitFor(
      () => ada?.ids.includes('dan') === true,
      () => `the map to go on; it has ${ada?.ids}`,
    );
    expect([...(ada?.users.values() ?? [])].every(({ name }) => name !== undefined)).toBe(true);

    for (const strategy of ['on-demand', 'replicated']) {
      for (const i of servers.keys()) {
        await replace(i, '3-rollcall', strategy);
        // Whoever comes to the mixed fleet sees all of it: Ada, with another device.
        const late = connect(servers[1 - i], 'ADA');
        await late.shows(everybody);
        await late.process.stop('SIGTERM');
      }
    }
    for (const client of [cleo, dan]) {
      await client.shows(everybody);
      expect(client.flickers).toEqual([]);
    }
    // That somebody leaves is shown, and at once.
    await dan.process.stop('SIGTERM');
    await cleo.shows('ada,bob,cleo');
    expect(cleo.flickers).toEqual(['dan']);
  });
});
