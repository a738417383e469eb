import type { Devices } from './devices.js';
import {
  decodeEvicted,
  decodeFacts,
  encodeEvicted,
  encodeFacts,
  endOf,
  type AskedNode,
  type DeviceExplanation,
  type DeviceFacts,
  type EvictedDevice,
  type EvictionTarget,
} from './explanation.js';
import type { Membership, Peer } from './membership.js';
import { decodeReport, encodeReport, type NodeReport } from './report.js';
import { isVeiled, type Held, type Owner } from './roster.js';
import type { Effect, Instant, PeerState } from './types.js';
import type { View } from './view.js';
import type { Message } from './wire.js';

/**
 * What operators ask of the whole cluster, under every strategy: why is a user online, be gone, and
 * how are the nodes.
 * Every node answers for its own devices and ends only those, as the single writer of its entries.
 */

export interface OperationsHost {
  readonly self: Owner;
  readonly name: string | undefined;
  readonly devices: Devices;
  readonly membership: Membership;
  readonly view: View;
  readonly lingerMs: number;
  /** It is known who else is there. */
  readonly isReady: () => boolean;
  /** What the strategy has of the target beyond the view is to end, too. */
  readonly onEvict?: (target: EvictionTarget, t: Instant) => void;
  /** What has ended here is sent to the others ahead of what follows. */
  readonly announce?: () => void;
  readonly out: Effect[];
  readonly report: (now: number) => NodeReport;
  readonly nextRequest: () => number;
  readonly send: (message: Message) => void;
  readonly leave: (socketId: string, communityId: string, t: Instant) => void;
  readonly disconnect: (socketId: string, reason: 'left', t: Instant) => void;
  readonly onMalformed: () => void;
}

export type OperationMessage = Extract<
  Message,
  { kind: 'inspect' | 'inspected' | 'evict' | 'evicted' | 'survey' | 'surveyed' }
>;

/** How long the others have to answer, and after what time they are asked again. */
const TIMEOUT_MS = 2000;
/** A live view does not wait long for a node that hangs. */
const SURVEY_TIMEOUT_MS = 700;
const ASK_AGAIN_MS = 400;
/** Evictions that are remembered, so that one asked for twice is done once. */
const DONE = 256;

interface Open {
  readonly until: number;
  askAgainAt: number;
  readonly message: OperationMessage;
  readonly awaiting: Set<string>;
}

interface Inquiry extends Open {
  readonly userId: string;
  readonly facts: Map<string, readonly DeviceFacts[]>;
}

interface Evicting extends Open {
  readonly target: EvictionTarget;
  readonly devices: EvictedDevice[];
  sockets: number;
}

interface Survey extends Open {
  readonly reports: NodeReport[];
}

interface Done {
  readonly body: string;
  readonly sockets: number;
}

function dueAt({ awaiting, until, askAgainAt }: Open): number {
  return awaiting.size === 0 ? -Infinity : Math.min(until, askAgainAt);
}

export class Operations {
  readonly #host: OperationsHost;
  readonly #inquiries = new Map<number, Inquiry>();
  readonly #evictions = new Map<number, Evicting>();
  readonly #surveys = new Map<number, Survey>();
  readonly #done = new Map<string, Done>();

  constructor(host: OperationsHost) {
    this.#host = host;
  }

  /** Asks every node what it knows of a user; an `explained` effect follows. */
  explain(userId: string, t: Instant): number {
    const { self, devices, nextRequest } = this.#host;
    const request = nextRequest();
    const open = this.#open({ kind: 'inspect', request, userId }, t);
    const facts = new Map([[self.nodeId, devices.connections.facts(userId, t.now)]]);
    this.#inquiries.set(request, { ...open, userId, facts });
    this.tick(t);
    return request;
  }

  /** Ends a user's devices on every node, deliberately; an `evicted` effect follows. */
  evict(target: EvictionTarget, reason: string, t: Instant): number {
    const request = this.#host.nextRequest();
    const { nodeId } = this.#host.self;
    const open = this.#open({ kind: 'evict', request, target, reason }, t);
    const { devices, sockets } = this.#end(target, reason, t);
    const own = devices.map((device) => ({ ...device, nodeId }));
    this.#evictions.set(request, { ...open, target, devices: own, sockets });
    this.tick(t);
    return request;
  }

  /** Asks every node how it is; a `surveyed` effect follows. */
  survey(t: Instant): number {
    const request = this.#host.nextRequest();
    const open = this.#open({ kind: 'survey', request }, t, SURVEY_TIMEOUT_MS);
    this.#surveys.set(request, { ...open, reports: [this.#host.report(t.now)] });
    this.tick(t);
    return request;
  }

  #open(message: OperationMessage, t: Instant, timeoutMs = TIMEOUT_MS): Open {
    const awaiting = new Set<string>();
    for (const peer of this.#host.membership.peers) {
      if (peer.state !== 'down') awaiting.add(peer.nodeId);
    }
    if (awaiting.size > 0) this.#host.send(message);
    const { now } = t;
    return { until: now + timeoutMs, askAgainAt: now + ASK_AGAIN_MS, message, awaiting };
  }

  onMessage(peer: Peer, message: OperationMessage, t: Instant): void {
    const { devices, self, send } = this.#host;
    switch (message.kind) {
      case 'inspect': {
        const body = encodeFacts(devices.connections.facts(message.userId, t.now));
        send({ kind: 'inspected', to: peer.nodeId, request: message.request, body });
        return;
      }
      case 'inspected': {
        const inquiry = this.#inquiries.get(message.request);
        if (message.to !== self.nodeId || inquiry?.awaiting.has(peer.nodeId) !== true) return;
        const facts = decodeFacts(message.body);
        if (facts === undefined) return this.#host.onMalformed();
        inquiry.awaiting.delete(peer.nodeId);
        inquiry.facts.set(peer.nodeId, facts);
        return;
      }
      case 'survey': {
        const body = encodeReport(this.#host.report(t.now));
        send({ kind: 'surveyed', to: peer.nodeId, request: message.request, body });
        return;
      }
      case 'surveyed': {
        const survey = this.#surveys.get(message.request);
        if (message.to !== self.nodeId || survey?.awaiting.has(peer.nodeId) !== true) return;
        const report = decodeReport(message.body);
        if (report?.nodeId !== peer.nodeId) return this.#host.onMalformed();
        survey.awaiting.delete(peer.nodeId);
        survey.reports.push(report);
        return;
      }
      case 'evict': {
        const { request } = message;
        const { body, sockets } = this.#endOnce(`${peer.nodeId}/${request}`, message, t);
        this.#host.announce?.();
        send({ kind: 'evicted', to: peer.nodeId, request, sockets, body });
        return;
      }
      case 'evicted': {
        const eviction = this.#evictions.get(message.request);
        if (message.to !== self.nodeId || eviction?.awaiting.has(peer.nodeId) !== true) return;
        const ended = decodeEvicted(message.body);
        if (ended === undefined) return this.#host.onMalformed();
        eviction.awaiting.delete(peer.nodeId);
        eviction.sockets += message.sockets;
        for (const device of ended) eviction.devices.push({ ...device, nodeId: peer.nodeId });
        return;
      }
    }
  }

  /** A request that comes twice must not end what has connected since. */
  #endOnce(key: string, message: Extract<Message, { kind: 'evict' }>, t: Instant): Done {
    const before = this.#done.get(key);
    if (before !== undefined) return before;
    const { devices, sockets } = this.#end(message.target, message.reason, t);
    const done = { body: encodeEvicted(devices), sockets };
    this.#done.set(key, done);
    if (this.#done.size > DONE) {
      for (const oldest of this.#done.keys()) {
        this.#done.delete(oldest);
        break;
      }
    }
    return done;
  }

  /** Ends what this node holds: its sockets, what lingers, and what is expected from a node that left. */
  #end(
    target: EvictionTarget,
    reason: string,
    t: Instant,
  ): { devices: Omit<EvictedDevice, 'nodeId'>[]; sockets: number } {
    const { devices, leave, disconnect, out } = this.#host;
    const { userId, deviceId, communityId } = target;
    const { connections } = devices;
    const ended = connections
      .facts(userId, t.now)
      .filter((facts) => facts.counts && isMeant(facts, target))
      .map((facts) => ({ communityId: facts.communityId, deviceId: facts.deviceId }));
    const socketIds = connections
      .socketsOfDevice(userId, deviceId)
      .filter(
        (id) =>
          communityId === undefined || connections.communitiesOf(id)?.has(communityId) === true,
      );
    for (const id of connections.socketsOfDevice(userId, deviceId)) {
      if (communityId === undefined) disconnect(id, 'left', t);
      else leave(id, communityId, t);
    }
    devices.end(userId, deviceId, communityId, t);
    for (const held of this.#heldElsewhere(userId)) {
      if (held.until !== 0 && isMeant(held.entry, target)) {
        this.#host.view.drop(held, 'left', held.seenAt, false);
      }
    }
    this.#host.onEvict?.(target, t);
    out.push({ kind: 'expel', target, reason });
    return { devices: ended, sockets: socketIds.length };
  }

  /** What this node holds of a user that is not its own. */
  #heldElsewhere(userId: string): Held[] {
    const { self, view } = this.#host;
    const found: Held[] = [];
    for (const community of view.communities) {
      for (const held of community.users.get(userId)?.held ?? []) {
        if (held.owner !== self) found.push(held);
      }
    }
    return found;
  }

  /** Nodes that are taken for dead and were not asked, while the user is still shown on their account. */
  #deadHolders(target: EvictionTarget): string[] {
    const { membership } = this.#host;
    return this.#heldElsewhere(target.userId)
      .filter(({ entry, owner }) => !owner.hidden && isMeant(entry, target))
      .map(({ owner }) => owner.nodeId)
      .filter((id) => !membership.isFenced(id) && (membership.get(id)?.state ?? 'down') === 'down');
  }

  stopAwaiting(nodeId: string): void {
    for (const opened of [this.#inquiries, this.#surveys]) {
      for (const { awaiting } of opened.values()) awaiting.delete(nodeId);
    }
    // An eviction goes on waiting: a node that was not reached must be named.
  }

  get #areNone(): boolean {
    return this.#inquiries.size + this.#evictions.size + this.#surveys.size === 0;
  }

  nextDue(): number {
    // Asked after every input, and nearly always for nothing.
    if (this.#areNone) return Infinity;
    let at = Infinity;
    for (const opened of [this.#inquiries, this.#surveys]) {
      for (const open of opened.values()) at = Math.min(at, dueAt(open));
    }
    const { hasWork } = this.#host.view.telling;
    for (const eviction of this.#evictions.values()) {
      // Telling has a deadline of its own.
      const isUntold = eviction.awaiting.size === 0 && hasWork;
      at = Math.min(at, isUntold ? eviction.until : dueAt(eviction));
    }
    return at;
  }

  /** Gives answers that are complete or late, and asks again where a question may have been lost. */
  tick(t: Instant): void {
    if (this.#areNone) return;
    for (const [id, inquiry] of this.#inquiries) {
      if (this.#isPending(inquiry, t.now)) continue;
      this.#inquiries.delete(id);
      this.#explained(id, inquiry, t.now);
    }
    for (const [id, survey] of this.#surveys) {
      if (this.#isPending(survey, t.now)) continue;
      this.#surveys.delete(id);
      const complete = this.#reachedAll(survey);
      this.#host.out.push({ kind: 'surveyed', id, report: { complete, nodes: survey.reports } });
    }
    for (const [id, eviction] of this.#evictions) {
      if (this.#isPending(eviction, t.now) || this.#isUntold(eviction, t.now)) continue;
      this.#evictions.delete(id);
      const { target, devices, sockets, awaiting } = eviction;
      for (const nodeId of this.#deadHolders(target)) awaiting.add(nodeId);
      const complete = this.#reachedAll(eviction);
      const { userId } = target;
      const result = { userId, complete, devices, sockets, silentNodes: [...awaiting] };
      this.#host.out.push({ kind: 'evicted', id, eviction: result });
    }
  }

  #reachedAll({ awaiting }: Open): boolean {
    const { membership, isReady } = this.#host;
    return awaiting.size === 0 && isReady() && !membership.degraded;
  }

  /** Whoever reads here after an eviction is not to find whom it has ended. */
  #isUntold({ until }: Evicting, now: number): boolean {
    return this.#host.view.telling.hasWork && now < until;
  }

  #isPending(open: Open, now: number): boolean {
    if (open.awaiting.size === 0 || now >= open.until) return false;
    if (now >= open.askAgainAt) {
      open.askAgainAt = now + ASK_AGAIN_MS;
      this.#host.send(open.message);
    }
    return true;
  }

  /** What can be said of a device whose owner did not name it. Its owner's life is its proof. */
  #factsOf(held: Held, peer: Peer | undefined, now: number): DeviceFacts {
    const { membership, lingerMs } = this.#host;
    const { entry, owner } = held;
    const heard = membership.lastHeard(owner.nodeId);
    let end: number | null = null;
    if (held.until !== 0) end = held.until;
    else if (peer?.state === 'down') end = peer.hideAt;
    else if (peer === undefined && heard !== undefined) end = heard + lingerMs;
    return {
      ...idsOf(held),
      status: entry.status,
      isHidden: isVeiled(entry.veil),
      counts: !owner.hidden,
      sockets: 0,
      onlineSince: entry.since,
      connectedAt: entry.connectedAt,
      lastActiveAt: entry.lastActiveAt,
      provenMs: Math.round(Math.max(0, now - (heard ?? now))),
      proofLeftMs: null,
      lingerLeftMs: end === null ? null : Math.round(Math.max(0, end - now)),
    };
  }

  #explained(id: number, inquiry: Inquiry, now: number): void {
    const { userId, facts } = inquiry;
    const { self, name, membership } = this.#host;
    const devices: DeviceExplanation[] = [];
    for (const [nodeId, list] of facts) {
      for (const one of list) {
        const peer = membership.get(nodeId);
        const nodeState = nodeId === self.nodeId ? 'self' : (peer?.state ?? 'gone');
        devices.push(explainOne(one, 'owner', nodeId, peer, nodeState, name, now));
      }
    }
    for (const held of this.#heldElsewhere(userId)) {
      const { nodeId } = held.owner;
      const isNamed = facts
        .get(nodeId)
        ?.some(({ counts, ...one }) => counts && isMeant(one, { userId, ...idsOf(held) }));
      if (isNamed === true) continue;
      const peer = membership.get(nodeId);
      const nodeState = held.until !== 0 || peer === undefined ? 'gone' : peer.state;
      const one = this.#factsOf(held, peer, now);
      devices.push(explainOne(one, 'copy', nodeId, peer, nodeState, name, now));
    }
    devices.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const nodes: AskedNode[] = [
      { nodeId: self.nodeId, nodeName: name ?? null, state: 'self', ...ANSWERED },
    ];
    for (const peer of membership.peers) {
      nodes.push({
        nodeId: peer.nodeId,
        nodeName: peer.name ?? null,
        state: peer.state,
        lastHeardMs: Math.round(Math.max(0, now - peer.lastHeard)),
        hasAnswered: facts.has(peer.nodeId),
      });
    }
    const complete = this.#reachedAll(inquiry);
    const explanation = { userId, complete, devices, nodes };
    this.#host.out.push({ kind: 'explained', id, explanation });
  }
}

const ANSWERED = { lastHeardMs: 0, hasAnswered: true };

function isMeant(
  one: { readonly communityId: string; readonly deviceId: string },
  { deviceId, communityId }: EvictionTarget,
): boolean {
  return (
    (deviceId === undefined || deviceId === one.deviceId) &&
    (communityId === undefined || communityId === one.communityId)
  );
}

function idsOf({ entry }: Held): { communityId: string; deviceId: string } {
  return { communityId: entry.communityId, deviceId: entry.deviceId };
}

function keyOf({ communityId, deviceId, nodeId }: DeviceExplanation): string {
  return [communityId, deviceId, nodeId].join('\0');
}

function explainOne(
  facts: DeviceFacts,
  source: 'owner' | 'copy',
  nodeId: string,
  peer: Peer | undefined,
  nodeState: PeerState | 'self' | 'gone',
  ownName: string | undefined,
  now: number,
): DeviceExplanation {
  const silentMs = peer === undefined ? 0 : now - peer.lastHeard;
  const nodeName = (nodeState === 'self' ? ownName : peer?.name) ?? null;
  const isSeen = facts.counts && !facts.isHidden && peer?.owner.hidden !== true;
  const endsWhen = endOf({ ...facts, source, nodeState }, silentMs);
  return { ...facts, nodeId, nodeName, nodeState, source, isSeen, endsWhen };
}
