/**
 * A map and a set for what comes and goes all the time, where a Map or a Set would keep what is gone.
 *
 * V8 makes a new table now and then for a Map whose items are deleted and added, and the old one points to
 * it, for iterators that are under way. Once such a table has become old, it is not collected before the
 * next major collection, and neither is any table after it nor what was in them: everything that was ever
 * there grows old, each major collection makes the then newest table old, and it begins again. A map that
 * is copied into a new one after every few turnovers breaks that chain.
 *
 * As with a Map, what is there may be deleted while it is walked through; unlike there, what is added
 * meanwhile may be missed, and what is deleted after that may still come.
 */

/** It is copied when more items have been deleted than there are, so many times over. */
const TURNOVERS = 4;
/** And not before so many have been, however few there are. */
const LEAST_DELETED = 64;

export class ChurnMap<K, V> {
  #map = new Map<K, V>();
  #deleted = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    if (this.#deleted > LEAST_DELETED && this.#deleted > TURNOVERS * this.#map.size) {
      this.#map = new Map(this.#map);
      this.#deleted = 0;
    }
    this.#map.set(key, value);
  }

  delete(key: K): boolean {
    if (!this.#map.delete(key)) return false;
    this.#deleted++;
    return true;
  }

  clear(): void {
    if (this.#map.size > 0) this.#map = new Map();
    this.#deleted = 0;
  }

  keys(): MapIterator<K> {
    return this.#map.keys();
  }

  values(): MapIterator<V> {
    return this.#map.values();
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.#map[Symbol.iterator]();
  }
}

export class ChurnSet<T> {
  #set = new Set<T>();
  #deleted = 0;

  get size(): number {
    return this.#set.size;
  }

  has(item: T): boolean {
    return this.#set.has(item);
  }

  add(item: T): void {
    if (this.#deleted > LEAST_DELETED && this.#deleted > TURNOVERS * this.#set.size) {
      this.#set = new Set(this.#set);
      this.#deleted = 0;
    }
    this.#set.add(item);
  }

  delete(item: T): boolean {
    if (!this.#set.delete(item)) return false;
    this.#deleted++;
    return true;
  }

  clear(): void {
    if (this.#set.size > 0) this.#set = new Set();
    this.#deleted = 0;
  }

  [Symbol.iterator](): SetIterator<T> {
    return this.#set[Symbol.iterator]();
  }
}
