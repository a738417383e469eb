import { applyPatch, decodeOps, encodeEntry, entryKey } from '../core/entry.js';
import { fnv1a } from '../core/digest.js';
import type { Replica } from '../core/replica.js';
import type { Entry } from '../core/types.js';
import type { Envelope } from '../core/wire.js';

/**
 * The states that owners really had, read off what they send, so that a replica can be compared with
 * its owner at the same sequence number (I1, I3). It shares only the wire format with the core: the
 * hash here covers whole entries, the core's digest covers keys and revisions.
 */
export class History {
  /** nodeId → shard → the owner's entries and the hash of its state at each sequence number. */
  readonly #owners = new Map<string, Map<number, OwnerState>>();

  /** Takes note of what an owner sends. */
  record({ from, message }: Envelope): void {
    if (message.kind !== 'delta') return;
    for (const { shard, seq, body } of message.items) {
      const state = this.#state(from, shard);
      if (seq !== state.seq + 1) continue;
      for (const op of decodeOps(body) ?? []) {
        const key =
          op.op === 'put' ? op.entry.key : entryKey(op.communityId, op.userId, op.deviceId);
        const was = state.entries.get(key);
        if (was !== undefined) state.hash = (state.hash - hashOf(was)) | 0;
        if (op.op === 'remove') state.entries.delete(key);
        else {
          const entry = op.op === 'put' ? op.entry : applyPatch(was as Entry, op.rev, op.patch);
          state.entries.set(key, entry);
          state.hash = (state.hash + hashOf(entry)) | 0;
        }
      }
      state.seq = seq;
      state.hashes.push(state.hash);
    }
  }

  #state(nodeId: string, shard: number): OwnerState {
    let shards = this.#owners.get(nodeId);
    if (shards === undefined) this.#owners.set(nodeId, (shards = new Map()));
    let state = shards.get(shard);
    if (state === undefined) {
      state = { seq: 0, entries: new Map(), hash: 0, hashes: [0] };
      shards.set(shard, state);
    }
    return state;
  }

  /** Why a replica is not a state that its owner had, or undefined. */
  check(replica: Replica): string | undefined {
    const { owner, shard, have } = replica;
    const expected = this.#state(owner.nodeId, shard).hashes[have];
    if (expected === undefined) {
      return `I1: a replica of ${owner.nodeId}/${shard} is at ${have}, where the owner never was`;
    }
    let hash = 0;
    for (const { entry } of replica.held) hash = (hash + hashOf(entry)) | 0;
    if (hash === expected) return undefined;
    return `I3: a replica of ${owner.nodeId}/${shard} at ${have} differs from its owner at ${have}`;
  }
}

interface OwnerState {
  seq: number;
  readonly entries: Map<string, Entry>;
  hash: number;
  /** By sequence number. */
  readonly hashes: number[];
}

function hashOf(entry: Entry): number {
  return fnv1a(JSON.stringify(encodeEntry(entry)));
}
