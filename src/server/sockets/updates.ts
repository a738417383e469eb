import type { DevicePatch } from '../../core/index.js';
import { TokenBucket } from '../limits.js';

/**
 * The updates of one socket at the pace that it may have: what comes too fast is merged and applied
 * later, so that a client may report every stroke of a key and the last word still counts.
 */
export class Updates {
  readonly #apply: (patch: DevicePatch) => void;
  readonly #bucket: TokenBucket;
  /** What waits to be applied because updates came too fast. */
  #delayed: DevicePatch | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number, now: number, apply: (patch: DevicePatch) => void) {
    this.#apply = apply;
    this.#bucket = new TokenBucket(perSecond, perSecond, now);
  }

  /** Applies a patch; false where that is delayed. */
  add(patch: DevicePatch): boolean {
    if (this.#delayed !== null) {
      this.#delayed = { ...this.#delayed, ...patch };
      return false;
    }
    const wait = this.#bucket.take(performance.now());
    if (wait > 0) {
      this.#delayed = patch;
      this.#timer = setTimeout(() => this.#applyDelayed(), wait);
      return false;
    }
    this.#apply(patch);
    return true;
  }

  #applyDelayed(): void {
    const patch = this.#delayed;
    this.#delayed = null;
    if (patch === null) return;
    this.#bucket.take(performance.now());
    this.#apply(patch);
  }

  /** What waits is not applied any more. */
  close(): void {
    clearTimeout(this.#timer);
  }
}
