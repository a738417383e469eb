import type {
  Audience,
  ListInfo,
  NodeDownReason,
  PresenceEvent,
  UserPresence,
} from '../core/types.js';
import { saysTheSame } from '../core/roster.js';
import { decodeMessage } from '../core/wire.js';
import type { SimNode, SimSocket } from './cluster.js';
import { History } from './history.js';
import type { World } from './world.js';

/**
 * The invariants that are checked as a run goes on (safety), by the ids of docs/spec.md. Where an
 * engine is not the core of `replicated`, those about its inside are left out.
 */

/** How long a connection must have lasted before its user counts as surely present. */
const SETTLED_MS = 3000;
const SLACK_MS = 50;

export class Checks {
  readonly #world: World;
  readonly #history = new History();

  constructor(world: World) {
    this.#world = world;
  }

  #fail(what: string): void {
    this.#world.fail(what);
  }

  #count(): void {
    this.#world.stats.checks++;
  }

  /** Keeps the states that owners really had. */
  onSend(from: SimNode, data: string): void {
    if (from.core === undefined) return;
    const envelope = decodeMessage(data, 'rollcall', Infinity);
    if (typeof envelope === 'string') {
      this.#fail(`R10: ${from.engine.nodeId} sent what is ${envelope}`);
    } else {
      this.#history.record(envelope);
    }
  }

  /** I10, I11, I15: who may not be announced. */
  onEvent(node: SimNode, event: PresenceEvent, audience: Audience): void {
    this.#count();
    if (audience === 'own') return;
    if (event.type !== 'userOffline') {
      this.#demandVisible(node, event.userId, event.communityId);
      return;
    }
    const { userId, communityId } = event;
    const { nodeId } = node.engine;
    // What was heard before may still be told by the next flush.
    const isDeaf = node.engine.isDegraded && this.#world.now - node.degradedAt > 100;
    if (isDeaf && !node.hosted.has(userId)) {
      this.#fail(`I11: ${nodeId} is cut off and announces ${userId} as offline`);
    }
    const devices = this.#world.clients.filter((client) => client.userId === userId);
    if (devices.some((client) => client.hasBeenInvisible)) return;
    const { faults, loss, lingerMs } = this.#world.options;
    // A lost message is found by the next heartbeats and pulled, and either may be lost again.
    const settledMs = loss > 0 ? 3 * SETTLED_MS : SETTLED_MS;
    // A deliberate leave is told at once, whatever may be on its way of another device's return.
    const isFresh = loss > 0 || event.reason === 'left';
    const connected = devices.find(
      ({ socket, wants, presentSince }) =>
        socket !== null &&
        this.#world.now - (isFresh ? Math.max(socket.since, presentSince) : presentSince) >
          settledMs &&
        wants.has(communityId) &&
        socket.rooms.has(communityId),
    );
    // Of a device that was lost before it took part in the community it has never heard.
    const shard = node.core?.inspect().shardOf(communityId) ?? -1;
    const hearsSince = node.interestedAt.get(shard) ?? node.startedAt;
    const away = devices.find(
      ({ socket, wants, presentSince, lostAt }) =>
        socket === null &&
        lostAt !== null &&
        // A deliberate leave of the only device that this node knows is told; others it may never have heard of.
        event.reason !== 'left' &&
        hearsSince < lostAt &&
        wants.has(communityId) &&
        lostAt - presentSince > settledMs &&
        this.#world.now - lostAt < 0.95 * lingerMs - SLACK_MS,
    );
    if (connected === undefined && away === undefined) return;
    this.#world.stats.falseOfflines++;
    // As long as every two nodes can hear each other now and then and none stands still, nobody who
    // is connected is announced offline, whatever is lost.
    if (faults.partition || faults.oneWay || faults.link || faults.pause || faults.stall) return;
    if (faults.halfOpen || faults.corrupt || loss > 0.05) return;
    // Nobody can know of a device that came while nothing could be heard.
    if (faults.outage && (event.reason === 'left' || node.engine.isDegraded)) return;
    // Before the next heartbeat is late, a node does not know that it hears nothing.
    const { heartbeatMs, delayMs, drift } = this.#world.options;
    const lateMs = 1.25 * heartbeatMs * (1 + 2 * drift) + 1.5 * delayMs + SLACK_MS;
    if (faults.outage && this.#world.network.awayAgeMs(this.#world.now) < lateMs) return;
    // Who came during an outage to a node that leaves just after it may never have been heard of.
    const isBack = this.#world.network.backAgeMs(this.#world.now) < 3 * heartbeatMs;
    if (faults.outage && faults.leave && connected === undefined && isBack) return;
    // Without a witness a node cannot tell an outage from the death of its only peer.
    if (faults.outage && !this.#world.options.canProbe) return;
    if (!faults.crash || (lingerMs >= SETTLED_MS && loss === 0 && !faults.outage)) {
      this.#fail(
        connected === undefined
          ? `I10: ${userId} is announced offline at ${nodeId} within the linger of ${away?.deviceId}`
          : `I10: ${userId} is announced offline at ${nodeId}, but ${connected.deviceId} is connected`,
      );
    }
  }

  /** I14, I15, I21: who must be in a list, and who must not. */
  onList(socket: SimSocket, users: readonly UserPresence[], info: ListInfo): void {
    this.#count();
    const { communityId } = info;
    const { userId } = socket.client;
    const listed = new Set(users.map((user) => user.userId));
    if (!socket.halfOpen && !listed.has(userId)) {
      this.#fail(`I14: ${userId} is not in the list that ${socket.id} got of ${communityId}`);
    }
    for (const id of listed) if (id !== userId) this.#demandVisible(socket.host, id, communityId);
    if (info.complete) this.#demandComplete(socket, listed, communityId);
  }

  /** I15: what a user has hidden on this node is not told by it. */
  #demandVisible(node: SimNode, userId: string, communityId: string): void {
    const { faults, loss } = this.#world.options;
    // Two devices that say opposite things while their nodes cannot hear each other have no last word.
    if (loss > 0 || faults.partition || faults.oneWay || faults.link || faults.outage) return;
    if (faults.lateSubscribe || faults.corrupt) return;
    for (const client of this.#world.clients) {
      if (client.userId !== userId || client.hiding?.node !== node || node.core === undefined) {
        continue;
      }
      // Visibility travels with the entries: a device that is not in the community cannot hide there.
      if (client.socket?.rooms.has(communityId) !== true) continue;
      if (this.#world.now - client.hiding.since <= this.#world.options.flushMs + 1000) continue;
      this.#fail(
        `I15: ${userId} is invisible, but told by ${node.engine.nodeId} in ${communityId}`,
      );
    }
  }

  /** I21: a list that says it is complete holds everybody whom a sound network could have told of. */
  #demandComplete(socket: SimSocket, listed: ReadonlySet<string>, communityId: string): void {
    const { faults, loss, drift } = this.#world.options;
    if (loss > 0 || drift > 0 || faults.partition || faults.oneWay || faults.link) return;
    if (faults.outage || faults.lateSubscribe || faults.pause || faults.stall || faults.corrupt)
      return;
    for (const other of this.#world.clients) {
      const there =
        other.socket !== null &&
        !other.hasBeenInvisible &&
        this.#world.now - Math.max(other.socket.since, other.presentSince) > SETTLED_MS &&
        other.socket.rooms.has(communityId);
      const hides = this.#world.clients.some(
        (client) => client.userId === other.userId && client.hasBeenInvisible,
      );
      if (there && !hides && !listed.has(other.userId)) {
        this.#fail(
          `I21: a complete list of ${communityId} for ${socket.id} misses ${other.userId}`,
        );
      }
    }
  }

  /** I9: without lost messages, only who really stood still may be taken for dead. */
  onDown(node: SimNode, nodeId: string, reason: NodeDownReason): void {
    this.#count();
    if (reason === 'left') node.left.add(nodeId);
    if (reason !== 'silent') return;
    const { faults, loss } = this.#world.options;
    if (loss > 0 || faults.partition || faults.oneWay || faults.outage || faults.link) return;
    const target = this.#world.nodes.find((other) => other?.engine.nodeId === nodeId);
    if (target?.alive !== true || target.paused || target.subscribedAt > this.#world.now) return;
    const resumedAt = this.#world.resumedAt.get(nodeId);
    if (resumedAt !== undefined && this.#world.now - resumedAt < 2000) return;
    this.#fail(`I9: ${node.engine.nodeId} takes ${nodeId} for dead, which is well`);
  }

  /** I12: who has left never comes back. */
  onUp(node: SimNode, nodeId: string): void {
    this.#count();
    if (node.left.has(nodeId)) {
      this.#fail(`I12: ${nodeId} left and came back at ${node.engine.nodeId}`);
    }
  }

  /** I8: where nothing else is wrong, no ghost of a crashed node outlives its deadline. */
  afterCrash(crashed: SimNode): void {
    const { faults, loss, downAfterMs, lingerMs, heartbeatMs, flushMs, drift } =
      this.#world.options;
    if (crashed.core === undefined || loss > 0 || drift > 0) return;
    // Without a witness, all others' deaths at once look like this node's own isolation for a while.
    if (!this.#world.options.canProbe) return;
    const others = ['pause', 'stall', 'partition', 'oneWay', 'link', 'outage', 'sameName'] as const;
    if (others.some((fault) => faults[fault]) || faults.lateSubscribe || faults.halfOpen) return;
    // What was on its way may still be heard; then the medium says once more that it has ended.
    const knownMs = this.#world.options.seesDeaths === true ? 1500 : downAfterMs + heartbeatMs;
    const ghostMs = knownMs + lingerMs + 2 * flushMs + 500;
    const { nodeId } = crashed.engine;
    this.#world.after(ghostMs, () => {
      for (const node of this.#world.living) {
        // A third death in five minutes earns a longer deadline: not looked at here.
        for (const peer of node.core?.inspect().peers ?? []) {
          if (peer.nodeId !== nodeId || peer.downs.length > 2) continue;
          this.#count();
          if (!peer.owner.hidden) {
            this.#fail(`I8: ${node.engine.nodeId} shows ${nodeId} ${ghostMs} ms after its crash`);
          }
        }
      }
    });
  }

  /** What must hold after every step of a node. */
  afterStep(node: SimNode): void {
    const { core } = node;
    if (core === undefined) return;
    const { nodeId } = node.engine;
    const { peers, view, shards } = core.inspect();
    const hosted = new Set(shards);
    // Spoilt deltas make wrong replicas on purpose: then only the end counts.
    const { corrupt } = this.#world.options.faults;
    for (const peer of peers) {
      for (const [shard, replica] of peer.replicas) {
        if (!hosted.has(shard)) this.#fail(`I13: ${nodeId} keeps shard ${shard} without need`);
        const { have, digest } = replica;
        const last = node.checked.get(replica);
        if (last !== undefined) {
          if (have < last.have) this.#fail(`I2: ${nodeId} went from ${last.have} back to ${have}`);
          if (have === last.have && digest.equals(last.a, last.b)) continue;
        }
        this.#count();
        if (corrupt) continue;
        const wrong = this.#history.check(replica);
        if (wrong !== undefined) this.#fail(`${wrong} (at ${nodeId})`);
        node.checked.set(replica, { have, a: digest.a, b: digest.b });
      }
    }
    for (const community of view.communities) {
      if (!community.active || !community.isTold) continue;
      const stamp = `${community.version}/${[...community.sockets].join()}`;
      if (node.compared.get(community.id) === stamp) continue;
      node.compared.set(community.id, stamp);
      this.#count();
      this.#compareClients(node, community.id);
    }
    const gauges = core.gauges(this.#world.clock(node).now);
    const devices = this.#world.clients.length;
    if (gauges.bufferedDeltas > 32 * gauges.replicas) {
      this.#fail(`I13: ${gauges.bufferedDeltas} deltas are buffered`);
    }
    if (gauges.waiting > 20 * devices + 20) this.#fail(`I13: ${gauges.waiting} deadlines wait`);
    if (core.stats.divergences > 0 && !corrupt)
      this.#fail(`I3: ${nodeId} found a wrong merge by its digest`);
  }

  /** I6: what each client has folded is what its node has told. */
  #compareClients(node: SimNode, communityId: string): void {
    for (const socket of node.sockets.values()) {
      if (!socket.rooms.has(communityId)) continue;
      const expected = this.#world.seenBy(node, socket.client.userId, communityId);
      const roster = socket.observer.rosters.get(communityId);
      const same =
        roster?.size === expected.length &&
        expected.every((user) => {
          const seen = roster.get(user.userId);
          return seen !== undefined && saysTheSame(seen, user);
        });
      if (!same) {
        const has = [...(roster?.keys() ?? [])].join();
        const told = expected.map((user) => user.userId).join();
        this.#fail(`I6: ${socket.id} has ${has} of ${communityId}, its node told ${told}`);
      }
    }
  }
}
