import { fnv1a } from '../core/digest.js';
import { PresenceNode } from '../core/node.js';
import type { Effect, Instant, UserPresence } from '../core/types.js';
import type { EngineOptions } from '../strategy/engine.js';
import { demandAgreement, demandNothingLeft } from './agreement.js';
import { Checks } from './checks.js';
import type { SimClient, SimEngine, SimNode, SimSocket } from './cluster.js';
import { Network, type NetworkStats } from './network.js';
import { Observer } from './observer.js';
import type { Action, Plan, PlanOptions } from './plan.js';
import { Random } from './prng.js';
import { Timeline } from './timeline.js';

/**
 * A cluster in one thread and virtual time: an engine on every node, a network that delays, drops,
 * repeats, reorders and partitions, clients that come and go. After every step the invariants of
 * docs/spec.md are checked; the first that does not hold ends the run.
 */

/** An invariant did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface WorldStats extends NetworkStats {
  steps: number;
  simulatedMs: number;
  nodeMs: number;
  crashes: number;
  leaves: number;
  pauses: number;
  partitions: number;
  brokenLinks: number;
  outages: number;
  clockSteps: number;
  halfOpens: number;
  slowClients: number;
  connects: number;
  lists: number;
  events: number;
  checks: number;
  /** Users announced offline while a device of theirs was connected; not always avoidable when messages are lost. */
  falseOfflines: number;
  /** From the end of the faults until all agreed; the longest where results are added up. */
  convergenceMs: number;
}

/** Options of one node as a plan sets them; the core's own limits among them. */
export type SimEngineOptions = EngineOptions & ConstructorParameters<typeof PresenceNode>[0];

export interface WorldHost {
  /** Makes the engine of a node. Default: the core of `replicated`. */
  readonly makeEngine?: (options: SimEngineOptions, world: World) => SimEngine;
  /** Called for each violation; by default the first one is thrown and ends the run. */
  readonly onViolation?: (what: string) => void;
}

const TRACE_LINES = 60;
/** So many ticks that are due at once and do nothing mean that a process would spin. */
const MOST_IDLE_TICKS = 100;
/** One turn of the event loop. */
const TURN_MS = 0.02;
/** Whoever comes back must do so this long before the linger ends, so that all can hear of it in time. */
const BACK_MS = 1000;
/** When a server's ping gives up on a half-open socket. */
const HALF_OPEN_MS = 30_000;
/** How long after a death the medium first tells of it, where it does. */
const DEATH_SEEN_MS = 500;

export class World {
  readonly stats: WorldStats = newStats();
  readonly options: PlanOptions;
  readonly nodes: SimNode[] = [];
  readonly clients: readonly SimClient[];
  readonly network: Network;
  /** When a node last stood still, by nodeId. */
  readonly resumedAt = new Map<string, number>();
  readonly #plan: Plan;
  readonly #host: WorldHost;
  readonly #queue = new Timeline();
  readonly #random: Random;
  readonly #checks: Checks;
  readonly #trace: string[] = [];
  #now = 0;
  #incarnations = 0;
  #healed = false;
  #hash = 0;

  constructor(plan: Plan, host: WorldHost = {}) {
    this.#plan = plan;
    this.#host = host;
    this.options = plan.options;
    this.network = new Network(plan.options, this.#queue, this.stats);
    this.#random = new Random(plan.options.seed, 'nodes');
    this.#checks = new Checks(this);
    this.clients = plan.clients.map((client) => ({
      plan: client,
      userId: `u${client.user}`,
      deviceId: `u${client.user}-d${client.device}`,
      wants: new Set(client.communities.map((c) => `c${c}`)),
      socket: null,
      online: false,
      connections: 0,
      hasBeenInvisible: false,
      presentSince: 0,
      lostAt: null,
      lingersUntil: 0,
      hiding: null,
    }));
  }

  get now(): number {
    return this.#now;
  }

  /** Fingerprint of everything that was told; the same for the same plan. */
  get traceHash(): number {
    return this.#hash >>> 0;
  }

  /** Runs the plan: first safety under faults, then the faults end and all must agree. */
  run(): void {
    for (let index = 0; index < this.options.nodes; index++) {
      this.after(this.#random.between(0, 2000), () => this.#boot(index));
    }
    for (const action of this.#plan.actions) {
      this.after(action.at, () => this.#act(action));
    }
    this.runUntil(this.options.durationMs);
    this.#heal();
    demandAgreement(this);
    for (const client of this.clients) {
      client.online = false;
      this.#disconnect(client, 'left');
    }
    demandNothingLeft(this);
    for (const node of this.living) this.stats.nodeMs += this.#now - node.startedAt;
    this.stats.simulatedMs = this.#now;
  }

  fail(what: string): void {
    const { onViolation } = this.#host;
    if (onViolation === undefined) throw new Violation(what);
    onViolation(what);
  }

  // Time.

  after(delay: number, run: () => void): void {
    this.#queue.push(this.#now + delay, run);
  }

  runUntil(end: number): void {
    for (;;) {
      const at = this.#queue.next();
      if (at > end) break;
      this.#now = Math.max(this.#now, at);
      for (const run of this.#queue.pop(at)) {
        this.stats.steps++;
        run();
      }
    }
    this.#now = end;
  }

  clock(node: SimNode): Instant {
    const now = (this.#now - node.startedAt) * (1 + node.drift) + 1000;
    return { now, wall: 1_700_000_000_000 + this.#now + node.wallOffset };
  }

  // Nodes.

  get living(): SimNode[] {
    return this.nodes.filter((node) => node?.alive === true);
  }

  #boot(index: number): void {
    if (this.nodes[index]?.alive === true) return;
    const { options: o } = this;
    const nodeId = `n${index}.${++this.#incarnations}`;
    const engineOptions: SimEngineOptions = {
      nodeId,
      nodeName: o.faults.sameName ? `name-${index % 2 === 0 ? index : 0}` : undefined,
      cluster: 'rollcall',
      random: this.#random.next,
      solo: false,
      canProbe: o.canProbe,
      isRouted: o.routed === true,
      interest: 'hosted',
      heartbeatMs: o.heartbeatMs,
      downAfterMs: o.downAfterMs,
      lingerMs: o.lingerMs,
      flushMs: o.flushMs,
      typingTimeoutMs: 2000,
      forgetAfterMs: 40_000,
      maxMessageBytes: 1024 * 1024,
      dropDelayMs: o.dropDelayMs,
      shards: 4,
      ...(o.tiny && {
        stormChanges: 2,
        snapshotPieceEntries: 1,
        log: { deltas: 2, bytes: 2000, ageMs: 5000, opsPerDelta: 1 },
        replica: { bufferedDeltas: 1, sliceEntries: 1 },
      }),
    };
    const engine = this.#host.makeEngine?.(engineOptions, this) ?? new PresenceNode(engineOptions);
    const node: SimNode = {
      index,
      engine,
      core: engine instanceof PresenceNode ? engine : undefined,
      sockets: new Map(),
      drift: o.drift * (this.#random.next() - 0.5),
      startedAt: this.#now,
      interestedAt: new Map(),
      hosted: new Set(),
      left: new Set(),
      checked: new WeakMap(),
      compared: new Map(),
      subscribedAt: o.faults.lateSubscribe ? this.#now + this.#random.between(0, 400) : 0,
      subscribed: new Set(),
      subscribing: new Set(),
      held: [],
      wallOffset: this.#random.between(-60_000, 60_000),
      degradedAt: 0,
      alive: true,
      paused: false,
      pausedUntil: 0,
      waiting: [],
      tickAt: Infinity,
      idleTicks: 0,
    };
    this.nodes[index] = node;
    this.note(`${nodeId} starts`);
    this.input(node, () => engine.start(this.clock(node)));
    // A load balancer sends somebody as soon as it serves.
    const eager = this.#random.pick(this.clients);
    const inMs = this.#random.between(0, this.#random.pick([50, 2000]));
    if (this.#now > 5000) {
      this.after(inMs, () => {
        if (eager.online || !this.#healed) this.#connect(eager, index);
      });
    }
  }

  /** Gives a node an input, now or when it wakes, and performs and checks what follows. */
  input(node: SimNode, change: () => void): void {
    if (!node.alive) return;
    if (node.paused) {
      node.waiting.push(() => this.input(node, change));
      return;
    }
    change();
    this.#settle(node);
  }

  #settle(node: SimNode): void {
    while (node.engine.hasEffects) {
      for (const effect of node.engine.take()) this.#perform(node, effect as Effect);
    }
    this.#checks.afterStep(node);
    const at = node.engine.nextTickAt();
    if (at === Infinity) return;
    const local = this.clock(node).now;
    // A timer is never early; one turn of the event loop takes its time, too.
    const globalAt = this.#now + TURN_MS + Math.max(0, (at - local) / (1 + node.drift));
    if (globalAt >= node.tickAt - TURN_MS / 2) return;
    node.tickAt = globalAt;
    this.#queue.push(globalAt, () => this.#tick(node, globalAt));
  }

  #tick(node: SimNode, at: number): void {
    if (!node.alive || node.tickAt !== at) return;
    node.tickAt = Infinity;
    if (node.paused) return;
    this.input(node, () => {
      node.engine.tick(this.clock(node));
      const idle = !node.engine.hasEffects && node.engine.nextTickAt() <= this.clock(node).now;
      node.idleTicks = idle ? node.idleTicks + 1 : 0;
      if (node.idleTicks > MOST_IDLE_TICKS) this.fail(`I20: ${node.engine.nodeId} spins`);
    });
  }

  #pause(node: SimNode, forMs: number): void {
    if (node.paused) return;
    node.paused = true;
    this.stats.pauses++;
    this.note(`${node.engine.nodeId} stops for ${Math.round(forMs)} ms`);
    const until = this.#now + forMs;
    node.pausedUntil = until;
    this.after(forMs, () => {
      if (node.pausedUntil === until) this.#resume(node);
    });
  }

  #resume(node: SimNode): void {
    if (!node.alive || !node.paused) return;
    node.paused = false;
    this.resumedAt.set(node.engine.nodeId, this.#now);
    this.note(`${node.engine.nodeId} goes on`);
    const waiting = node.waiting.splice(0);
    // The host reads its sockets before it ticks; some of what was sent comes in only afterwards.
    const { random } = this.network;
    const before = random.pick([0, waiting.length, random.int(0, waiting.length)]);
    for (const input of waiting.slice(0, before)) input();
    node.tickAt = Infinity;
    this.input(node, () => node.engine.tick(this.clock(node)));
    for (const input of waiting.slice(before)) input();
  }

  /** The process ends without a word. */
  #crash(node: SimNode, downMs: number): void {
    this.stats.crashes++;
    this.note(`${node.engine.nodeId} crashes`);
    this.#gone(node, downMs);
    this.#checks.afterCrash(node);
    if (this.options.seesDeaths === true) this.#witness(node);
  }

  /** The medium has seen that a process ended, and says so for a while. */
  #witness({ engine: { nodeId } }: SimNode): void {
    for (let ms = DEATH_SEEN_MS; ms < 4 * DEATH_SEEN_MS; ms += DEATH_SEEN_MS / 2) {
      this.after(ms, () => {
        for (const node of this.living) {
          if (!this.network.reaches(node, this.#now)) continue;
          this.input(node, () => node.engine.gone?.(nodeId, DEATH_SEEN_MS, this.clock(node)));
        }
      });
    }
  }

  /** Connections to the medium are there again after a break. */
  #reconnected(nodes: readonly SimNode[]): void {
    if (this.options.routed !== true) return;
    for (const node of nodes) {
      this.input(node, () => node.engine.returned?.(this.clock(node)));
    }
  }

  #leave(node: SimNode, downMs: number): void {
    if (node.paused) return;
    this.stats.leaves++;
    this.note(`${node.engine.nodeId} leaves`);
    node.engine.close(this.clock(node));
    for (const effect of node.engine.take() as Effect[]) {
      if (effect.kind === 'send') this.#perform(node, effect);
    }
    this.#gone(node, downMs);
  }

  #gone(node: SimNode, downMs: number): void {
    node.alive = false;
    this.stats.nodeMs += this.#now - node.startedAt;
    for (const socket of node.sockets.values()) {
      if (socket.client.socket !== socket) continue;
      socket.client.socket = null;
      socket.client.lostAt = this.#now;
      this.#forgetHiding(socket.client);
      this.#reconnect(socket.client, this.#random.between(500, 1500));
    }
    node.sockets.clear();
    if (!this.#healed) this.after(downMs, () => this.#boot(node.index));
  }

  #heal(): void {
    this.note('the faults end');
    this.#healed = true;
    this.network.heal(this.#now);
    for (const node of this.living) if (node.paused) this.#resume(node);
    for (const node of this.living) {
      for (const socket of node.sockets.values()) if (socket.slow) this.#drain(socket);
    }
    // What is dead may stay dead, but somebody must be there.
    for (let index = 0; index < this.options.nodes; index++) {
      const isDead = this.nodes[index]?.alive !== true;
      if (isDead && (index === 0 || this.#random.chance(0.5))) this.#boot(index);
    }
  }

  // Clients.

  #nodeFor(index: number): SimNode | undefined {
    for (let i = 0; i < this.options.nodes; i++) {
      const node = this.nodes[(index + i) % this.options.nodes];
      if (node?.alive === true) return node;
    }
    return undefined;
  }

  #connect(client: SimClient, index: number): void {
    client.online = true;
    if (client.socket !== null) return;
    const node = this.#nodeFor(index);
    if (node === undefined) {
      this.#reconnect(client, 1000);
      return;
    }
    this.stats.connects++;
    const socket: SimSocket = {
      id: `${client.deviceId}#${++client.connections}`,
      client,
      host: node,
      observer: new Observer((what) => this.fail(`${what} (at ${client.deviceId})`)),
      since: this.#now,
      halfOpen: false,
      slow: false,
      rooms: new Set(),
    };
    client.socket = socket;
    const { lostAt } = client;
    const isBack = lostAt !== null && this.#now - lostAt < this.options.lingerMs - BACK_MS;
    if (!isBack) client.presentSince = this.#now;
    client.lostAt = null;
    this.#forgetHiding(client);
    node.sockets.set(socket.id, socket);
    node.hosted.add(client.userId);
    this.note(`${socket.id} connects to ${node.engine.nodeId}`);
    // Some clients count their connections, plain ones do not.
    const counts = client.plan.device === 1;
    this.input(node, () => {
      if (!node.sockets.has(socket.id)) return;
      const { userId, deviceId } = client;
      const session = counts ? client.connections : undefined;
      const identity = { userId, deviceId, info: { name: userId }, session };
      node.engine.connect(socket.id, identity, this.clock(node));
      for (const communityId of client.wants) {
        node.engine.join(socket.id, communityId, this.clock(node));
      }
    });
  }

  #reconnect(client: SimClient, delay: number): void {
    this.after(delay, () => {
      if (client.online) this.#connect(client, this.#random.int(0, this.options.nodes - 1));
    });
  }

  /** Something of this user happened: what one device said of visibility may no longer be the last word. */
  #forgetHiding({ userId }: SimClient): void {
    for (const client of this.clients) if (client.userId === userId) client.hiding = null;
  }

  #disconnect(client: SimClient, reason: 'left' | 'disconnected' | 'timeout'): void {
    const { socket } = client;
    if (socket === null) return;
    client.socket = null;
    // Who had no list of some community yet was not back in it.
    const wasThere = socket.rooms.size >= client.wants.size;
    client.lostAt = reason === 'left' ? null : wasThere ? this.#now : -Infinity;
    this.#forgetHiding(client);
    this.note(`${socket.id} is ${reason}`);
    this.#end(socket, reason);
  }

  #end(socket: SimSocket, reason: 'left' | 'disconnected' | 'timeout'): void {
    const { host } = socket;
    this.input(host, () => {
      if (!host.sockets.delete(socket.id)) return;
      host.engine.disconnect(socket.id, reason, this.clock(host));
    });
  }

  #halfOpen(client: SimClient): void {
    const { socket } = client;
    if (socket === null) return;
    this.stats.halfOpens++;
    this.note(`${socket.id} is half open`);
    socket.halfOpen = true;
    client.socket = null;
    client.lostAt = this.#now;
    this.#forgetHiding(client);
    const { lingerMs, heartbeatMs } = this.options;
    this.after(HALF_OPEN_MS, () => {
      client.lingersUntil = this.#now + lingerMs + 2 * heartbeatMs;
      this.#end(socket, 'timeout');
    });
  }

  #slow(client: SimClient, forMs: number): void {
    const { socket } = client;
    if (socket === null || socket.slow) return;
    this.stats.slowClients++;
    const { host } = socket;
    this.input(host, () => {
      if (!host.sockets.has(socket.id)) return;
      this.note(`${socket.id} cannot keep up`);
      socket.slow = true;
      socket.rooms.clear();
      host.engine.suspend(socket.id);
    });
    this.after(forMs, () => this.#drain(socket));
  }

  #drain(socket: SimSocket): void {
    const { host } = socket;
    this.input(host, () => {
      if (!host.sockets.has(socket.id) || !socket.slow) return;
      this.note(`${socket.id} has drained`);
      socket.slow = false;
      host.engine.resume(socket.id, this.clock(host));
    });
  }

  #act(action: Action): void {
    if ('client' in action) this.#actOfClient(this.clients[action.client] as SimClient, action);
    else this.#actOfFault(action);
  }

  #actOfClient(client: SimClient, action: Extract<Action, { client: number }>): void {
    switch (action.kind) {
      case 'open':
        this.#connect(client, action.node);
        return;
      case 'close':
        client.online = false;
        this.#disconnect(client, 'left');
        return;
      case 'drop':
      case 'halfOpen':
        if (client.socket === null) return;
        if (action.kind === 'drop') this.#disconnect(client, 'disconnected');
        else this.#halfOpen(client);
        this.after(action.awayMs, () => {
          if (client.online) this.#connect(client, action.node);
        });
        return;
      case 'slow':
        this.#slow(client, action.forMs);
        return;
      case 'update': {
        const { socket } = client;
        if (socket === null) return;
        if (action.patch.status === 'invisible') client.hasBeenInvisible = true;
        const { host } = socket;
        this.note(`${socket.id} says ${JSON.stringify(action.patch)}`);
        this.input(host, () => {
          if (!host.sockets.has(socket.id)) return;
          host.engine.update(socket.id, action.patch, this.clock(host));
          if (action.patch.status === undefined) return;
          this.#forgetHiding(client);
          // What a node that stood still reads late of a connection before is not the last word.
          if (action.patch.status === 'invisible' && client.socket === socket) {
            client.hiding = { node: host, since: this.#now };
          }
        });
        return;
      }
      case 'join':
      case 'part': {
        const communityId = `c${action.community}`;
        const joins = action.kind === 'join';
        if (joins) client.wants.add(communityId);
        else client.wants.delete(communityId);
        client.presentSince = this.#now;
        const { socket } = client;
        if (socket === null) return;
        const { host } = socket;
        this.note(`${socket.id} ${joins ? 'joins' : 'leaves'} ${communityId}`);
        this.input(host, () => {
          if (!host.sockets.has(socket.id)) return;
          if (joins) host.engine.join(socket.id, communityId, this.clock(host));
          else {
            socket.rooms.delete(communityId);
            socket.observer.leave(communityId);
            host.engine.leave(socket.id, communityId, this.clock(host));
          }
        });
      }
    }
  }

  #actOfFault(action: Exclude<Action, { client: number }>): void {
    const node = 'node' in action ? this.nodes[action.node] : undefined;
    switch (action.kind) {
      case 'crash':
        if (node?.alive === true) this.#crash(node, action.downMs);
        return;
      case 'leave':
        if (node?.alive === true) this.#leave(node, action.downMs);
        return;
      case 'pause':
        if (node?.alive === true) this.#pause(node, action.forMs);
        return;
      case 'clockStep':
        if (node?.alive !== true) return;
        this.stats.clockSteps++;
        node.wallOffset += action.byMs;
        this.note(`${node.engine.nodeId}: wall clock steps by ${action.byMs}`);
        return;
      case 'read':
        if (node?.alive !== true) return;
        this.input(node, () => node.engine.touch(`c${action.community}`, this.clock(node)));
        return;
      case 'partition': {
        const { side, oneWay, forMs } = action;
        this.stats.partitions++;
        this.network.cut(side, oneWay, this.#now + forMs);
        const way = oneWay ? ' (one way)' : '';
        this.note(`partition of ${side.toString(2)}${way} for ${Math.round(forMs)} ms`);
        if (!oneWay) {
          this.after(forMs + 1, () =>
            this.#reconnected(this.living.filter(({ index }) => ((side >> index) & 1) === 1)),
          );
        }
        return;
      }
      case 'link':
        this.stats.brokenLinks++;
        this.network.breakLink(action.from, action.to, this.#now + action.forMs);
        this.note(`n${action.to} does not hear n${action.from} for ${Math.round(action.forMs)} ms`);
        return;
      case 'outage':
        this.stats.outages++;
        this.network.goAway(this.#now, this.#now + action.forMs);
        this.note(`the medium is away for ${Math.round(action.forMs)} ms`);
        this.after(action.forMs + 1, () => this.#reconnected(this.living));
    }
  }

  // Effects.

  #perform(node: SimNode, effect: Effect): void {
    const { nodeId } = node.engine;
    switch (effect.kind) {
      case 'send':
        this.#send(node, effect);
        return;
      case 'interest':
        if (effect.on) node.interestedAt.set(effect.shard, this.#now);
        else node.interestedAt.delete(effect.shard);
        this.#subscribe(node, effect.shard, effect.on);
        return;
      case 'probe': {
        const { id } = effect;
        const { random } = this.network;
        const ok = this.network.reaches(node, this.#now);
        // That a medium is away is found out at once, late or not at all.
        const delay = ok || node.index % 2 === 0 ? this.options.delayMs : random.between(0, 3000);
        this.after(delay, () =>
          this.input(node, () => node.engine.probed(id, ok, this.clock(node))),
        );
        return;
      }
      case 'prove':
        for (const socketId of effect.socketIds) {
          const socket = node.sockets.get(socketId);
          if (socket === undefined || socket.halfOpen) continue;
          this.after(this.options.delayMs, () =>
            this.input(node, () => {
              if (node.sockets.has(socketId)) node.engine.alive(socketId, this.clock(node));
            }),
          );
        }
        return;
      case 'list':
        for (const socketId of effect.to) this.#list(node, socketId, effect.communityId);
        return;
      case 'event': {
        const { event, audience } = effect;
        this.note(
          `${nodeId} tells ${audience}: ${event.type} ${event.userId} ${event.communityId}`,
        );
        this.stats.events++;
        this.#checks.onEvent(node, event, audience);
        if (audience === 'server') return;
        for (const socket of node.sockets.values()) {
          if (!socket.rooms.has(event.communityId)) continue;
          const own = socket.client.userId === event.userId;
          if (audience === 'own' ? !own : audience === 'others' && own) continue;
          socket.observer.event(event);
        }
        return;
      }
      case 'nodeDown':
        this.note(`${nodeId}: ${effect.nodeId} is down (${effect.reason})`);
        this.#checks.onDown(node, effect.nodeId, effect.reason);
        return;
      case 'nodeUp':
        this.note(`${nodeId}: ${effect.nodeId} is up`);
        this.#checks.onUp(node, effect.nodeId);
        return;
      case 'degraded':
        this.note(`${nodeId}: degraded ${effect.degraded}`);
        if (effect.degraded) node.degradedAt = this.#now;
        return;
      default:
    }
  }

  #send(from: SimNode, message: Extract<Effect, { kind: 'send' }>): void {
    this.#checks.onSend(from, message.data);
    if (message.asks && from.subscribing.size > 0) {
      from.held.push(() => this.#carry(from, message));
    } else {
      this.#carry(from, message);
    }
  }

  /** A node begins or ceases to be told of a shard, where the medium delivers by address. */
  #subscribe(node: SimNode, shard: number, on: boolean): void {
    if (this.options.routed !== true) return;
    const confirmed = (): void => {
      node.subscribing.delete(shard);
      if (node.subscribing.size === 0) for (const carry of node.held.splice(0)) carry();
    };
    if (!on) {
      node.subscribed.delete(shard);
      confirmed();
      return;
    }
    node.subscribing.add(shard);
    this.after(this.network.random.between(0, 2 * this.options.delayMs), () => {
      if (!node.alive || !node.subscribing.has(shard)) return;
      node.subscribed.add(shard);
      this.input(node, confirmed);
    });
  }

  #carry(from: SimNode, { data, route }: Extract<Effect, { kind: 'send' }>): void {
    for (const to of this.nodes) {
      if (to === undefined || to === from || !to.alive) continue;
      if (this.options.routed === true && typeof route === 'object') {
        if ('shard' in route ? !to.subscribed.has(route.shard) : to.engine.nodeId !== route.nodeId)
          continue;
      }
      this.network.send(from, to, this.#now, () => {
        if (this.#now < to.subscribedAt) return;
        const received = this.#healed ? data : this.network.spoil(data);
        this.input(to, () => to.engine.receive(received, this.clock(to)));
      });
    }
  }

  #list(node: SimNode, socketId: string, communityId: string): void {
    const socket = node.sockets.get(socketId);
    if (socket === undefined) {
      this.fail(`I6: a list for ${socketId}, which is not at ${node.engine.nodeId}`);
      return;
    }
    this.stats.lists++;
    const users = this.seenBy(node, socket.client.userId, communityId);
    const info = node.engine.info(communityId);
    socket.rooms.add(communityId);
    socket.observer.list(users, info);
    this.note(
      `${node.engine.nodeId} lists ${communityId} to ${socketId}: ${users.map((u) => u.userId).join()} ${info.complete ? '' : '(incomplete)'}`,
    );
    this.#checks.onList(socket, users, info);
  }

  /** The list as one user sees it, who may be invisible to the others. */
  seenBy(node: SimNode, userId: string, communityId: string): readonly UserPresence[] {
    const users = node.engine.onlineUsers(communityId);
    const own = node.engine.own(communityId, userId);
    return own === null ? users : [...users.filter((user) => user.userId !== userId), own];
  }

  // Trace.

  note(what: string): void {
    const line = `${(this.#now / 1000).toFixed(3).padStart(8)} s  ${what}`;
    this.#hash = fnv1a(line, this.#hash);
    this.#trace.push(line);
    if (this.#trace.length > 4 * TRACE_LINES) this.#trace.splice(0, 3 * TRACE_LINES);
  }

  /** The last events before the end. */
  get lastEvents(): readonly string[] {
    return this.#trace.slice(-TRACE_LINES);
  }
}

function newStats(): WorldStats {
  return {
    steps: 0,
    simulatedMs: 0,
    nodeMs: 0,
    sent: 0,
    dropped: 0,
    duplicated: 0,
    spoilt: 0,
    crashes: 0,
    leaves: 0,
    pauses: 0,
    partitions: 0,
    brokenLinks: 0,
    outages: 0,
    clockSteps: 0,
    halfOpens: 0,
    slowClients: 0,
    connects: 0,
    lists: 0,
    events: 0,
    checks: 0,
    falseOfflines: 0,
    convergenceMs: 0,
  };
}
