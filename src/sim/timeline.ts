import { Deadlines } from '../core/deadlines.js';

/**
 * What is to happen when. Of what is to happen at the same time, what was said first happens first:
 * a medium that keeps the order does so within an instant, too, and one action less in a plan changes
 * the order of no others.
 */
export class Timeline {
  readonly #times = new Deadlines<(() => void)[]>();
  readonly #at = new Map<number, (() => void)[]>();

  push(at: number, run: () => void): void {
    const others = this.#at.get(at);
    if (others !== undefined) {
      others.push(run);
      return;
    }
    const first = [run];
    this.#at.set(at, first);
    this.#times.push(at, first);
  }

  /** The time of what happens next, or Infinity. */
  next(): number {
    return this.#times.next();
  }

  /** Takes all that happens at one time, in order; what is added to that time while it happens comes after. */
  pop(at: number): readonly (() => void)[] {
    this.#at.delete(at);
    return this.#times.pop(at) ?? [];
  }
}
