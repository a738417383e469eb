/**
 * When changes go out: the first after a quiet time at once, those that follow together, so that at most
 * one flush ends in `flushMs`. Counted from the last flush, not from the first change: nodes that hear of
 * each other's changes fall into step, and each is woken once for the messages of all the others.
 */
export class FlushWindow {
  readonly #flushMs: number;
  #endedAt = -Infinity;
  #continuing = false;

  constructor(flushMs: number) {
    this.#flushMs = flushMs;
  }

  /** A flush has been begun that takes more than one slice. */
  get isContinuing(): boolean {
    return this.#continuing;
  }

  /** When the next slice is due, if there is something to flush; -Infinity while a flush goes on. */
  get dueAt(): number {
    return this.#continuing ? -Infinity : this.#endedAt + this.#flushMs;
  }

  /** A slice has been done; `hasMore` says whether the flush goes on with another. */
  done(hasMore: boolean, now: number): void {
    this.#continuing = hasMore;
    if (!hasMore) this.#endedAt = now;
  }
}
