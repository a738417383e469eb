import type { DevicePatch, SettableStatus } from '../../core/index.js';

/**
 * A status that the application gave in `identify`, and that the client was not told of: to the client
 * it is active, so it says by itself that nobody uses it, and that somebody does again. Neither is a
 * choice, and neither may show somebody whom the application keeps invisible.
 */
export class GivenStatus {
  #isHeld = false;
  #isAway = false;

  /** `said` is what the client gave with its handshake, where it knows of a status. */
  give(status: SettableStatus | undefined, said: unknown): void {
    this.#isHeld = status !== undefined && status !== 'active' && status !== said;
  }

  /** The patch without what the client does not mean. Whatever else it says of its status ends this. */
  filter(patch: DevicePatch): DevicePatch {
    const { status, ...rest } = patch;
    if (!this.#isHeld || status === undefined) return patch;
    const isUse = status === 'idle' || (status === 'active' && this.#isAway);
    this.#isAway = status === 'idle';
    if (isUse) return rest;
    this.#isHeld = false;
    return patch;
  }
}
