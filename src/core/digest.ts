/**
 * An order-free digest of a set of entries: the wrapping sum of two 32-bit hashes per entry, so that
 * adding, changing and removing one entry costs the same whatever the size of the set.
 * It guards against defects (a wrong merge), not against an attacker.
 * Hash: FNV-1a (Fowler, Noll, Vo) over UTF-16 code units, finished by the mixer of MurmurHash3.
 */

const PRIME = 0x01000193;

/** 32-bit FNV-1a of a string from a given basis. */
export function fnv1a(text: string, basis = 0x811c9dc5): number {
  let hash = basis | 0;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
  }
  return hash;
}

function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The shard of a community among `shards`. Every node of a cluster must use the same number. */
export function shardOf(communityId: string, shards: number): number {
  return (mix(fnv1a(communityId)) >>> 0) % shards;
}

export class Digest {
  a = 0;
  b = 0;

  /** Adds (`sign` 1) or takes away (`sign` -1) an entry, known by the hash of its key and its revision. */
  fold(keyHash: number, rev: number, sign: 1 | -1): void {
    const low = rev | 0;
    const high = (rev / 4294967296) | 0;
    const first = mix(keyHash ^ Math.imul(low, PRIME) ^ high);
    const second = mix(first ^ low ^ 0x5bd1e995);
    this.a = (this.a + Math.imul(first, sign)) | 0;
    this.b = (this.b + Math.imul(second, sign)) | 0;
  }

  equals(a: number, b: number): boolean {
    return this.a === a && this.b === b;
  }

  reset(): void {
    this.a = 0;
    this.b = 0;
  }
}
