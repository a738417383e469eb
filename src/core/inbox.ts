import { unreachable } from './assert.js';
import type { Devices } from './devices.js';
import { shardOf } from './digest.js';
import type { Discovery } from './discovery.js';
import type { Interest } from './interest.js';
import type { Membership, Peer } from './membership.js';
import type { Operations } from './operations.js';
import type { Publisher } from './publisher.js';
import type { Replicas } from './replicas.js';
import type { RollCallAnswers } from './roll-call.js';
import type { NodeStats } from './stats.js';
import type { Instant } from './types.js';
import type { UserQueries } from './user-queries.js';
import type { DeltaItem, Message, ShardState } from './wire.js';

/** What the other nodes say: each kind of message goes to the parts of this node that it concerns. */

export interface InboxHost {
  readonly nodeId: string;
  readonly shards: number;
  readonly stats: NodeStats;
  readonly devices: Devices;
  readonly discovery: Discovery;
  readonly interest: Interest;
  readonly membership: Membership;
  readonly operations: Operations;
  readonly publisher: Publisher;
  readonly queries: UserQueries;
  readonly replicas: Replicas;
  readonly rollCalls: RollCallAnswers;
  readonly instant: () => Instant;
  readonly send: (message: Message) => void;
  /** A node has said what it knows of a user; perhaps it was the last that was asked. */
  readonly onQueryAnswered: () => void;
}

export class Inbox {
  readonly #host: InboxHost;

  constructor(host: InboxHost) {
    this.#host = host;
  }

  /** Takes in what a peer says. */
  take(peer: Peer, message: Message): void {
    const { devices, membership, nodeId: self, publisher, queries, stats } = this.#host;
    const t = this.#host.instant();
    switch (message.kind) {
      case 'hello':
        membership.describe(peer, message);
        peer.lastBeat = t.now;
        this.#onStates(peer, message.states, t);
        publisher.owe(peer.nodeId, message.request, t.now);
        publisher.oweAll(peer.nodeId);
        break;
      case 'beat':
        membership.describe(peer, message);
        // An answer says only what was asked.
        if (message.full || message.answers.length === 0) peer.lastBeat = t.now;
        this.#onStates(peer, message.states, t);
        for (const { nodeId, request } of message.answers) {
          if (nodeId === self) this.#onAnswer(peer, request, message);
        }
        break;
      case 'delta':
        this.#onDeltas(peer, message.items, t);
        break;
      case 'pull':
        if (message.to !== undefined && message.to !== self) return;
        publisher.owe(peer.nodeId, message.request, t.now);
        for (const { shard, have } of message.wants) {
          if (shard < this.#host.shards) publisher.oweSince(peer.nodeId, shard, have);
        }
        // Asked because it was silent, it says everything: others may have missed some of it.
        if (message.wants.length === 0) publisher.oweAll(peer.nodeId);
        break;
      case 'snapshot': {
        const { state, id, part, last, body } = message;
        this.#host.replicas.give(peer, state.shard, (replica) =>
          replica.onSnapshot(state, id, part, last, body, t),
        );
        break;
      }
      case 'leave':
        this.#onDeltas(peer, message.items, t);
        membership.left(peer, t);
        break;
      case 'ask':
        this.#host.send({
          kind: 'answer',
          to: peer.nodeId,
          request: message.request,
          body: queries.bodyOf(devices.connections.entriesOf(message.userId)),
        });
        break;
      case 'answer':
        if (message.to !== self) return;
        if (!queries.answer(message.request, peer.owner, message.body)) stats.malformed++;
        this.#host.onQueryAnswered();
        break;
      case 'call':
        this.#onCall(peer, message.request, message.communityId, message.userIds);
        break;
      case 'present':
        // Only nodes that hold nobody else's entries call the roll.
        break;
      case 'inspect':
      case 'inspected':
      case 'evict':
      case 'evicted':
      case 'survey':
      case 'surveyed':
        this.#host.operations.onMessage(peer, message, t);
        break;
      default:
        unreachable(message);
    }
  }

  #onCall(
    peer: Peer,
    request: number,
    communityId: string,
    userIds: readonly string[] | undefined,
  ): void {
    const { publisher, rollCalls, shards, instant } = this.#host;
    publisher.announce(publisher.seal(instant().now));
    const log = publisher.log(shardOf(communityId, shards));
    const entries = log
      .entries()
      .filter((e) => e.communityId === communityId && (userIds?.includes(e.userId) ?? true));
    rollCalls.add(peer.nodeId, request, log.state(), entries);
  }

  #onDeltas(peer: Peer, items: readonly DeltaItem[], t: Instant): void {
    for (const { shard, seq, body } of items) {
      this.#host.replicas.give(peer, shard, (replica) => replica.onDelta(seq, body, t));
    }
  }

  #onStates(peer: Peer, states: readonly ShardState[], t: Instant): void {
    for (const state of states) {
      this.#host.replicas.give(peer, state.shard, (replica) => replica.onState(state, t));
    }
  }

  #onAnswer(peer: Peer, request: number, beat: Extract<Message, { kind: 'beat' }>): void {
    const { discovery, interest, replicas, instant } = this.#host;
    const { now } = instant();
    if (beat.full) discovery.answered(peer, request, now);
    for (const shard of interest.answered(peer.nodeId, request, beat)) {
      const replica = replicas.of(peer, shard);
      // A hello asks for nothing but a word; a pull is answered by what is missing, too.
      if (discovery.isHello(request)) replica?.hurry();
      else replica?.asked(now);
      interest.settle(peer.nodeId, shard, replica?.have ?? 0, replica?.isBehind === true);
    }
  }
}
