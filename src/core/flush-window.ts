/** A flush that told so many users, or more, is followed by a window of twice the length. */
const BUSY_CHANGES = 16;

/**
 * When changes go out: the first after a quiet time at once, those that follow together, so that at most
 * one flush ends in `flushMs`. What a flush costs here and on each node that hears of it hardly depends on
 * how much it carries, so a window grows with what the last one carried, to at most twice `flushMs`.
 * Counted from the last flush, not from the first change: nodes that hear of each other's changes fall into
 * step, and each is woken once for the messages of all the others.
 */
export class FlushWindow {
  readonly #flushMs: number;
  #changes = 0;
  #endedAt = -Infinity;
  #continuing = false;

  constructor(flushMs: number) {
    this.#flushMs = flushMs;
  }

  /** A flush has been begun that takes more than one slice. */
  get isContinuing(): boolean {
    return this.#continuing;
  }

  /**
   * When the next slice is due, if there is something to flush; -Infinity while a flush goes on. Only
   * changes wait for a window that has grown: what is urgent, a list above all, waits for `flushMs`.
   */
  dueAt(isUrgent = false): number {
    if (this.#continuing) return -Infinity;
    const growth = isUrgent ? 0 : Math.min(1, this.#changes / BUSY_CHANGES);
    return this.#endedAt + this.#flushMs * (1 + growth);
  }

  /** A flush begins that tells so many users; without, windows do not grow. */
  open(changes: number): void {
    this.#changes = changes;
  }

  /** A slice has been done; `hasMore` says whether the flush goes on with another. */
  done(hasMore: boolean, now: number): void {
    this.#continuing = hasMore;
    if (!hasMore) this.#endedAt = now;
  }
}
