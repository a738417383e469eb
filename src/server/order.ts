/** Ids sorted by a key of each, kept so while they come, change and go. */
export class Order {
  readonly #keys = new Map<string, string>();
  #sorted: string[] = [];

  /** Sorts all at once, which is cheaper than one by one. */
  fill(entries: Iterable<readonly [id: string, key: string]>): void {
    for (const [id, key] of entries) this.#keys.set(id, keyOf(id, key));
    const keys = this.#keys;
    this.#sorted = [...keys.keys()].sort((a, b) =>
      (keys.get(a) as string) < (keys.get(b) as string) ? -1 : 1,
    );
  }

  put(id: string, key: string): void {
    const full = keyOf(id, key);
    const known = this.#keys.get(id);
    if (known === full) return;
    if (known !== undefined) this.#sorted.splice(this.#find(known), 1);
    this.#sorted.splice(this.#find(full), 0, id);
    this.#keys.set(id, full);
  }

  remove(id: string): void {
    const key = this.#keys.get(id);
    if (key === undefined) return;
    this.#sorted.splice(this.#find(key), 1);
    this.#keys.delete(id);
  }

  slice(offset: number, limit: number): string[] {
    return this.#sorted.slice(offset, offset + limit);
  }

  /** Where a key stands or would stand. */
  #find(key: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys.get(this.#sorted[middle] as string) as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** No two are the same: ids hold no control characters. */
function keyOf(id: string, key: string): string {
  return `${key}\0${id}`;
}
