/** What runs together: told once a frame, however much happened. */
export interface Batch {
  /** Runs this with all else that comes within the frame, in order. */
  readonly add: (change: () => void) => void;
  /** Runs what waits now. */
  readonly flush: () => void;
}

/** A timer and not an animation frame: pages that are not shown have no frames, and would pile up. */
const FRAME_MS = 16;

/**
 * Calls those who listen now. One that throws keeps nothing from the others, nor from who changed
 * something: it is heard of as an uncaught error of its own.
 */
export function callAll(listeners: Iterable<() => void>): void {
  for (const listener of new Set(listeners)) {
    try {
      listener();
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  }
}

/** Collects changes for a frame, then runs them and calls `tell` once. */
export function createBatch(tell: () => void): Batch {
  let waiting: (() => void)[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isRunning = false;
  let isAsked: boolean;

  const flush = (): void => {
    isAsked = true;
    if (isRunning) return;
    timer = clearTimeout(timer) as undefined;
    isRunning = true;
    do {
      const changes = waiting;
      waiting = [];
      callAll(changes);
      // What the changes asked for is told now; what listeners ask for needs another round.
      isAsked = false;
      tell();
    } while (isAsked);
    isRunning = false;
  };
  return {
    add: (change) => {
      waiting.push(change);
      timer ??= setTimeout(flush, FRAME_MS);
    },
    flush,
  };
}
