import type { Transport } from './transport.js';

/** A medium inside one process, for tests and for several nodes in one program. */
export class MemoryBus {
  readonly #members = new Set<(data: unknown) => void>();

  transport(): Transport {
    let deliver: ((data: unknown) => void) | undefined;
    return {
      kind: 'memory-bus',
      isSolo: false,
      canProbe: true,
      start: (onMessage) => {
        deliver = onMessage;
        this.#members.add(onMessage);
      },
      publish: (data) => {
        for (const member of this.#members) {
          if (member !== deliver) setImmediate(() => this.#members.has(member) && member(data));
        }
        return true;
      },
      probe: () => Promise.resolve(true),
      close: () => {
        if (deliver !== undefined) this.#members.delete(deliver);
      },
    };
  }
}
