import type { Peer } from './membership.js';
import { Replica, type ReplicaHost } from './replica.js';
import type { Held } from './roster.js';
import type { Instant } from './types.js';
import type { Want } from './wire.js';

/** What this node holds of the others' logs, and what it is missing of them. */

export interface ReplicasHost extends ReplicaHost {
  readonly peers: () => Iterable<Peer>;
  /** Whether this node takes part in a shard: of others it holds nothing. */
  readonly takesPartIn: (shard: number) => boolean;
  /** A replica has taken something in. */
  readonly onChange: (nodeId: string, replica: Replica) => void;
}

export class Replicas {
  readonly #host: ReplicasHost;
  /** Replicas that are missing something. */
  readonly #behind = new Set<Replica>();

  constructor(host: ReplicasHost) {
    this.#host = host;
  }

  /** The replica of a shard of a node's log; undefined where this node does not take part in the shard. */
  of(peer: Peer, shard: number): Replica | undefined {
    if (!this.#host.takesPartIn(shard)) return undefined;
    let replica = peer.replicas.get(shard);
    if (replica === undefined) {
      replica = new Replica(peer.owner, shard, this.#host);
      peer.replicas.set(shard, replica);
    }
    return replica;
  }

  /** Gives something to the replica of a shard, if there is one here. */
  give(peer: Peer, shard: number, what: (replica: Replica) => void): void {
    const replica = this.of(peer, shard);
    if (replica === undefined) return;
    what(replica);
    this.changed(peer, replica);
  }

  changed(peer: Peer, replica: Replica): void {
    if (replica.isBehind) this.#behind.add(replica);
    else this.#behind.delete(replica);
    this.#host.onChange(peer.nodeId, replica);
  }

  /** Nothing is to be had of this node for now. */
  giveUp(peer: Peer): void {
    for (const replica of peer.replicas.values()) this.#behind.delete(replica);
  }

  /** The visibility of a node's entries has changed. */
  touch(peer: Peer, t: Instant): void {
    const seenAt = Math.round(Math.max(0, t.wall - (t.now - peer.lastHeard)));
    for (const replica of peer.replicas.values()) replica.touch(seenAt);
  }

  /** Lets go of all that is held of a node; `each` says what becomes of an entry. */
  dispose(peer: Peer, each: (held: Held) => void): void {
    for (const replica of peer.replicas.values()) {
      this.#behind.delete(replica);
      replica.dispose(each);
    }
    peer.replicas.clear();
  }

  /** Lets go of all that is held of a shard. */
  drop(shard: number): void {
    for (const peer of this.#host.peers()) {
      const replica = peer.replicas.get(shard);
      if (replica === undefined) continue;
      peer.replicas.delete(shard);
      this.#behind.delete(replica);
      replica.dispose((held) => this.#host.view.drop(held, 'left', 0, false));
    }
  }

  /** Something is missing. */
  get areBehind(): boolean {
    return this.#behind.size > 0;
  }

  /** What to ask of whom now: what has been missing for long enough. */
  wants(now: number): Map<string, Want[]> {
    const wants = new Map<string, Want[]>();
    for (const replica of this.#behind) {
      const have = replica.wants(now);
      if (have === undefined) continue;
      const { nodeId } = replica.owner;
      const list = wants.get(nodeId);
      if (list === undefined) wants.set(nodeId, [{ shard: replica.shard, have }]);
      else list.push({ shard: replica.shard, have });
    }
    return wants;
  }

  nextDue(): number {
    let at = Infinity;
    for (const replica of this.#behind) at = Math.min(at, replica.dueAt());
    return at;
  }

  /** How many there are, the deltas that wait in them, and the age of the oldest gap in ms. */
  gauges(now: number): { replicas: number; bufferedDeltas: number; lagMs: number } {
    let replicas = 0;
    let bufferedDeltas = 0;
    let lagMs = 0;
    for (const peer of this.#host.peers()) {
      for (const replica of peer.replicas.values()) {
        replicas++;
        bufferedDeltas += replica.buffered;
        if (replica.gapSince !== null) lagMs = Math.max(lagMs, now - replica.gapSince);
      }
    }
    return { replicas, bufferedDeltas, lagMs };
  }
}
