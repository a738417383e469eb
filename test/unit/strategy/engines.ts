import type { Route, UserPresence } from '../../../src/core/index.js';
import type { Engine, EngineEffect, Strategy, StoreCommand } from '../../../src/strategy/index.js';
import { StreamModel } from '../../support/stream.js';

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Time = { now: number; wall: number };

export interface Faults {
  readonly loss: number;
  readonly repeat: number;
  readonly delayMs: number;
}

export class SimClient {
  readonly model = new StreamModel();
  readonly rooms = new Set<string>();
  constructor(
    readonly socketId: string,
    readonly node: SimNode,
    readonly userId: string,
    readonly deviceId: string,
    readonly communityId: string,
  ) {}
}

export class SimNode {
  isAlive = true;
  readonly clients = new Map<string, SimClient>();
  /** Shards that it is told of, where the medium delivers by address. */
  readonly shards = new Set<number>();
  constructor(readonly engine: Engine) {}
}

export const LINGER_MS = 1000;

/** Engines of any strategies in virtual time, over a medium that loses, repeats and reorders. */
export class Engines {
  now = 0;
  /** Nothing is delivered, and probes say so, while this is false. */
  isMediumUp = true;
  faults: Faults = { loss: 0, repeat: 0, delayMs: 2 };
  readonly nodes: SimNode[] = [];
  readonly random: () => number;
  /** Of every message: whether it is delivered, beside the faults. */
  filter: (from: SimNode, to: SimNode, data: string) => boolean = () => true;
  /** Is told of all that a node asks for. */
  onEffect: (node: SimNode, effect: EngineEffect) => void = () => {};
  /** What performs the commands to a store. */
  onStore: (node: SimNode, id: number, command: StoreCommand) => void = () => {};
  readonly #mail: { at: number; to: SimNode; give: (t: Time) => void }[] = [];
  #ids = 0;

  /** `isRouted`: the medium delivers by address. */
  constructor(
    seed: number,
    readonly isRouted = false,
  ) {
    this.random = randomFrom(seed);
  }

  /** `solo`: its medium reaches nobody, until it meets others. */
  start(strategy: Strategy, { solo = false } = {}): SimNode {
    const engine = strategy.createEngine({
      nodeId: `n${++this.#ids}`,
      nodeName: undefined,
      cluster: undefined,
      random: this.random,
      solo,
      canProbe: true,
      isRouted: this.isRouted,
      interest: 'hosted',
      lingerMs: LINGER_MS,
      heartbeatMs: 250,
      downAfterMs: 1500,
      typingTimeoutMs: 1000,
      forgetAfterMs: 10_000,
      flushMs: 25,
      maxMessageBytes: 1024 * 1024,
    });
    const node = new SimNode(engine);
    this.nodes.push(node);
    this.input(node, (t) => engine.start(t));
    return node;
  }

  crash(node: SimNode): void {
    node.isAlive = false;
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  /** A node ends in order: what it says and writes last still goes out. */
  leave(node: SimNode): void {
    this.input(node, (t) => node.engine.close(t));
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  input(node: SimNode, change: (t: Time) => void): void {
    change({ now: this.now, wall: 1_700_000_000_000 + this.now });
    while (node.engine.hasEffects) {
      for (const effect of node.engine.take()) this.#perform(node, effect);
    }
  }

  join(node: SimNode, userId: string, deviceId: string, communityId: string): SimClient {
    const client = new SimClient(`s${++this.#ids}`, node, userId, deviceId, communityId);
    node.clients.set(client.socketId, client);
    this.input(node, (t) => {
      node.engine.connect(client.socketId, { userId, deviceId }, t);
      node.engine.join(client.socketId, communityId, t);
    });
    return client;
  }

  gone(client: SimClient, reason: 'left' | 'disconnected'): void {
    const { node, socketId } = client;
    node.clients.delete(socketId);
    if (node.isAlive) this.input(node, (t) => node.engine.disconnect(socketId, reason, t));
  }

  /**
   * A device of `u` is lost at one node and comes back at the other while nothing is heard between them.
   * Gives those who watch, one on each; `onMedium` is told when the medium goes and comes.
   */
  moveUnheard(
    from: SimNode,
    to: SimNode,
    onMedium: (isUp: boolean) => void = () => {},
  ): SimClient[] {
    const watchers = [this.join(from, 'wa', 'd', 'c'), this.join(to, 'wb', 'd', 'c')];
    const tab = this.join(from, 'u', 'tab', 'c');
    this.run(1000);
    this.isMediumUp = false;
    onMedium(false);
    this.run(3000);
    this.gone(tab, 'disconnected');
    this.run(300);
    this.join(to, 'u', 'tab', 'c');
    this.run(4 * LINGER_MS);
    this.isMediumUp = true;
    onMedium(true);
    this.run(10_000);
    return watchers;
  }

  #isFor(to: SimNode, route: Route): boolean {
    if (!this.isRouted || route === 'all') return true;
    return 'shard' in route ? to.shards.has(route.shard) : to.engine.nodeId === route.nodeId;
  }

  #perform(node: SimNode, effect: EngineEffect): void {
    this.onEffect(node, effect);
    switch (effect.kind) {
      case 'send':
      case 'call':
        for (const to of this.nodes) {
          if (to !== node && this.#isFor(to, effect.route)) this.#post(node, to, effect.data);
        }
        return;
      case 'interest':
        if (effect.on) node.shards.add(effect.shard);
        else node.shards.delete(effect.shard);
        return;
      case 'store':
        this.onStore(node, effect.id, effect.command);
        return;
      case 'probe':
        this.after(1, node, (t) => node.engine.probed(effect.id, this.isMediumUp, t));
        return;
      case 'prove':
        for (const id of effect.socketIds) {
          this.after(5, node, (t) => node.clients.has(id) && node.engine.alive(id, t));
        }
        return;
      case 'list':
        for (const id of effect.to) this.#list(node, node.clients.get(id), effect.communityId);
        return;
      case 'event': {
        const { type, ...event } = effect.event;
        const own = new Set(node.engine.socketsOf(event.userId, event.communityId));
        for (const client of node.clients.values()) {
          if (!client.rooms.has(event.communityId) || effect.audience === 'server') continue;
          if (effect.audience === 'others' && own.has(client.socketId)) continue;
          if (effect.audience === 'own' && !own.has(client.socketId)) continue;
          if (type === 'userOnline') client.model.online(event as never);
          else if (type === 'userUpdated') client.model.updated(event as never);
          else client.model.offline(event as never);
        }
        return;
      }
      default:
        return;
    }
  }

  #list(node: SimNode, client: SimClient | undefined, communityId: string): void {
    if (client === undefined) return;
    client.rooms.add(communityId);
    const { engine } = node;
    const own = engine.own(communityId, client.userId);
    const users: readonly UserPresence[] = engine
      .onlineUsers(communityId)
      .filter((user) => user.userId !== own?.userId);
    client.model.sync(
      [...users, ...(own === null ? [] : [own])] as never,
      engine.info(communityId),
    );
  }

  #post(from: SimNode, to: SimNode, data: string): void {
    if (!this.isMediumUp || !this.filter(from, to, data)) return;
    const { loss, repeat, delayMs } = this.faults;
    if (this.random() < loss) return;
    const copies = this.random() < repeat ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.after(0.1 + this.random() * delayMs, to, (t) => to.engine.receive(data, t));
    }
  }

  /** Gives a node an input later. */
  after(ms: number, to: SimNode, give: (t: Time) => unknown): void {
    this.#mail.push({ at: this.now + ms, to, give });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms;
    let turns = 0;
    for (;;) {
      let next = end;
      let mail = -1;
      this.#mail.forEach(({ at }, i) => {
        if (at < next) [next, mail] = [at, i];
      });
      let due: SimNode | undefined;
      for (const node of this.nodes) {
        const at = Math.max(this.now, node.engine.nextTickAt());
        if (at < next) [next, due] = [at, node];
      }
      if (next >= end) break;
      turns = next > this.now ? 0 : turns + 1;
      if (turns > 1000) throw new Error(`an engine spins at ${this.now}`);
      this.now = Math.max(this.now, next);
      if (due !== undefined) {
        const { engine } = due;
        this.input(due, (t) => engine.tick(t));
      } else {
        const { to, give } = this.#mail.splice(mail, 1)[0]!;
        if (to.isAlive) this.input(to, give);
      }
    }
    this.now = end;
  }

  get clients(): SimClient[] {
    return this.nodes.flatMap((node) => [...node.clients.values()]);
  }

  /** Who must be seen in a community once everything has settled. */
  truth(communityId: string): string[] {
    const here = this.clients.filter((client) => client.communityId === communityId);
    return [...new Set(here.map(({ userId }) => userId))].sort();
  }
}
