import type { DevicePatch } from '../core/index.js';
import { Random } from './prng.js';

/**
 * What happens in a run, drawn from one seed: the cluster's size and limits, which faults exist and
 * how strong they are (each seed has its own mix), and every action of clients, nodes and network.
 */

export interface PlanOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly users: number;
  readonly communities: number;
  readonly durationMs: number;
  readonly canProbe: boolean;
  readonly heartbeatMs: number;
  readonly downAfterMs: number;
  readonly lingerMs: number;
  readonly flushMs: number;
  readonly dropDelayMs: number;
  /** Limits so small that their edges are met all the time. */
  readonly tiny: boolean;
  readonly loss: number;
  readonly duplication: number;
  readonly delayMs: number;
  readonly reorder: boolean;
  /** The medium delivers by address: to one node, or to those that take part in a shard at that moment. */
  readonly routed?: boolean;
  /** The medium tells the others when a process has ended. */
  readonly seesDeaths?: boolean;
  /** Rates of clock drift between nodes, as a share. */
  readonly drift: number;
  readonly faults: Readonly<Record<Fault, boolean>>;
}

export const FAULTS = [
  'crash',
  'leave',
  'pause',
  'stall',
  'partition',
  'oneWay',
  'link',
  'outage',
  'clockStep',
  'halfOpen',
  'sameName',
  'lateSubscribe',
  'slowClient',
  'corrupt',
] as const;

export type Fault = (typeof FAULTS)[number];

export type Action = { readonly at: number } & (
  | { readonly kind: 'open'; readonly client: number; readonly node: number }
  | { readonly kind: 'close'; readonly client: number }
  | {
      readonly kind: 'drop';
      readonly client: number;
      readonly awayMs: number;
      readonly node: number;
    }
  | {
      readonly kind: 'halfOpen';
      readonly client: number;
      readonly awayMs: number;
      readonly node: number;
    }
  | { readonly kind: 'update'; readonly client: number; readonly patch: DevicePatch }
  | { readonly kind: 'join'; readonly client: number; readonly community: number }
  | { readonly kind: 'part'; readonly client: number; readonly community: number }
  | { readonly kind: 'crash'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'leave'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'pause'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'clockStep'; readonly node: number; readonly byMs: number }
  | {
      readonly kind: 'partition';
      /** Nodes on the one side, as bits. */
      readonly side: number;
      readonly oneWay: boolean;
      readonly forMs: number;
    }
  | {
      readonly kind: 'link';
      readonly from: number;
      readonly to: number;
      readonly forMs: number;
    }
  | { readonly kind: 'outage'; readonly forMs: number }
  | { readonly kind: 'slow'; readonly client: number; readonly forMs: number }
  | { readonly kind: 'read'; readonly node: number; readonly community: number }
);

/** A client: one device of one user. Two clients of a user are two devices. */
export interface ClientPlan {
  readonly user: number;
  readonly device: number;
  readonly communities: readonly number[];
}

export interface Plan {
  readonly options: PlanOptions;
  readonly clients: readonly ClientPlan[];
  readonly actions: readonly Action[];
}

/** What a caller may fix; everything else is drawn. */
export interface PlanWish {
  readonly nodes?: number;
  /** Faults that may occur; all by default. */
  readonly faults?: readonly Fault[];
  /** No loss, duplication, reordering or faults. */
  readonly calm?: boolean;
}

export function drawPlan(seed: number, wish: PlanWish = {}): Plan {
  const random = new Random(seed, 'options');
  const medium = new Random(seed, 'medium');
  const allowed = new Set<Fault>(wish.faults ?? FAULTS);
  const calm = wish.calm === true;
  // One or two faults show what must hold in spite of them; many show what is missed between them.
  const few = random.chance(0.5);
  const pool = [...allowed];
  const chosen = new Set(few && pool.length > 0 ? [random.pick(pool), random.pick(pool)] : []);
  const faults = Object.fromEntries(
    FAULTS.map((fault) => {
      const drawn = few ? chosen.has(fault) : random.chance(0.4);
      return [fault, drawn && allowed.has(fault) && !calm];
    }),
  ) as Record<Fault, boolean>;
  const lossy = random.chance(few ? 0.2 : 0.5);
  const loss = random.pick([0.01, 0.05, 0.15, 0.3]);
  const duplicates = random.chance(0.5);
  const duplication = random.pick([0.02, 0.1, 0.4]);
  const heartbeatMs = 1000;
  const options: PlanOptions = {
    seed,
    nodes: wish.nodes ?? random.pick([1, 2, 2, 3, 3, 3, 4, 5, 7]),
    users: random.int(1, 6),
    communities: random.int(1, 3),
    durationMs: random.int(30_000, 90_000),
    canProbe: random.chance(0.7),
    heartbeatMs,
    downAfterMs: random.pick([4000, 5000, 8000]),
    lingerMs: random.pick([1000, 3000, 5000]),
    flushMs: random.pick([0, 10, 25, 25, 50]),
    dropDelayMs: random.pick([2000, 30_000]),
    tiny: random.chance(0.4),
    loss: lossy && !calm ? loss : 0,
    duplication: duplicates && !calm ? duplication : 0,
    delayMs: random.pick([1, 5, 30, 100]),
    reorder: random.chance(0.5) && !calm,
    drift: random.pick([0, 0, 0.001, 0.01]),
    routed: medium.chance(0.5),
    seesDeaths: medium.chance(0.5),
    faults,
  };
  const clients = drawClients(options);
  return { options, clients, actions: drawActions(options, clients) };
}

function drawClients({ seed, users, communities }: PlanOptions): ClientPlan[] {
  const random = new Random(seed, 'clients');
  const clients: ClientPlan[] = [];
  for (let user = 0; user < users; user++) {
    const devices = random.int(1, 3);
    for (let device = 0; device < devices; device++) {
      const own = Array.from({ length: communities }, (_, i) => i).filter(() => random.chance(0.7));
      clients.push({ user, device, communities: own.length > 0 ? own : [0] });
    }
  }
  return clients;
}

const STATUSES = ['active', 'idle', 'busy', 'invisible', 'active', null] as const;

function drawActions(options: PlanOptions, clients: readonly ClientPlan[]): Action[] {
  const { seed, nodes, durationMs, communities, faults } = options;
  const work = new Random(seed, 'work');
  const trouble = new Random(seed, 'faults');
  const actions: Action[] = [];
  const anyClient = (): number => work.int(0, clients.length - 1);
  const anyNode = (random: Random): number => random.int(0, nodes - 1);
  for (let client = 0; client < clients.length; client++) {
    actions.push({ at: work.between(0, 4000), kind: 'open', client, node: anyNode(work) });
  }
  for (let at = 1000; at < durationMs; at += work.between(20, 1500)) {
    const draw = work.next();
    const client = anyClient();
    const node = anyNode(work);
    // Most come back within the linger, some after it.
    const awayMs = work.chance(0.7) ? work.between(10, 1500) : work.between(3000, 9000);
    if (draw < 0.2) actions.push({ at, kind: 'drop', client, awayMs, node });
    else if (draw < 0.3) actions.push({ at, kind: 'close', client });
    else if (draw < 0.45) actions.push({ at, kind: 'open', client, node });
    else if (draw < 0.75) actions.push({ at, kind: 'update', client, patch: drawPatch(work) });
    else if (draw < 0.83) {
      actions.push({ at, kind: 'join', client, community: work.int(0, communities - 1) });
    } else if (draw < 0.9) {
      actions.push({ at, kind: 'part', client, community: work.int(0, communities - 1) });
    } else if (draw < 0.94) {
      if (faults.halfOpen) actions.push({ at, kind: 'halfOpen', client, awayMs, node });
    } else if (draw < 0.96) {
      // Come and gone within one flush.
      actions.push({ at, kind: 'open', client, node });
      actions.push({ at: at + work.between(0, 40), kind: 'close', client });
    } else if (draw < 0.98) {
      if (faults.slowClient) actions.push({ at, kind: 'slow', client, forMs: awayMs });
    } else {
      actions.push({ at, kind: 'read', node, community: work.int(0, communities - 1) });
    }
  }
  const active = FAULTS.filter((fault) => faults[fault]);
  if (active.length === 0) return actions.sort((x, y) => x.at - y.at);
  for (let at = 3000; at < durationMs; at += trouble.between(1000, 20_000)) {
    const node = anyNode(trouble);
    const kind = trouble.pick(active);
    const forMs = trouble.pick([300, 1500, 4000, 9000, 20_000]) * trouble.between(0.5, 1.5);
    const side = trouble.int(1, Math.max(1, 2 ** nodes - 2));
    const byMs = trouble.pick([-3_600_000, 3_600_000, 700, -20_000]);
    if (kind === 'crash') actions.push({ at, kind, node, downMs: trouble.between(200, 15_000) });
    else if (kind === 'leave') actions.push({ at, kind, node, downMs: trouble.between(200, 6000) });
    else if (kind === 'pause') actions.push({ at, kind, node, forMs });
    else if (kind === 'stall') {
      actions.push({ at, kind: 'pause', node, forMs: trouble.between(50, 2500) });
    } else if (kind === 'partition') {
      actions.push({ at, kind, side, oneWay: false, forMs });
    } else if (kind === 'oneWay') {
      actions.push({ at, kind: 'partition', side, oneWay: true, forMs });
    } else if (kind === 'link') {
      actions.push({ at, kind, from: node, to: anyNode(trouble), forMs });
    } else if (kind === 'outage') actions.push({ at, kind, forMs });
    else if (kind === 'clockStep') actions.push({ at, kind, node, byMs });
  }
  return actions.sort((x, y) => x.at - y.at);
}

function drawPatch(random: Random): DevicePatch {
  const draw = random.next();
  if (draw < 0.4) return { status: random.pick(STATUSES) };
  if (draw < 0.6) return { typing: random.chance(0.7) };
  if (draw < 0.8) return { boardId: random.chance(0.2) ? null : `board-${random.int(1, 3)}` };
  return { meta: random.chance(0.2) ? null : { n: random.int(1, 5) } };
}
