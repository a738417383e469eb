/** How long until what could not end at its deadline is looked at again. */
export const LOOK_AGAIN_MS = 250;

/**
 * Deadlines of many things behind one timer of the host: a binary heap by time. An item is not
 * removed when its deadline moves; whoever pops it compares and pushes again, so a flurry of changes
 * costs one heap item, not one each.
 */
export class Deadlines<T> {
  readonly #times: number[] = [];
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The earliest deadline, or Infinity. */
  next(): number {
    return this.#times[0] ?? Infinity;
  }

  push(at: number, item: T): void {
    const times = this.#times;
    const items = this.#items;
    let i = times.length;
    times.push(at);
    items.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const parentTime = times[parent] as number;
      if (parentTime <= at) break;
      times[i] = parentTime;
      items[i] = items[parent] as T;
      i = parent;
    }
    times[i] = at;
    items[i] = item;
  }

  /** Takes one item that is due, or gives undefined. */
  pop(now: number): T | undefined {
    const times = this.#times;
    const items = this.#items;
    if (times.length === 0 || (times[0] as number) > now) return undefined;
    const result = items[0];
    const at = times.pop() as number;
    const item = items.pop() as T;
    const size = times.length;
    if (size > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= size) break;
        if (child + 1 < size && (times[child + 1] as number) < (times[child] as number)) child++;
        if ((times[child] as number) >= at) break;
        times[i] = times[child] as number;
        items[i] = items[child] as T;
        i = child;
      }
      times[i] = at;
      items[i] = item;
    }
    return result;
  }
}
