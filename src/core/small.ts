/**
 * A map and a set for what is mostly one: a device has one socket, is in one community, and its user has
 * one device. The first is kept in place; a Map or a Set is made only where more come, since an empty
 * one takes some 200 bytes and a look-up in it follows three pointers.
 *
 * The order is that of insertion, and what is there may be deleted while it is walked through.
 */

const NONE: readonly never[] = [];

export class SmallMap<K, V> {
  #key: K | undefined;
  #value: V | undefined;
  #rest: Map<K, V> | undefined;

  get size(): number {
    return (this.#key === undefined ? 0 : 1) + (this.#rest?.size ?? 0);
  }

  get(key: K): V | undefined {
    return this.#key === key ? this.#value : this.#rest?.get(key);
  }

  set(key: K, value: V): void {
    if (this.#key === key || this.size === 0) {
      this.#key = key;
      this.#value = value;
    } else {
      (this.#rest ??= new Map()).set(key, value);
    }
  }

  delete(key: K): boolean {
    if (this.#key !== key) return this.#rest?.delete(key) ?? false;
    this.#key = this.#value = undefined;
    return true;
  }

  values(): Iterable<V> {
    if (this.#rest !== undefined) return this.#walk(this.#rest);
    return this.#key === undefined ? NONE : [this.#value as V];
  }

  *#walk(rest: Map<K, V>): Iterable<V> {
    if (this.#key !== undefined) yield this.#value as V;
    yield* rest.values();
  }
}

/** What may be asked of a set of which nothing else is said. */
export interface SomeSet<T> extends Iterable<T> {
  readonly size: number;
  has(item: T): boolean;
}

export class SmallSet<T> implements SomeSet<T> {
  #first: T | undefined;
  #rest: Set<T> | undefined;

  get size(): number {
    return (this.#first === undefined ? 0 : 1) + (this.#rest?.size ?? 0);
  }

  has(item: T): boolean {
    return this.#first === item || this.#rest?.has(item) === true;
  }

  add(item: T): void {
    if (this.#first === item) return;
    if (this.size === 0) this.#first = item;
    else (this.#rest ??= new Set()).add(item);
  }

  delete(item: T): boolean {
    if (this.#first !== item) return this.#rest?.delete(item) ?? false;
    this.#first = undefined;
    return true;
  }

  [Symbol.iterator](): Iterator<T> {
    const first = this.#first;
    if (this.#rest !== undefined) return this.#walk(this.#rest);
    return first === undefined ? NONE.values() : [first].values();
  }

  *#walk(rest: Set<T>): Iterator<T> {
    if (this.#first !== undefined) yield this.#first;
    yield* rest;
  }
}

/** Takes one item out of an array in place; unlike `splice` it makes no array of what it took. */
export function removeAt(items: unknown[], index: number): void {
  items.copyWithin(index, index + 1);
  items.pop();
}
