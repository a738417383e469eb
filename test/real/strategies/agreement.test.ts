import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Presence } from 'rollcall';
import { createPresenceReader } from 'rollcall/redis';
import { Random } from '../../../src/sim/prng.js';
import { Application } from '../../support/application.js';
import { TestClient } from '../../support/client.js';
import { hasRedis, TestRedis } from '../../support/redis.js';
import { pause } from '../../support/wait.js';
import { INDEXED, VARIANTS, variantOf } from './variants.js';

/**
 * Whatever users do, and nodes that come and go meanwhile: once it is quiet, what every client was told,
 * what it is answered, and what every read of every node and a reader gives are the same to the last field.
 */

const TIMINGS = { heartbeatMs: 200, downAfterMs: 2000, lingerMs: 1000, typingTimeoutMs: 700 };
const COMMUNITIES = ['a', 'b', 'c'];
const USERS = 12;
const NODES = 3;
const ROUNDS = 2;
const ROUND_MS = 2500;
/** What nobody says anything of any more is the same everywhere after so long at the latest. */
const AGREED_MS = 15_000;

type User = Readonly<{ userId: string; devices: readonly { readonly deviceId: string }[] }>;

interface Node {
  readonly application: Application;
  readonly presence: Presence;
  readonly redis: ReturnType<typeof createClient>[];
}

/** One device, as the play wants it to be. */
class Device {
  readonly userId: string;
  readonly deviceId: string;
  readonly rooms = new Set<string>();
  client: TestClient | undefined;
  at: Node | undefined;
  awayUntil = 0;

  constructor(userId: string, deviceId: string) {
    this.userId = userId;
    this.deviceId = deviceId;
  }
}

/** What somebody says of a community. */
interface Claim {
  readonly by: string;
  readonly users: readonly User[];
  /** Who says it, where that is a user: they see themselves though they are invisible. */
  readonly self?: string;
}

class Play {
  readonly #variant: string;
  readonly #redis: TestRedis;
  readonly #random: Random;
  readonly #prefix: string;
  readonly #nodes: Node[] = [];
  readonly #devices: Device[] = [];
  readonly violations: string[] = [];
  offlines = 0;

  constructor(variant: string, redis: TestRedis, seed: number) {
    this.#variant = variant;
    this.#redis = redis;
    this.#random = new Random(seed, 'agreement');
    this.#prefix = `agreement-${Object.keys(VARIANTS).indexOf(variant)}`;
    for (let i = 0; i < USERS; i++) {
      for (const deviceId of i % 3 === 0 ? ['one', 'two'] : ['one']) {
        this.#devices.push(new Device(`u${i}`, deviceId));
      }
    }
  }

  async start(): Promise<void> {
    while (this.#nodes.length < NODES) await this.#startNode();
  }

  async #startNode(): Promise<void> {
    const redis = createClient({ url: this.#redis.url });
    const subscriber = redis.duplicate();
    for (const each of [redis, subscriber]) each.on('error', () => {});
    await Promise.all([redis.connect(), subscriber.connect()]);
    const adapter = createAdapter(redis, subscriber, { key: this.#prefix });
    const application = await Application.start({ adapter });
    const fail = (data: object, what: string): void =>
      void this.violations.push(`${what} ${JSON.stringify(data)}`);
    const presence = application.present({
      strategy: variantOf(this.#variant, { redis, prefix: this.#prefix }),
      logger: { info: () => {}, warn: () => {}, error: fail },
      ...TIMINGS,
    });
    await presence.ready();
    this.#nodes.push({ application, presence, redis: [redis, subscriber] as Node['redis'] });
  }

  async #stopNode(node: Node): Promise<void> {
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    await node.application.stop();
    for (const each of node.redis) await each.close().catch(() => {});
  }

  async stop(): Promise<void> {
    for (const device of this.#devices) this.#end(device)?.close();
    while (this.#nodes.length > 0) await this.#stopNode(this.#nodes[0] as Node);
  }

  async round(): Promise<void> {
    const rolling = pause(ROUND_MS / 2).then(async () => {
      await this.#stopNode(this.#random.pick(this.#nodes));
      await this.#startNode();
    });
    for (const end = performance.now() + ROUND_MS; performance.now() < end;) {
      this.#act(this.#random.pick(this.#devices));
      await pause(this.#random.between(0, 25));
    }
    await rolling;
  }

  #act(device: Device): void {
    const { client } = device;
    const random = this.#random;
    const dice = random.next();
    if (client === undefined) {
      if (performance.now() >= device.awayUntil) this.#connect(device);
    } else if (!client.socket.connected) return;
    else if (dice < 0.1) this.#away(device, (lost) => lost.drop());
    else if (dice < 0.2) this.#away(device, (left) => left.close());
    else if (dice < 0.3) this.#toggle(device, client);
    else if (dice < 0.34) this.#connectTwice(device);
    else if (dice < 0.38) this.#evict(random.pick(this.#devices));
    else client.socket.emit('presenceUpdate', this.#patch(), () => {});
  }

  #patch(): object {
    const random = this.#random;
    return random.pick<() => object>([
      () => ({ status: random.pick(['active', 'idle', 'busy', 'invisible', null]) }),
      () => ({ typing: random.chance(0.6) }),
      () => ({ boardId: random.chance(0.2) ? null : `board-${random.int(0, 5)}` }),
      () => ({ meta: random.chance(0.2) ? null : { n: random.int(0, 5) } }),
    ])();
  }

  #connect(device: Device): void {
    const { userId, deviceId, rooms } = device;
    const random = this.#random;
    if (rooms.size === 0) rooms.add(random.pick(COMMUNITIES));
    const info = random.chance(0.5) ? { info: { name: `name-${random.int(0, 2)}` } } : {};
    const auth = { userId, deviceId, communities: [...rooms], ...info };
    device.at = random.pick(this.#nodes);
    const client = new TestClient(device.at.application.url, auth, { reconnection: false });
    device.client = client;
    const isOver = (): void => {
      if (device.client === client) this.#end(device);
    };
    client.socket.on('disconnect', isOver);
    client.socket.on('connect_error', isOver);
  }

  #end(device: Device): TestClient | undefined {
    const { client } = device;
    device.client = undefined;
    device.at = undefined;
    const { violations = [], model } = client ?? {};
    this.violations.push(...violations.map((what) => `${device.userId} is told ${what}`));
    this.offlines += model?.count('userOffline') ?? 0;
    return client;
  }

  #away(device: Device, how: (client: TestClient) => void): void {
    device.awayUntil = performance.now() + this.#random.between(0, 2 * TIMINGS.lingerMs);
    const client = this.#end(device);
    if (client !== undefined) how(client);
  }

  #toggle({ rooms }: Device, { socket, model }: TestClient): void {
    const communityId = this.#random.pick(COMMUNITIES);
    if (!rooms.has(communityId)) {
      rooms.add(communityId);
      socket.emit('joinCommunity', communityId, () => {});
    } else if (rooms.delete(communityId)) {
      socket.emit('leaveCommunity', communityId, () => {
        if (!rooms.has(communityId)) model.rosters.delete(communityId);
      });
    }
  }

  /** The same device somewhere else, while its old connection still stands. */
  #connectTwice(device: Device): void {
    const old = this.#end(device);
    this.#connect(device);
    setTimeout(() => old?.close(), this.#random.between(0, 300));
  }

  #evict({ userId, deviceId }: Device): void {
    const target = this.#random.chance(0.5) ? { userId } : { userId, deviceId };
    this.#random
      .pick(this.#nodes)
      .presence.evict(target)
      // By a node that is about to go.
      .catch(() => {});
  }

  /** Lets a moment pass in which nobody does anything; gives what is not the same everywhere by then. */
  async disagreements(): Promise<string[]> {
    const deadline = performance.now() + AGREED_MS;
    for (;;) {
      const found = await this.#differences();
      if (found.length === 0 || performance.now() > deadline) return found;
      await pause(100);
    }
  }

  get #connected(): Device[] {
    return this.#devices.filter(({ client }) => client?.socket.connected === true);
  }

  /** How many are there, for the test to show that it looks at something. */
  get size(): number {
    return this.#connected.length;
  }

  async #differences(): Promise<string[]> {
    const found: string[] = [];
    const connected = this.#connected;
    const users = await Promise.all(this.#nodes.map((node) => this.#usersAt(node)));
    for (const communityId of COMMUNITIES) {
      const here = connected.filter(({ rooms }) => rooms.has(communityId));
      const there = new Set(here.map(({ userId, deviceId }) => `${userId}/${deviceId}`));
      const [first, ...others] = await this.#claims(communityId, here, users);
      const said = byUser((first as Claim).users);
      for (const key of devicesIn((first as Claim).users)) {
        if (!there.has(key)) found.push(`${key} is a ghost in ${communityId}`);
      }
      for (const { by, users: claimed, self } of others) {
        const claim = byUser(claimed);
        if (self !== undefined && !claim.has(self)) found.push(`${self} does not see themselves`);
        for (const userId of new Set([...said.keys(), ...claim.keys()])) {
          const [one, other] = [said.get(userId), claim.get(userId)];
          if ((userId === self && one === undefined) || isDeepStrictEqual(one, other)) continue;
          const texts = [one, other].map((user) => JSON.stringify(user) ?? 'nobody');
          found.push(`${communityId}: ${userId} is ${texts[0]}, and ${texts[1]} for ${by}`);
        }
      }
    }
    return found;
  }

  /** Everything that is said of a community, what a node is asked first. */
  async #claims(
    communityId: string,
    here: readonly Device[],
    users: readonly (readonly User[])[],
  ): Promise<Claim[]> {
    const claims: Claim[] = [];
    for (const [i, { presence }] of this.#nodes.entries()) {
      const { users: fetched, info } = await presence.fetchCommunity(communityId);
      claims.push({ by: `fetchCommunity at ${i}, ${info.complete}`, users: fetched });
      if (!info.complete) claims.push({ by: `node ${i}, which does not know all`, users: [] });
      const own = (users[i] as User[]).filter((user) => inCommunity(user, communityId));
      claims.push({ by: `fetchUser at ${i}`, users: own });
      const isHosted = here.some(({ at }) => at?.presence === presence);
      if (this.#variant === 'redis' || !isHosted) continue;
      claims.push({ by: `onlineUsers at ${i}`, users: presence.onlineUsers(communityId) });
    }
    if (INDEXED.includes(this.#variant)) {
      const [redis] = (this.#nodes[0] as Node).redis;
      const reader = createPresenceReader({ redis, prefix: this.#prefix });
      claims.push({ by: 'a reader', users: await reader.fetchOnlineUsers(communityId) });
    }
    for (const { client, userId: self, deviceId } of here) {
      const { model } = client as TestClient;
      const by = `${self}/${deviceId}`;
      claims.push({ by, self, users: [...(model.rosters.get(communityId)?.values() ?? [])] });
      const { users: answered = [] } = await (client as TestClient).send(
        'presenceSync',
        communityId,
      );
      claims.push({ by: `presenceSync of ${by}`, self, users: answered });
    }
    return claims;
  }

  async #usersAt({ presence }: Node): Promise<User[]> {
    const userIds = [...new Set(this.#devices.map(({ userId }) => userId))];
    const found = await Promise.all(userIds.map((userId) => presence.fetchUser(userId)));
    return found.flatMap(({ communities }) => communities);
  }
}

const inCommunity = (user: User, communityId: string): boolean =>
  (user as User & { communityId: string }).communityId === communityId;

/** As JSON carries them, so that what came over a wire and what did not compare. */
const byUser = (users: readonly User[]): Map<string, User> =>
  new Map((JSON.parse(JSON.stringify(users)) as User[]).map((user) => [user.userId, user]));

const devicesIn = (users: readonly User[]): string[] =>
  users.flatMap(({ userId, devices }) => devices.map(({ deviceId }) => `${userId}/${deviceId}`));

describe.runIf(hasRedis)('all agree in the end', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  it.each(Object.keys(VARIANTS))('under %s', { timeout: 120_000 }, async (variant) => {
    const seed = Number(process.env['AGREEMENT_SEED'] ?? randomInt(1, 1_000_000));
    const play = new Play(variant, redis, seed);
    try {
      await play.start();
      let most = 0;
      for (let round = 0; round < ROUNDS; round++) {
        await play.round();
        expect(await play.disagreements(), `AGREEMENT_SEED=${seed}`).toEqual([]);
        most = Math.max(most, play.size);
      }
      expect(most).toBeGreaterThan(2);
    } finally {
      await play.stop();
    }
    expect(play.violations, `AGREEMENT_SEED=${seed}`).toEqual([]);
    expect(play.offlines).toBeGreaterThan(0);
  });
});
