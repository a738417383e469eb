import { Deadlines } from '../core/deadlines.js';
import { fnv1a } from '../core/digest.js';
import { PresenceNode } from '../core/node.js';
import type { Replica } from '../core/replica.js';
import { foldPublic, Owner, saysTheSame, type UserRecord } from '../core/roster.js';
import type { Effect, Entry, Instant, UserPresence } from '../core/types.js';
import { decodeMessage } from '../core/wire.js';
import { History } from './history.js';
import { Observer } from './observer.js';
import type { Action, ClientPlan, Plan, PlanOptions } from './plan.js';
import { Random } from './prng.js';

/**
 * A cluster in one thread and virtual time: the shipping core on every node, a network that delays,
 * drops, repeats, reorders and partitions, clients that come and go. After every step the invariants
 * of docs/spec.md are checked; the first that does not hold ends the run.
 */

/** An invariant did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface WorldStats {
  steps: number;
  simulatedMs: number;
  nodeMs: number;
  sent: number;
  dropped: number;
  duplicated: number;
  crashes: number;
  leaves: number;
  pauses: number;
  partitions: number;
  outages: number;
  clockSteps: number;
  halfOpens: number;
  connects: number;
  lists: number;
  events: number;
  checks: number;
  convergenceMs: number;
}

interface SimClient {
  readonly plan: ClientPlan;
  readonly userId: string;
  readonly deviceId: string;
  readonly wants: Set<string>;
  socket: SimSocket | null;
  /** It means to be online, so it reconnects when a connection is lost. */
  online: boolean;
  connections: number;
  hasBeenInvisible: boolean;
}

interface SimSocket {
  readonly id: string;
  readonly client: SimClient;
  readonly host: SimNode;
  readonly observer: Observer;
  readonly since: number;
  /** The client is gone, but the node has not noticed. */
  halfOpen: boolean;
  readonly rooms: Set<string>;
}

interface SimNode {
  readonly index: number;
  readonly core: PresenceNode;
  readonly sockets: Map<string, SimSocket>;
  readonly drift: number;
  readonly startedAt: number;
  readonly checked: WeakMap<Replica, { have: number; a: number; b: number }>;
  readonly left: Set<string>;
  readonly compared: Map<string, string>;
  wallOffset: number;
  alive: boolean;
  paused: boolean;
  pausedUntil: number;
  resumedAt: number;
  waiting: (() => void)[];
  tickAt: number;
  idleTicks: number;
}

interface Partition {
  readonly side: number;
  readonly oneWay: boolean;
  readonly until: number;
}

const TRACE_LINES = 60;
/** So many ticks that are due at once and do nothing mean that a process would spin. */
const MOST_IDLE_TICKS = 100;
const TURN_MS = 0.02;
/** How long the cluster gets to agree once the faults have ended, beyond what its timings explain. */
const SLACK_MS = 12_000;

export class World {
  readonly stats: WorldStats = newStats();
  readonly trace: string[] = [];
  readonly #plan: Plan;
  readonly #o: PlanOptions;
  readonly #queue = new Deadlines<() => void>();
  readonly #network: Random;
  readonly #node: Random;
  readonly #history = new History();
  readonly #nodes: SimNode[] = [];
  readonly #clients: SimClient[];
  readonly #lastArrival = new Map<string, number>();
  readonly #pausedAt = new Map<string, number>();
  #partitions: Partition[] = [];
  #outageUntil = 0;
  #now = 0;
  #incarnations = 0;
  #healed = false;
  #hash = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#o = plan.options;
    this.#network = new Random(plan.options.seed, 'network');
    this.#node = new Random(plan.options.seed, 'nodes');
    this.#clients = plan.clients.map((client) => ({
      plan: client,
      userId: `u${client.user}`,
      deviceId: `u${client.user}-d${client.device}`,
      wants: new Set(client.communities.map((c) => `c${c}`)),
      socket: null,
      online: false,
      connections: 0,
      hasBeenInvisible: false,
    }));
  }

  /** Fingerprint of everything that was told; the same for the same seed. */
  get traceHash(): number {
    return this.#hash >>> 0;
  }

  /** Runs the plan: first safety under faults, then the faults end and all must agree. */
  run(): void {
    for (let index = 0; index < this.#o.nodes; index++) {
      this.#after(this.#node.between(0, 2000), () => this.#boot(index));
    }
    for (const action of this.#plan.actions) {
      this.#after(action.at, () => this.#act(action));
    }
    this.#runUntil(this.#o.durationMs);
    this.#heal();
    this.#demandAgreement();
    this.#demandNothingLeft();
    this.stats.simulatedMs = this.#now;
  }

  // Time.

  #after(delay: number, run: () => void): void {
    this.#queue.push(this.#now + delay, run);
  }

  #runUntil(end: number): void {
    for (;;) {
      const at = this.#queue.next();
      if (at > end) break;
      const run = this.#queue.pop(at) as () => void;
      this.#now = Math.max(this.#now, at);
      this.stats.steps++;
      run();
    }
    this.#now = end;
  }

  #clock(node: SimNode): Instant {
    const now = (this.#now - node.startedAt) * (1 + node.drift) + 1000;
    return { now, wall: 1_700_000_000_000 + this.#now + node.wallOffset };
  }

  // Nodes.

  #boot(index: number): void {
    const running = this.#nodes[index];
    if (running?.alive === true) return;
    const o = this.#o;
    const nodeId = `n${index}.${++this.#incarnations}`;
    const tiny = o.tiny;
    const core = new PresenceNode({
      nodeId,
      ...(o.faults.sameName && { nodeName: `name-${index % 2 === 0 ? index : 0}` }),
      random: this.#node.next,
      canProbe: o.canProbe,
      heartbeatMs: o.heartbeatMs,
      downAfterMs: o.downAfterMs,
      lingerMs: o.lingerMs,
      flushMs: o.flushMs,
      typingTimeoutMs: 2000,
      forgetAfterMs: 20_000,
      dropDelayMs: o.dropDelayMs,
      shards: 4,
      ...(tiny && {
        snapshotPieceEntries: 1,
        log: { deltas: 2, bytes: 2000, ageMs: 5000, opsPerDelta: 1 },
        replica: { bufferedDeltas: 1 },
      }),
    });
    const node: SimNode = {
      index,
      core,
      sockets: new Map(),
      drift: o.drift * (this.#node.next() - 0.5),
      startedAt: this.#now,
      checked: new WeakMap(),
      left: new Set(),
      compared: new Map(),
      wallOffset: this.#node.between(-60_000, 60_000),
      alive: true,
      paused: false,
      pausedUntil: 0,
      resumedAt: 0,
      waiting: [],
      tickAt: Infinity,
      idleTicks: 0,
    };
    this.#nodes[index] = node;
    this.#note(`${nodeId} starts`);
    this.#input(node, () => core.start(this.#clock(node)));
  }

  /** Gives a node an input, now or when it wakes, and performs and checks what follows. */
  #input(node: SimNode, change: () => void): void {
    if (!node.alive) return;
    if (node.paused) {
      node.waiting.push(() => this.#input(node, change));
      return;
    }
    change();
    this.#settle(node);
  }

  #settle(node: SimNode): void {
    while (node.core.hasEffects) {
      for (const effect of node.core.take()) this.#perform(node, effect);
    }
    this.#check(node);
    const at = node.core.nextTickAt();
    if (at === Infinity) return;
    const local = this.#clock(node).now;
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
    // A clock that drifts may be a hair early; the host's timer would be, too.
    this.#input(node, () => {
      node.core.tick(this.#clock(node));
      const idle = !node.core.hasEffects && node.core.nextTickAt() <= this.#clock(node).now;
      node.idleTicks = idle ? node.idleTicks + 1 : 0;
      if (node.idleTicks > MOST_IDLE_TICKS) this.#fail(`I20: ${node.core.nodeId} spins`);
    });
  }

  #pause(node: SimNode, forMs: number): void {
    if (!node.alive || node.paused) return;
    node.paused = true;
    this.stats.pauses++;
    this.#note(`${node.core.nodeId} stops for ${Math.round(forMs)} ms`);
    const until = this.#now + forMs;
    node.pausedUntil = until;
    this.#after(forMs, () => {
      if (node.pausedUntil === until) this.#resume(node);
    });
  }

  #resume(node: SimNode): void {
    if (!node.alive || !node.paused) return;
    node.paused = false;
    node.resumedAt = this.#now;
    this.#pausedAt.set(node.core.nodeId, this.#now);
    this.#note(`${node.core.nodeId} goes on`);
    const waiting = node.waiting.splice(0);
    // The host reads its sockets before it ticks; some of what was sent comes in only afterwards.
    const before = this.#network.chance(0.5)
      ? waiting.length
      : this.#network.int(0, waiting.length);
    for (const input of waiting.slice(0, before)) input();
    node.tickAt = Infinity;
    this.#input(node, () => node.core.tick(this.#clock(node)));
    for (const input of waiting.slice(before)) input();
  }

  /** The process ends without a word. */
  #crash(node: SimNode, downMs: number): void {
    if (!node.alive) return;
    this.stats.crashes++;
    this.#note(`${node.core.nodeId} crashes`);
    this.#gone(node, downMs);
  }

  #leave(node: SimNode, downMs: number): void {
    if (!node.alive || node.paused) return;
    this.stats.leaves++;
    this.#note(`${node.core.nodeId} leaves`);
    node.core.close(this.#clock(node));
    for (const effect of node.core.take()) if (effect.kind === 'send') this.#perform(node, effect);
    this.#gone(node, downMs);
  }

  #gone(node: SimNode, downMs: number): void {
    node.alive = false;
    this.stats.nodeMs += this.#now - node.startedAt;
    for (const socket of node.sockets.values()) {
      if (socket.client.socket !== socket) continue;
      socket.client.socket = null;
      this.#reconnect(socket.client, this.#node.between(500, 1500));
    }
    node.sockets.clear();
    if (!this.#healed) this.#after(downMs, () => this.#boot(node.index));
  }

  // Network.

  #isCut(from: SimNode, to: SimNode): boolean {
    if (this.#outageUntil > this.#now) return true;
    for (const { side, oneWay, until } of this.#partitions) {
      if (until <= this.#now) continue;
      const a = (side >> from.index) & 1;
      const b = (side >> to.index) & 1;
      if (oneWay ? a === 1 && b === 0 : a !== b) return true;
      // Who is cut off from the medium does not hear the others that are.
      if (!oneWay && this.#o.canProbe && a === 1) return true;
    }
    return false;
  }

  /** Whether a node reaches the medium: what its probe finds out. */
  #reachesMedium(node: SimNode): boolean {
    if (this.#outageUntil > this.#now) return false;
    return !this.#partitions.some(
      ({ side, oneWay, until }) => until > this.#now && !oneWay && ((side >> node.index) & 1) === 1,
    );
  }

  #send(from: SimNode, data: string): void {
    const envelope = decodeMessage(data, 'rollcall', Infinity);
    if (typeof envelope === 'string') this.#fail(`${from.core.nodeId} sent what is ${envelope}`);
    this.#history.record(envelope);
    for (const to of this.#nodes) {
      if (to === undefined || to === from || !to.alive) continue;
      this.stats.sent++;
      if (this.#isCut(from, to) || this.#network.chance(this.#loss)) {
        this.stats.dropped++;
        continue;
      }
      this.#deliver(from, to, data);
      if (this.#network.chance(this.#healed ? 0 : this.#o.duplication)) {
        this.stats.duplicated++;
        this.#deliver(from, to, data);
      }
    }
  }

  get #loss(): number {
    return this.#healed ? 0 : this.#o.loss;
  }

  #deliver(from: SimNode, to: SimNode, data: string): void {
    let at = this.#now + this.#o.delayMs * this.#network.between(0.5, 1.5);
    const link = `${from.core.nodeId}>${to.core.nodeId}`;
    if (this.#o.reorder) {
      if (this.#network.chance(0.05)) at += this.#network.between(0, 400);
    } else {
      at = Math.max(at, this.#lastArrival.get(link) ?? 0);
      this.#lastArrival.set(link, at);
    }
    this.#queue.push(at, () => this.#input(to, () => to.core.receive(data, this.#clock(to))));
  }

  // Clients.

  #living(index: number): SimNode | undefined {
    for (let i = 0; i < this.#o.nodes; i++) {
      const node = this.#nodes[(index + i) % this.#o.nodes];
      if (node?.alive === true) return node;
    }
    return undefined;
  }

  #connect(client: SimClient, index: number): void {
    client.online = true;
    if (client.socket !== null) return;
    const node = this.#living(index);
    if (node === undefined) {
      this.#reconnect(client, 1000);
      return;
    }
    this.stats.connects++;
    const socket: SimSocket = {
      id: `${client.deviceId}#${++client.connections}`,
      client,
      host: node,
      observer: new Observer((what) => this.#fail(`${what} (at ${client.deviceId})`)),
      since: this.#now,
      halfOpen: false,
      rooms: new Set(),
    };
    client.socket = socket;
    node.sockets.set(socket.id, socket);
    this.#note(`${socket.id} connects to ${node.core.nodeId}`);
    // Some clients count their connections, plain ones do not.
    const counts = client.plan.device === 1;
    this.#input(node, () => {
      if (!node.sockets.has(socket.id)) return;
      const { userId, deviceId } = client;
      const info = { name: userId };
      const session = counts ? client.connections : undefined;
      node.core.connect(socket.id, { userId, deviceId, info, session }, this.#clock(node));
      for (const communityId of client.wants) {
        node.core.join(socket.id, communityId, this.#clock(node));
      }
    });
  }

  #reconnect(client: SimClient, delay: number): void {
    this.#after(delay, () => {
      if (client.online) this.#connect(client, this.#node.int(0, this.#o.nodes - 1));
    });
  }

  #disconnect(client: SimClient, reason: 'left' | 'disconnected' | 'timeout'): void {
    const { socket } = client;
    if (socket === null) return;
    client.socket = null;
    const { host } = socket;
    this.#note(`${socket.id} is ${reason}`);
    this.#input(host, () => {
      if (!host.sockets.delete(socket.id)) return;
      host.core.disconnect(socket.id, reason, this.#clock(host));
    });
  }

  #halfOpen(client: SimClient): void {
    const { socket } = client;
    if (socket === null) return;
    this.stats.halfOpens++;
    this.#note(`${socket.id} is half open`);
    socket.halfOpen = true;
    client.socket = null;
    const { host } = socket;
    // The server's ping gives up on it much later.
    this.#after(30_000, () =>
      this.#input(host, () => {
        if (!host.sockets.delete(socket.id)) return;
        host.core.disconnect(socket.id, 'timeout', this.#clock(host));
      }),
    );
  }

  #act(action: Action): void {
    switch (action.kind) {
      case 'open':
        this.#connect(this.#clients[action.client] as SimClient, action.node);
        return;
      case 'close': {
        const client = this.#clients[action.client] as SimClient;
        client.online = false;
        this.#disconnect(client, 'left');
        return;
      }
      case 'drop':
      case 'halfOpen': {
        const client = this.#clients[action.client] as SimClient;
        if (client.socket === null) return;
        if (action.kind === 'drop') this.#disconnect(client, 'disconnected');
        else this.#halfOpen(client);
        this.#after(action.awayMs, () => {
          if (client.online) this.#connect(client, action.node);
        });
        return;
      }
      case 'update': {
        const client = this.#clients[action.client] as SimClient;
        const { socket } = client;
        if (socket === null) return;
        if (action.patch.status === 'invisible') client.hasBeenInvisible = true;
        const { host } = socket;
        this.#note(`${socket.id} says ${JSON.stringify(action.patch)}`);
        this.#input(host, () => {
          host.core.update(socket.id, action.patch, this.#clock(host));
        });
        return;
      }
      case 'join':
      case 'part': {
        const client = this.#clients[action.client] as SimClient;
        const communityId = `c${action.community}`;
        const joins = action.kind === 'join';
        if (joins) client.wants.add(communityId);
        else client.wants.delete(communityId);
        const { socket } = client;
        if (socket === null) return;
        const { host } = socket;
        this.#note(`${socket.id} ${joins ? 'joins' : 'leaves'} ${communityId}`);
        this.#input(host, () => {
          if (!host.sockets.has(socket.id)) return;
          if (joins) host.core.join(socket.id, communityId, this.#clock(host));
          else {
            socket.rooms.delete(communityId);
            socket.observer.leave(communityId);
            host.core.leave(socket.id, communityId, this.#clock(host));
          }
        });
        return;
      }
      case 'crash':
        this.#withNode(action.node, (node) => this.#crash(node, action.downMs));
        return;
      case 'leave':
        this.#withNode(action.node, (node) => this.#leave(node, action.downMs));
        return;
      case 'pause':
        this.#withNode(action.node, (node) => this.#pause(node, action.forMs));
        return;
      case 'clockStep':
        this.#withNode(action.node, (node) => {
          this.stats.clockSteps++;
          node.wallOffset += action.byMs;
          this.#note(`${node.core.nodeId}: wall clock steps by ${action.byMs}`);
        });
        return;
      case 'partition':
        this.stats.partitions++;
        this.#partitions.push({
          side: action.side,
          oneWay: action.oneWay,
          until: this.#now + action.forMs,
        });
        this.#note(
          `partition of ${action.side.toString(2)}${action.oneWay ? ' (one way)' : ''} for ${Math.round(action.forMs)} ms`,
        );
        return;
      case 'outage':
        this.stats.outages++;
        this.#outageUntil = Math.max(this.#outageUntil, this.#now + action.forMs);
        this.#note(`the medium is away for ${Math.round(action.forMs)} ms`);
    }
  }

  #withNode(index: number, act: (node: SimNode) => void): void {
    const node = this.#nodes[index];
    if (node?.alive === true) act(node);
  }

  // Effects.

  #perform(node: SimNode, effect: Effect): void {
    const { nodeId } = node.core;
    switch (effect.kind) {
      case 'send':
        this.#send(node, effect.data);
        return;
      case 'probe': {
        const { id } = effect;
        const ok = this.#reachesMedium(node);
        // A medium that is away is found out late or not at all.
        const delay = ok ? this.#o.delayMs : this.#network.between(0, 3000);
        this.#after(delay, () =>
          this.#input(node, () => node.core.probed(id, ok, this.#clock(node))),
        );
        return;
      }
      case 'prove':
        for (const socketId of effect.socketIds) {
          const socket = node.sockets.get(socketId);
          if (socket === undefined || socket.halfOpen) continue;
          this.#after(this.#o.delayMs, () =>
            this.#input(node, () => {
              if (node.sockets.has(socketId)) node.core.alive(socketId, this.#clock(node));
            }),
          );
        }
        return;
      case 'list':
        for (const socketId of effect.to) this.#list(node, socketId, effect.communityId);
        return;
      case 'event': {
        const { event, audience } = effect;
        this.#note(
          `${nodeId} tells ${audience}: ${event.type} ${event.userId} ${event.communityId}`,
        );
        this.stats.events++;
        this.#checkEvent(node, effect);
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
        this.#note(`${nodeId}: ${effect.nodeId} is down (${effect.reason})`);
        if (effect.reason === 'left') node.left.add(effect.nodeId);
        if (effect.reason === 'silent') this.#checkDown(node, effect.nodeId);
        return;
      case 'nodeUp':
        this.#note(`${nodeId}: ${effect.nodeId} is up`);
        if (node.left.has(effect.nodeId))
          this.#fail(`I12: ${effect.nodeId} left and came back at ${nodeId}`);
        return;
      case 'degraded':
        this.#note(`${nodeId}: degraded ${effect.degraded}`);
        return;
      default:
    }
  }

  #list(node: SimNode, socketId: string, communityId: string): void {
    const socket = node.sockets.get(socketId);
    if (socket === undefined)
      this.#fail(`a list for ${socketId}, which is not at ${node.core.nodeId}`);
    this.stats.lists++;
    const { userId } = socket.client;
    const info = node.core.info(communityId);
    const users = this.#seenBy(node, userId, communityId);
    socket.rooms.add(communityId);
    socket.observer.list(users, info);
    this.#note(
      `${node.core.nodeId} lists ${communityId} to ${socketId}: ${users.map((u) => u.userId).join()} ${info.complete ? '' : '(incomplete)'}`,
    );
    this.stats.checks++;
    if (!socket.halfOpen && !users.some((user) => user.userId === userId)) {
      this.#fail(`I14: ${userId} is not in the list that ${socketId} got of ${communityId}`);
    }
  }

  /** The list as one user sees it, who may be invisible to the others. */
  #seenBy(node: SimNode, userId: string, communityId: string): readonly UserPresence[] {
    const users = node.core.onlineUsers(communityId);
    const own = node.core.own(communityId, userId);
    return own === null ? users : [...users.filter((user) => user.userId !== userId), own];
  }

  // Checks.

  #checkEvent(node: SimNode, { event, audience }: Extract<Effect, { kind: 'event' }>): void {
    this.stats.checks++;
    if (event.type !== 'userOffline' || audience === 'own') return;
    const { faults, loss, lingerMs } = this.#o;
    if (event.reason === 'node-down' && node.core.isDegraded) {
      this.#fail(`I11: ${node.core.nodeId} is cut off and announces ${event.userId} as offline`);
    }
    // Without lost messages or stalls nobody who is connected is ever announced offline.
    if (loss > 0 || faults.partition || faults.oneWay || faults.outage || faults.pause) return;
    if (faults.stall || faults.halfOpen || (faults.crash && lingerMs < 3000)) return;
    const connected = this.#clients.find(
      ({ userId, socket, wants, hasBeenInvisible }) =>
        userId === event.userId &&
        !hasBeenInvisible &&
        socket !== null &&
        this.#now - socket.since > 3000 &&
        wants.has(event.communityId) &&
        socket.rooms.has(event.communityId),
    );
    const visible = this.#clients.every(
      (client) => client.userId !== event.userId || !client.hasBeenInvisible,
    );
    if (connected !== undefined && visible) {
      this.#fail(
        `I10: ${event.userId} is announced offline at ${node.core.nodeId}, but ${connected.deviceId} is connected`,
      );
    }
  }

  /** Accuracy (I9): without lost messages, only who really stood still may be taken for dead. */
  #checkDown(node: SimNode, nodeId: string): void {
    this.stats.checks++;
    const { faults, loss } = this.#o;
    if (loss > 0 || faults.partition || faults.oneWay || faults.outage) return;
    const target = this.#nodes.find((other) => other?.core.nodeId === nodeId);
    if (target?.alive !== true || target.paused) return;
    const resumedAt = this.#pausedAt.get(nodeId);
    if (resumedAt !== undefined && this.#now - resumedAt < 2000) return;
    this.#fail(`I9: ${node.core.nodeId} takes ${nodeId} for dead, which is well`);
  }

  /** What must hold after every step of a node. */
  #check(node: SimNode): void {
    const { peers, view } = node.core.inspect();
    for (const peer of peers) {
      for (const replica of peer.replicas.values()) {
        const { have, digest } = replica;
        const last = node.checked.get(replica);
        if (last !== undefined) {
          if (have < last.have)
            this.#fail(`I2: ${node.core.nodeId} went back from ${last.have} to ${have}`);
          if (have === last.have && digest.equals(last.a, last.b)) continue;
        }
        this.stats.checks++;
        const wrong = this.#history.check(replica);
        if (wrong !== undefined) this.#fail(`${wrong} (at ${node.core.nodeId})`);
        node.checked.set(replica, { have, a: digest.a, b: digest.b });
      }
    }
    for (const community of view.communities) {
      if (!community.active || !view.isTold(community)) continue;
      const stamp = `${community.version}/${[...community.sockets].join()}`;
      if (node.compared.get(community.id) === stamp) continue;
      node.compared.set(community.id, stamp);
      this.stats.checks++;
      this.#compareClients(node, community.id);
    }
    const gauges = node.core.gauges(this.#clock(node).now);
    const devices = this.#clients.length;
    if (gauges.bufferedDeltas > 32 * gauges.replicas)
      this.#fail('I13: too many deltas are buffered');
    if (gauges.waiting > 20 * devices + 20) this.#fail(`I13: ${gauges.waiting} deadlines wait`);
  }

  /** I6: what each client has folded is what its node has told. */
  #compareClients(node: SimNode, communityId: string): void {
    for (const socket of node.sockets.values()) {
      if (!socket.rooms.has(communityId)) continue;
      const expected = this.#seenBy(node, socket.client.userId, communityId);
      const roster = socket.observer.rosters.get(communityId);
      const same =
        roster?.size === expected.length &&
        expected.every((user) => {
          const seen = roster.get(user.userId);
          return seen !== undefined && saysTheSame(seen, user);
        });
      if (!same) {
        this.#fail(
          `I6: ${socket.id} has ${[...(roster?.keys() ?? [])].join()} of ${communityId}, its node told ${expected.map((u) => u.userId).join()}`,
        );
      }
    }
  }

  // The end.

  #heal(): void {
    this.#note('the faults end');
    this.#healed = true;
    this.#partitions = [];
    this.#outageUntil = 0;
    for (const node of this.#nodes) if (node?.paused === true) this.#resume(node);
    // What is dead may stay dead, but somebody must be there.
    for (let index = 0; index < this.#o.nodes; index++) {
      const node = this.#nodes[index];
      if (node?.alive !== true && (index === 0 || this.#node.chance(0.5))) this.#boot(index);
    }
  }

  /** After the faults: every node's roster is the union of what the living owners record (I7, I8). */
  #demandAgreement(): void {
    const { downAfterMs, lingerMs, durationMs } = this.#o;
    // Health may have grown to 7 and flapping doubles, but both shrink each beat without trouble.
    const bound = 8 * 2 * downAfterMs + lingerMs + 30_000 + SLACK_MS;
    let disagreement: string | undefined = 'nothing was compared';
    let agreedAt: number | undefined;
    for (let at = durationMs; at <= durationMs + bound; at += 500) {
      this.#runUntil(at);
      disagreement = this.#disagreement();
      if (disagreement !== undefined) agreedAt = undefined;
      else agreedAt ??= this.#now;
      if (agreedAt !== undefined && this.#now - agreedAt > lingerMs + 5000) break;
    }
    if (disagreement !== undefined || agreedAt === undefined) {
      this.#fail(`I7: no agreement ${bound} ms after the faults: ${disagreement}`);
    }
    this.stats.convergenceMs = agreedAt - durationMs;
  }

  /** Why the living nodes do not agree with each other and with the truth, or undefined. */
  #disagreement(): string | undefined {
    const living = this.#nodes.filter((node) => node?.alive === true);
    const recorded = new Map<string, UserRecord>();
    for (const node of living) {
      const owner = new Owner(node.core.nodeId);
      for (const log of node.core.inspect().logs.values()) {
        for (const entry of log.entries()) this.#gather(recorded, owner, entry);
      }
    }
    const missing = this.#missingEntry(recorded);
    if (missing !== undefined) return missing;
    const truth = new Map<string, UserPresence>();
    for (const [key, record] of recorded) {
      const presence = foldPublic(record);
      if (presence !== null) truth.set(key, presence);
    }
    for (const node of living) {
      for (const community of node.core.inspect().view.communities) {
        if (community.sockets.size === 0) continue;
        const { id } = community;
        const users = node.core.onlineUsers(id);
        const expected = [...truth.values()].filter((user) => user.communityId === id);
        for (const user of expected) {
          const seen = users.find((other) => other.userId === user.userId);
          if (seen === undefined)
            return `${user.userId} is missing in ${id} at ${node.core.nodeId}`;
          if (!saysTheSame(seen, user)) {
            return `${user.userId} differs in ${id} at ${node.core.nodeId}: ${JSON.stringify(seen)} instead of ${JSON.stringify(user)}`;
          }
        }
        if (users.length !== expected.length) {
          const ghost = users.find((user) => !truth.has(`${id}/${user.userId}`));
          return `${ghost?.userId} is a ghost in ${id} at ${node.core.nodeId}`;
        }
        if (!node.core.info(id).complete) return `${id} is not complete at ${node.core.nodeId}`;
      }
      for (const socket of node.sockets.values()) {
        for (const communityId of socket.halfOpen ? [] : socket.client.wants) {
          const info = socket.observer.infos.get(communityId);
          if (info === undefined) return `${socket.id} has no list of ${communityId}`;
          if (!info.complete)
            return `the last list of ${communityId} at ${socket.id} is not complete`;
        }
      }
    }
    return undefined;
  }

  #gather(recorded: Map<string, UserRecord>, owner: Owner, entry: Entry): void {
    const { communityId, userId } = entry;
    const key = `${communityId}/${userId}`;
    let user = recorded.get(key);
    if (user === undefined) {
      user = { userId, communityId, held: [], told: null, toldOwn: null, json: null };
      recorded.set(key, user);
    }
    user.held.push({ entry, owner, user, until: 0, untilReason: 'left' });
  }

  /** Whether the owners record just the clients that are connected. */
  #missingEntry(recorded: ReadonlyMap<string, UserRecord>): string | undefined {
    const connected = new Set<string>();
    for (const client of this.#clients) {
      if (client.socket === null) continue;
      for (const communityId of client.wants) {
        connected.add(`${communityId}/${client.deviceId}`);
        const held = recorded.get(`${communityId}/${client.userId}`)?.held ?? [];
        if (!held.some(({ entry }) => entry.deviceId === client.deviceId)) {
          return `nobody records ${client.deviceId} in ${communityId}, which is connected to ${client.socket.host.core.nodeId}`;
        }
      }
    }
    const halfOpen = new Set<string>();
    for (const node of this.#nodes) {
      for (const socket of node?.sockets.values() ?? []) {
        if (socket.halfOpen) halfOpen.add(socket.client.deviceId);
      }
    }
    for (const { held } of recorded.values()) {
      for (const { entry, owner } of held) {
        const known = connected.has(`${entry.communityId}/${entry.deviceId}`);
        if (!known && !halfOpen.has(entry.deviceId)) {
          return `${owner.nodeId} records ${entry.deviceId} in ${entry.communityId}, which is not connected`;
        }
      }
    }
    return undefined;
  }

  /** When everybody has gone, nothing is left anywhere (I13). */
  #demandNothingLeft(): void {
    for (const client of this.#clients) {
      client.online = false;
      this.#disconnect(client, 'left');
    }
    const { lingerMs, dropDelayMs, durationMs } = this.#o;
    this.#runUntil(this.#now + lingerMs + dropDelayMs + 45_000);
    for (const node of this.#nodes) {
      if (node?.alive !== true) continue;
      const gauges = node.core.gauges(this.#clock(node).now);
      const { entriesOwned, entriesHeld, sockets, shards, waiting, usersOnline } = gauges;
      if (entriesOwned + entriesHeld + sockets + shards + waiting + usersOnline > 0) {
        this.#fail(
          `I13: something is left at ${node.core.nodeId} after ${durationMs} ms: ${JSON.stringify(gauges)}`,
        );
      }
      this.stats.nodeMs += this.#now - node.startedAt;
    }
  }

  // Trace.

  #note(what: string): void {
    const line = `${(this.#now / 1000).toFixed(3).padStart(8)} s  ${what}`;
    this.#hash = fnv1a(line, this.#hash);
    this.trace.push(line);
    if (this.trace.length > 4 * TRACE_LINES) this.trace.splice(0, 3 * TRACE_LINES);
  }

  /** The last events before the end. */
  get lastEvents(): readonly string[] {
    return this.trace.slice(-TRACE_LINES);
  }

  #fail(what: string): never {
    throw new Violation(what);
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
    crashes: 0,
    leaves: 0,
    pauses: 0,
    partitions: 0,
    outages: 0,
    clockSteps: 0,
    halfOpens: 0,
    connects: 0,
    lists: 0,
    events: 0,
    checks: 0,
    convergenceMs: 0,
  };
}
