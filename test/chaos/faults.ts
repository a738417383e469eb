import type { Random } from '../../src/sim/prng.js';
import type { Medium } from '../support/cluster-under-test.js';
import type { TestRedis } from '../support/redis.js';
import { pause } from '../support/wait.js';
import type { Host } from './host.js';

export const FAULTS = {
  kill: 'SIGKILL and restart',
  stop: 'SIGSTOP and SIGCONT',
  hiccup: 'SIGSTOP, shorter than is noticed',
  cut: 'cut off from Redis',
  hold: 'held from Redis, one way or both',
  delay: 'far from Redis',
  redis: 'Redis killed and restarted',
  listeners: 'connections of subscribers killed',
  roll: 'one node of a rolling restart',
} as const;

export type Fault = keyof typeof FAULTS;

/** What leaves every node that serves in touch with Redis, as Redis itself is. */
const GENTLE: readonly Fault[] = ['hiccup', 'delay', 'redis', 'listeners', 'listeners', 'roll'];
const HARSH: readonly Fault[] = ['kill', 'kill', 'stop', 'cut', 'hold', 'hold', ...GENTLE];

/** An adapter over Redis, or channels of rollcall's own in Redis. */
export type ChaosMedium = Exclude<Medium, 'cluster'> | 'channels';

export interface FaultsHost {
  readonly random: Random;
  readonly redis: TestRedis;
  readonly hosts: readonly Host[];
  readonly medium: ChaosMedium;
  readonly isHarsh: boolean;
  readonly onKill: (host: Host) => void;
}

/** Does harm at random, each fault for a while, and at least one node is always left alone. */
export class Faults {
  readonly counts = Object.fromEntries(Object.keys(FAULTS).map((kind) => [kind, 0])) as Record<
    Fault,
    number
  >;
  readonly #host: FaultsHost;
  readonly #deck: Fault[] = [];
  readonly #running = new Set<Promise<void>>();
  /** Redis is away, or was lately: what has come or moved meanwhile may not be known yet. */
  #redisAwayUntil = 0;
  /** Subscribers have lost their connections: what was told meanwhile has to be pulled. */
  #deafUntil = 0;

  constructor(host: FaultsHost) {
    this.#host = host;
  }

  get isRedisThere(): boolean {
    return performance.now() >= this.#redisAwayUntil;
  }

  get isCalm(): boolean {
    return this.isRedisThere && performance.now() >= this.#deafUntil;
  }

  /** Begins one more fault, where there is room for it. */
  begin(): void {
    const { random, hosts, isHarsh } = this.#host;
    const kind = this.#next();
    const idle = hosts.filter((host) => host.isUp && !host.isBusy);
    const busy = hosts.filter((host) => host.isBusy).length;
    if (kind === 'redis' || kind === 'listeners') {
      if (this.#redisAwayUntil === Infinity) this.#deck.push(kind);
      else this.#run(kind, kind === 'redis' ? this.#killRedis() : this.#killListeners());
    } else if (idle.length < 2 || busy >= (isHarsh ? 2 : 1)) {
      this.#deck.push(kind);
    } else {
      const host = random.pick(idle);
      host.isBusy = true;
      this.#run(
        kind,
        this.#harm(kind, host).finally(() => (host.isBusy = false)),
      );
    }
  }

  /** Every kind comes up before any comes up again more often than it should. */
  #next(): Fault {
    const { random, isHarsh } = this.#host;
    if (this.#deck.length === 0) this.#deck.push(...(isHarsh ? HARSH : GENTLE));
    return this.#deck.splice(random.int(0, this.#deck.length - 1), 1)[0] as Fault;
  }

  #run(kind: Fault, fault: Promise<void>): void {
    this.counts[kind]++;
    const running = fault.finally(() => this.#running.delete(running));
    this.#running.add(running);
    // What fails is told by `over`.
    running.catch(() => {});
  }

  async #harm(kind: Exclude<Fault, 'redis' | 'listeners'>, host: Host): Promise<void> {
    const { random, onKill } = this.#host;
    const { relay } = host;
    switch (kind) {
      case 'kill':
        host.troubled();
        onKill(host);
        await host.end('SIGKILL');
        await pause(random.between(200, 6000));
        await host.start();
        host.eased();
        return;
      case 'roll':
        await host.end('SIGTERM');
        await host.start();
        return;
      case 'stop':
      case 'hiccup':
        if (kind === 'stop') host.troubled();
        host.node?.signal('SIGSTOP');
        await pause(kind === 'stop' ? random.between(1000, 6000) : random.between(50, 600));
        host.node?.signal('SIGCONT');
        if (kind === 'stop') host.eased();
        return;
      case 'delay':
        relay.delay(random.between(10, 150));
        await pause(random.between(1000, 4000));
        relay.heal();
        return;
      case 'cut':
      case 'hold':
        host.troubled();
        if (kind === 'cut') relay.cut();
        else relay.hold(...random.pick([['up'], ['down'], ['up', 'down']] as const));
        await pause(random.between(1000, 7000));
        relay.heal();
        host.eased();
    }
  }

  async #killRedis(): Promise<void> {
    const { random, redis } = this.#host;
    this.#redisAwayUntil = Infinity;
    await redis.kill();
    await pause(random.between(200, 4000));
    await redis.restart();
    this.#redisAwayUntil = performance.now() + 4000;
  }

  async #killListeners(): Promise<void> {
    const { redis, medium } = this.#host;
    const type = medium === 'redis-streams' ? 'normal' : 'pubsub';
    this.#deafUntil = performance.now() + 1500;
    await redis.command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
  }

  /** Waits until everything is whole again. */
  async over(): Promise<void> {
    await Promise.all(this.#running);
  }
}
