import { Random } from '../../src/sim/prng.js';
import type { StrategyName } from '../../src/strategy/index.js';
import { TestRedis } from '../support/redis.js';
import { pause } from '../support/wait.js';
import { Faults, type ChaosMedium, type Fault } from './faults.js';
import { Host } from './host.js';
import { Member } from './member.js';
import { Truth } from './truth.js';

export interface RoundOptions {
  readonly seed: number;
  readonly strategy: StrategyName;
  readonly medium: ChaosMedium;
  /** Nodes are killed, stopped and cut off, too. */
  readonly isHarsh: boolean;
  readonly nodes: number;
  readonly forMs: number;
}

export interface RoundResult {
  readonly options: RoundOptions;
  readonly faults: Readonly<Record<Fault, number>>;
  readonly eventsChecked: number;
  /** Devices at any one time that nobody may be told are gone, on average. */
  readonly known: number;
  readonly violations: readonly string[];
  readonly doubledEdges: number;
  readonly falseOfflines: number;
  readonly ghosts: number;
  readonly missing: number;
  /** From the end of the last fault until every view was the truth; null where it did not come to that. */
  readonly convergedMs: number | null;
  /** From SIGKILL until the last client was told that a user of that node is gone, per user. */
  readonly toldMs: readonly number[];
}

const TIMINGS = { heartbeatMs: 500, downAfterMs: 3000, lingerMs: 2000 };
/** I7 with these timings; and what processes that share a busy machine may take longer. */
const CONVERGES_MS =
  Math.max(2 * TIMINGS.downAfterMs, TIMINGS.downAfterMs + 7 * TIMINGS.heartbeatMs, 10_000) +
  TIMINGS.lingerMs +
  4 * TIMINGS.heartbeatMs;
const SLACK_MS = 10_000;
/** Before the first fault everybody gets to be known. */
const QUIET_MS = 4000;
const USERS = 90;
const COMMUNITIES = ['c0', 'c1', 'c2', 'c3'];

/** What must be told of a user of a killed node. */
interface Loss {
  readonly userId: string;
  readonly killedAt: number;
  toldAt: number;
}

/** One run on real processes: some hundred clients and faults at random, then peace, then the truth. */
export class Round {
  readonly #o: RoundOptions;
  readonly #random: Random;
  readonly #life: Random;
  readonly #hosts: Host[] = [];
  readonly #members: Member[] = [];
  readonly #violations: string[] = [];
  readonly #losses: Loss[] = [];
  readonly #redis: TestRedis;
  readonly #faults: Faults;
  #falseOfflines = 0;
  #looks = 0;
  #known = 0;

  private constructor(options: RoundOptions, redis: TestRedis) {
    this.#o = options;
    this.#redis = redis;
    this.#random = new Random(options.seed, 'faults');
    this.#life = new Random(options.seed, 'clients');
    const { medium, isHarsh } = options;
    const onKill = (host: Host): void => this.#loseWith(host);
    const random = this.#random;
    this.#faults = new Faults({ random, redis, hosts: this.#hosts, medium, isHarsh, onKill });
  }

  static async run(options: RoundOptions): Promise<RoundResult> {
    const redis = await TestRedis.start();
    const round = new Round(options, redis);
    try {
      return await round.#run();
    } finally {
      for (const member of round.#members) member.finish();
      await Promise.all(round.#hosts.map((host) => host.stop()));
      await redis.stop();
    }
  }

  async #run(): Promise<RoundResult> {
    await this.#build();
    const endsAt = performance.now() + this.#o.forMs;
    let harmAt = performance.now() + QUIET_MS;
    while (performance.now() < endsAt) {
      this.#act();
      this.#watch();
      if (performance.now() >= harmAt) {
        this.#faults.begin();
        harmAt = performance.now() + this.#random.between(500, 2500);
      }
      await pause(this.#life.between(20, 120));
    }
    await this.#faults.over();
    return this.#judge();
  }

  async #build(): Promise<void> {
    const { strategy, medium, nodes } = this.#o;
    const flags = {
      '--strategy': strategy,
      ...(medium === 'channels'
        ? { '--transport': 'redis', '--adapter': 'memory' }
        : { '--adapter': medium }),
      '--heartbeat-ms': TIMINGS.heartbeatMs,
      '--down-after-ms': TIMINGS.downAfterMs,
      '--linger-ms': TIMINGS.lingerMs,
    };
    const args = Object.entries(flags).flatMap(([flag, value]) => [flag, String(value)]);
    for (let i = 0; i < nodes; i++) {
      const host = await Host.prepare(this.#redis, `node-${i}`, args);
      this.#hosts.push(host);
      await host.start();
    }
    const host = {
      route: () => this.#route(),
      lingerMs: TIMINGS.lingerMs,
      isRedisThere: () => this.#faults.isRedisThere,
      isCalm: () => this.#faults.isCalm,
      onOffline: (...told: Parameters<Round['onOffline']>) => this.onOffline(...told),
    };
    for (let i = 0; i < USERS; i++) {
      const first = COMMUNITIES[i % COMMUNITIES.length] as string;
      const rooms = i % 5 === 0 ? [first, this.#life.pick(COMMUNITIES)] : [first];
      for (const device of i % 3 === 0 ? ['laptop', 'phone'] : ['laptop']) {
        this.#members.push(new Member(host, `u${i}`, device, [...new Set(rooms)]));
      }
    }
    for (const member of this.#members) if (this.#life.chance(0.85)) member.connect();
    await until(() => this.#wanted.every((member) => member.isConnected), 30_000);
  }

  get #wanted(): Member[] {
    return this.#members.filter((member) => member.client !== undefined);
  }

  #route(): Host {
    const up = this.#hosts.filter((host) => host.isUp);
    return this.#life.pick(up.length > 0 ? up : this.#hosts);
  }

  #watch(): void {
    for (const member of this.#members) member.watch(performance.now());
    this.#looks++;
    this.#known += this.#members.filter(
      ({ isKnown, isConnected }) => isKnown && isConnected,
    ).length;
  }

  /** One client does something. */
  #act(): void {
    const life = this.#life;
    const member = life.pick(this.#members);
    const dice = life.next();
    if (member.client === undefined) {
      if (performance.now() >= member.awayUntil && dice < 0.7) member.connect();
    } else if (dice < 0.2) member.drop();
    else if (dice < 0.28) member.end('left', life.between(0, 3000));
    else if (dice < 0.34) member.end('lost', life.between(100, 8000));
    else if (dice < 0.42) member.toggle(life.pick(COMMUNITIES));
    else if (dice < 0.6) member.update({ typing: true });
    else if (dice < 0.75) member.update({ status: life.pick(['active', 'idle', 'busy']) });
    else member.update({ boardId: `board-${life.int(0, 9)}` });
  }

  /** Some devices of a node that is killed go with it for good. */
  #loseWith(host: Host): void {
    const killedAt = performance.now();
    for (const member of this.#members) {
      if (member.at !== host || !member.isConnected || !this.#life.chance(0.4)) continue;
      const others = this.#members.filter(
        (other) => other !== member && other.userId === member.userId,
      );
      if (others.some((other) => other.client !== undefined)) continue;
      member.end('killed', 20_000);
      for (const other of others) other.awayUntil = Math.max(other.awayUntil, killedAt + 20_000);
      this.#losses.push({ userId: member.userId, killedAt, toldAt: 0 });
    }
  }

  /** I10: nobody is told offline of whom every sound node must know. */
  onOffline(observer: Member, told: { userId: string; communityId: string; reason: string }): void {
    const { userId, communityId, reason } = told;
    const now = performance.now();
    if (reason === 'node-down') {
      const loss = this.#losses.findLast((one) => one.userId === userId);
      if (loss !== undefined && now - loss.killedAt < 20_000) loss.toldAt = now;
    }
    if (observer.at?.isTroubled !== false) return;
    const devices = this.#members.filter((member) => member.userId === userId);
    const connected = devices.find(
      (device) =>
        device.isKnown &&
        device.isConnected &&
        device.at?.isTroubled === false &&
        device.rooms.has(communityId) &&
        // What is left deliberately is told at once, before a return elsewhere may be known.
        (reason !== 'left' || now - device.connectedAt > 3000),
    );
    if (connected === undefined) return;
    this.#falseOfflines++;
    const since = Math.round(now - connected.connectedAt);
    this.#violations.push(
      `I10: ${observer.key} is told at ${observer.at.url} that ${userId} is offline in ${communityId} (${reason}); ${connected.key} is connected to ${connected.at?.url} for ${since} ms`,
    );
  }

  /** All is whole: within the bound every view must be the truth, and all must stay so. */
  async #judge(): Promise<RoundResult> {
    const healedAt = performance.now();
    const truth = new Truth(this.#members, this.#hosts);
    // A fault at the very end may not have been noticed yet: the nodes have to say so, too.
    let wrong: string[] = [];
    const isDone = await until(async () => {
      if (!truth.isSeen) return false;
      wrong = [...(await truth.overHttp()), ...(await truth.disagreements())];
      return wrong.length === 0;
    }, CONVERGES_MS + SLACK_MS);
    const convergedMs = isDone ? Math.round(performance.now() - healedAt) : null;
    const { ghosts, missing } = truth.differences;
    if (isDone) await this.#demandNews(truth);
    else {
      const found = [...truth.report, ...wrong].slice(0, 20);
      this.#violations.push(...found.map((what) => `I7: ${what}`));
    }
    const own = this.#o.strategy === 'replicated' ? await this.#counted() : [];
    for (const host of this.#hosts) {
      if (host.node?.process.hasExited !== false) this.#violations.push(`${host.url} is down`);
      this.#violations.push(...host.violations);
    }
    for (const member of this.#members) {
      member.finish();
      this.#violations.push(...member.violations);
    }
    this.#violations.push(...own);
    const violations = [...this.#violations];
    return {
      options: this.#o,
      faults: this.#faults.counts,
      eventsChecked: this.#members.reduce((sum, member) => sum + member.eventsChecked, 0),
      known: Math.round(this.#known / this.#looks),
      violations,
      doubledEdges: violations.filter((what) => what.startsWith('I5')).length,
      falseOfflines: this.#falseOfflines,
      ghosts,
      missing,
      convergedMs,
      toldMs: this.#losses.flatMap(({ toldAt, killedAt }) =>
        toldAt === 0 ? [] : [Math.round(toldAt - killedAt)],
      ),
    };
  }

  /** What some devices say last is what everybody sees, and all is still as it was. */
  async #demandNews(truth: Truth): Promise<void> {
    const boards = new Map<string, string>();
    for (const [i, member] of this.#wanted.entries()) {
      if (i % 4 !== 0) continue;
      boards.set(member.key, `last-${i}`);
      member.update({ boardId: `last-${i}`, status: 'active' });
    }
    if (!(await until(() => truth.isSeen && truth.sees(boards), SLACK_MS))) {
      this.#violations.push(
        'I7: what was said after the faults is not seen by all',
        ...truth.report,
      );
    }
  }

  /** What nodes count of their own mistakes. */
  async #counted(): Promise<string[]> {
    const found: string[] = [];
    for (const { node, url } of this.#hosts) {
      for (const name of ['rollcall_divergence_total', 'rollcall_failures_total']) {
        const count = (await node?.metric(name)) ?? 0;
        if (count > 0) found.push(`I3: ${name} is ${count} at ${url}`);
      }
    }
    return found;
  }
}

/** Whether a condition comes to hold in time. */
async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await pause(20);
  }
  return true;
}
