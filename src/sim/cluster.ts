import type { PresenceNode } from '../core/index.js';
import type { Replica } from '../core/replica.js';
import type { Engine } from '../strategy/index.js';
import type { Observer } from './observer.js';
import type { ClientPlan } from './plan.js';

/** What a simulated cluster consists of: nodes, the clients, and their sockets between them. */

/** What the world needs of a node: the shipping core, another strategy's engine, or a naive way. */
export type SimEngine = Pick<
  Engine,
  | 'nodeId'
  | 'start'
  | 'close'
  | 'connect'
  | 'join'
  | 'leave'
  | 'update'
  | 'disconnect'
  | 'alive'
  | 'suspend'
  | 'resume'
  | 'receive'
  | 'probed'
  | 'tick'
  | 'nextTickAt'
  | 'take'
  | 'hasEffects'
  | 'onlineUsers'
  | 'own'
  | 'info'
  | 'isDegraded'
  | 'touch'
> &
  Partial<Pick<Engine, 'gone' | 'returned'>>;

export interface SimClient {
  readonly plan: ClientPlan;
  readonly userId: string;
  readonly deviceId: string;
  readonly wants: Set<string>;
  socket: SimSocket | null;
  /** It means to be online, so it reconnects when a connection is lost. */
  online: boolean;
  connections: number;
  hasBeenInvisible: boolean;
  /** Since when it is present without a gap that the linger does not cover. */
  presentSince: number;
  /** When its connection was lost, or null while it is connected or has left. */
  lostAt: number | null;
  /** Until when a node may count it that has just given up a half-open socket of it. */
  lingersUntil: number;
  /** Its latest word on visibility, while nothing else of its user has happened since. */
  hiding: { readonly node: SimNode; readonly since: number } | null;
}

export interface SimSocket {
  readonly id: string;
  readonly client: SimClient;
  readonly host: SimNode;
  readonly observer: Observer;
  readonly since: number;
  /** The client is gone, but the node has not noticed. */
  halfOpen: boolean;
  /** It cannot keep up and is told nothing. */
  slow: boolean;
  /** Communities of which it gets the events. */
  readonly rooms: Set<string>;
}

export interface SimNode {
  readonly index: number;
  readonly engine: SimEngine;
  /** The engine again where it is the shipping core of `replicated`, whose inside can be checked. */
  readonly core: PresenceNode | undefined;
  readonly sockets: Map<string, SimSocket>;
  readonly drift: number;
  readonly startedAt: number;
  /** Shards that it takes part in, and since when. */
  readonly interestedAt: Map<number, number>;
  /** Users that have been connected to this node. */
  readonly hosted: Set<string>;
  readonly left: Set<string>;
  readonly checked: WeakMap<Replica, { have: number; a: number; b: number }>;
  readonly compared: Map<string, string>;
  /** Nothing reaches it before: its subscription is not there yet. */
  subscribedAt: number;
  /** Shards of which the medium delivers to it, where it delivers by address. */
  readonly subscribed: Set<number>;
  /** Shards of interest whose subscription is not confirmed yet; what asks waits for them. */
  readonly subscribing: Set<number>;
  held: (() => void)[];
  wallOffset: number;
  degradedAt: number;
  alive: boolean;
  paused: boolean;
  pausedUntil: number;
  waiting: (() => void)[];
  tickAt: number;
  idleTicks: number;
}
