/** So many changes are sorted in one by one; more are merged in together, which costs one pass over all. */
const FEW = 32;

/** Ids sorted by a key of each, kept so while they come, change and go. */
export class Order {
  /** The full key of each id. */
  readonly #keys = new Map<string, string>();
  /** Full keys, which end with the id: comparing them needs no look-up. */
  #sorted: string[] = [];

  /** What each of these ids is sorted by from now on; undefined takes it out. */
  update(changes: Iterable<readonly [id: string, key: string | undefined]>): void {
    const gone: string[] = [];
    const come: string[] = [];
    for (const [id, key] of changes) {
      const full = key === undefined ? undefined : `${key}\0${id}`;
      const known = this.#keys.get(id);
      if (known === full) continue;
      if (known !== undefined) gone.push(known);
      if (full === undefined) {
        this.#keys.delete(id);
      } else {
        this.#keys.set(id, full);
        come.push(full);
      }
    }
    if (gone.length + come.length > FEW) {
      this.#merge(gone, come);
    } else {
      for (const full of gone) this.#sorted.splice(this.#find(full), 1);
      for (const full of come) this.#sorted.splice(this.#find(full), 0, full);
    }
  }

  slice(offset: number, limit: number): string[] {
    return this.#sorted
      .slice(offset, offset + limit)
      .map((full) => full.slice(full.lastIndexOf('\0') + 1));
  }

  #merge(gone: readonly string[], come: string[]): void {
    const left = new Set(gone);
    const merged: string[] = [];
    come.sort(compare);
    let next = 0;
    for (const full of this.#sorted) {
      if (left.has(full)) continue;
      while (next < come.length && (come[next] as string) < full) {
        merged.push(come[next++] as string);
      }
      merged.push(full);
    }
    for (; next < come.length; next++) merged.push(come[next] as string);
    this.#sorted = merged;
  }

  /** Where a full key stands or would stand. */
  #find(full: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] as string) < full) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** No two are the same: ids hold no control characters, and each is at the end of its key. */
function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
