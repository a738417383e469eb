import { PresenceNode, type Effect, type ListInfo, type PresenceEvent } from 'rollcall/core';
import { decodeMessage, type Envelope } from '../../src/core/wire.js';

type Options = ConstructorParameters<typeof PresenceNode>[0];

/** What a node told, in order. */
export type Told =
  | {
      readonly type: 'list';
      readonly to: string;
      readonly users: string[];
      readonly info: ListInfo;
    }
  | { readonly type: PresenceEvent['type']; readonly userId: string; readonly reason?: string };

export interface Member {
  readonly node: PresenceNode;
  readonly told: Told[];
  readonly effects: Effect[];
  alive: boolean;
  paused: boolean;
}

interface Letter {
  readonly from: string;
  readonly to: string;
  readonly data: string;
}

/** Small limits of time, so that a dialogue is short. */
const TIMINGS = { heartbeatMs: 1000, downAfterMs: 5000, lingerMs: 5000, flushMs: 25 } as const;

/**
 * Nodes of the core in virtual time over a medium in the test's hand: it says what is lost, and may
 * hold messages back and hand them over in any order.
 */
export class CoreCluster {
  now = 0;
  readonly members = new Map<string, Member>();
  readonly sent: (Envelope & { readonly data: string })[] = [];
  /** Lose a message on its way to a node. */
  isLost: (letter: Letter, envelope: Envelope) => boolean = () => false;
  /** Keep a message back until `release`. */
  isHeld: (letter: Letter, envelope: Envelope) => boolean = () => false;
  readonly held: Letter[] = [];
  /** What probes of the medium find out. */
  isReachable = true;

  static of(...nodeIds: string[]): CoreCluster {
    const cluster = new CoreCluster();
    for (const nodeId of nodeIds) cluster.start(nodeId);
    cluster.run(3000);
    return cluster;
  }

  start(nodeId: string, options: Partial<Options> = {}): PresenceNode {
    const node = new PresenceNode({
      nodeId,
      random: () => 0.5,
      canProbe: true,
      shards: 4,
      ...TIMINGS,
      ...options,
    });
    this.members.set(nodeId, { node, told: [], effects: [], alive: true, paused: false });
    node.start(this.t);
    return node;
  }

  get t(): { now: number; wall: number } {
    return { now: this.now, wall: 1e12 + this.now };
  }

  at(nodeId: string): Member {
    return this.members.get(nodeId) as Member;
  }

  node(nodeId: string): PresenceNode {
    return this.at(nodeId).node;
  }

  /** A device of a user connects and joins `c`, or another community. */
  join(
    nodeId: string,
    userId: string,
    deviceId = 'd',
    communityId = 'c',
    session?: number,
  ): string {
    const socketId = `${nodeId}/${userId}/${deviceId}/${this.now}`;
    this.node(nodeId).connect(socketId, { userId, deviceId, session }, this.t);
    this.node(nodeId).join(socketId, communityId, this.t);
    return socketId;
  }

  drop(socketId: string, reason: 'left' | 'disconnected' = 'disconnected'): void {
    this.node(socketId.split('/', 1)[0] as string).disconnect(socketId, reason, this.t);
  }

  /** Ends a process without a word. */
  kill(nodeId: string): void {
    this.at(nodeId).alive = false;
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 5) this.#step();
  }

  #step(): void {
    for (const [nodeId, member] of this.members) {
      if (!member.alive || member.paused) continue;
      if (this.now >= member.node.nextTickAt()) member.node.tick(this.t);
      this.#perform(nodeId, member);
    }
  }

  #perform(nodeId: string, member: Member): void {
    const { node, told } = member;
    for (const effect of node.take()) {
      member.effects.push(effect);
      switch (effect.kind) {
        case 'send':
          this.#send(nodeId, effect.data);
          break;
        case 'probe':
          node.probed(effect.id, this.isReachable, this.t);
          break;
        case 'list':
          for (const to of effect.to) {
            told.push({
              type: 'list',
              to,
              users: this.online(nodeId, effect.communityId),
              info: node.info(effect.communityId),
            });
          }
          break;
        case 'event': {
          const { type, userId } = effect.event;
          const reason = 'reason' in effect.event ? { reason: effect.event.reason } : {};
          if (effect.audience !== 'own') told.push({ type, userId, ...reason });
          break;
        }
        default:
      }
    }
  }

  #send(from: string, data: string): void {
    const envelope = decodeMessage(data, 'rollcall', Infinity);
    if (typeof envelope === 'string') throw new Error(`${from} sent what is ${envelope}`);
    this.sent.push({ ...envelope, data });
    for (const [to, member] of this.members) {
      if (to === from || !member.alive) continue;
      const letter = { from, to, data };
      if (this.isLost(letter, envelope)) continue;
      if (member.paused || this.isHeld(letter, envelope)) this.held.push(letter);
      else this.deliver(letter);
    }
  }

  deliver({ to, data }: Letter): void {
    const member = this.at(to);
    if (!member.alive) return;
    member.node.receive(data, this.t);
    this.#perform(to, member);
  }

  /** Hands over what was held back, in the order given (by default as sent). */
  release(order: (letters: Letter[]) => Letter[] = (letters) => letters): void {
    for (const letter of order(this.held.splice(0))) this.deliver(letter);
  }

  online(nodeId: string, communityId = 'c'): string[] {
    return this.node(nodeId)
      .onlineUsers(communityId)
      .map((user) => user.userId)
      .sort();
  }

  /** How often a node told something of a user. */
  count(nodeId: string, type: Told['type'], userId: string): number {
    return this.at(nodeId).told.filter(
      (told) => told.type === type && 'userId' in told && told.userId === userId,
    ).length;
  }
}
