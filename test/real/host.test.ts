import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import type { ServerOptions, Socket } from 'socket.io';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  dualWrite,
  onDemand,
  redisOnly,
  replicated,
  type Presence,
  type PresenceOptions,
  type Strategy,
} from 'rollcall';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';

/**
 * What an application may do to its server and its sockets: end them, take listeners off, add presence
 * twice or in an odd place, close in another order.
 */

const applications: Application[] = [];
const clients: TestClient[] = [];
const opened: Redis[] = [];
const logged: { event?: string }[] = [];
let redis: TestRedis;
let clusters = 0;

/** An ioredis client as SOCKETIO's adapters want it. */
function connect(): Redis {
  const client = new Redis(redis.port, { maxRetriesPerRequest: null });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

const STRATEGIES: Record<string, () => Strategy> = {
  replicated: () => replicated(),
  'on-demand': () => onDemand(),
  'dual-write': () => dualWrite({ redis: connect() }),
  redis: () => redisOnly({ redis: connect() }),
  'replicated({ redis })': () => replicated({ redis: connect() }),
  'on-demand({ redis })': () => onDemand({ redis: connect() }),
};
const NAMES = Object.keys(STRATEGIES);

async function application(options: Partial<ServerOptions> = {}): Promise<Application> {
  const adapter = createAdapter(connect(), connect());
  const started = await Application.start({ adapter, ...options });
  applications.push(started);
  return started;
}

const note = (data: object): void => void logged.push(data);

/** Options of one node more in a cluster. */
function node(
  name: string,
  cluster: string,
  more: Partial<PresenceOptions> = {},
): Partial<PresenceOptions> {
  return {
    cluster,
    strategy: (STRATEGIES[name] as () => Strategy)(),
    lingerMs: 1000,
    logger: { info: note, warn: note, error: note },
    ...more,
  };
}

interface Pair {
  readonly one: Application;
  readonly two: Application;
  readonly first: Presence;
  readonly second: Presence;
  readonly cluster: string;
}

/** Two servers with presence; `prepare` has the first one before presence is added. */
async function pair(
  name: string,
  more: Partial<PresenceOptions> = {},
  prepare: (one: Application) => void = () => {},
): Promise<Pair> {
  const cluster = `host-${++clusters}`;
  const [one, two] = [await application(), await application()];
  prepare(one);
  const first = one.present(node(name, cluster, more));
  const second = two.present(node(name, cluster, more));
  await Promise.all([first.ready(), second.ready()]);
  return { one, two, first, second, cluster };
}

function begin(url: string, userId: string, more: Record<string, unknown> = {}): TestClient {
  const client = new TestClient(url, {
    userId,
    deviceId: `${userId}-1`,
    communities: ['c'],
    ...more,
  });
  clients.push(client);
  return client;
}

async function join(
  url: string,
  userId: string,
  more: Record<string, unknown> = {},
): Promise<TestClient> {
  const client = begin(url, userId, more);
  await waitFor(() => client.model.rosters.has('c'), `the first list of ${userId}`);
  return client;
}

function violations(): string[] {
  return clients.flatMap((client) => client.violations);
}

describe.runIf(hasRedis)('what an application does to its server', () => {
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(applications.splice(0).map((each) => each.stop()));
    await Promise.all(opened.splice(0).map((each) => each.quit()));
    logged.length = 0;
  });

  describe('a socket that is ended while it connects is nobody’s presence', () => {
    const isBanned = (socket: Socket): boolean => socket.handshake.auth['banned'] === true;
    const kick = (socket: Socket): void => void (isBanned(socket) && socket.disconnect());

    /** Eve is kicked out, and a user that comes after her is seen without her. */
    async function isNowhere({ one, two, first, second }: Pair): Promise<void> {
      const bob = await join(two.url, 'bob');
      const eve = begin(one.url, 'eve', { banned: true });
      await waitFor(() => !eve.socket.active, 'eve to be kicked out');
      const ada = await join(one.url, 'ada');
      for (const client of [ada, bob]) await client.sees('c', ['ada', 'bob']);
      for (const presence of [first, second]) {
        expect((await presence.fetchUser('eve')).communities).toEqual([]);
      }
      expect(bob.model.count('userOnline', 'eve')).toBe(0);
      expect(violations()).toEqual([]);
    }

    it.each(NAMES)('by a connection handler that was there before: %s', async (name) => {
      await isNowhere(await pair(name, {}, ({ io }) => void io.on('connection', kick)));
    });

    it.each(NAMES)('by a connect handler, which comes before all: %s', async (name) => {
      const nodes = await pair(name);
      nodes.one.io.on('connect', kick);
      await isNowhere(nodes);
    });
  });
});
