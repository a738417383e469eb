import cluster, { type Worker } from 'node:cluster';
import { setupPrimary } from '@socket.io/cluster-adapter';

/** What marks the adapter's messages between workers and primary. */
const ADAPTER = '_sio_adapter';

interface AdapterMessage {
  source?: unknown;
}

/**
 * What carries the adapter's messages between the nodes: this primary. A node that is cut off keeps
 * its clients and its process, and loses the other nodes.
 */
export class Medium {
  readonly #cutOff = new Map<Worker, Worker['send']>();

  constructor() {
    setupPrimary();
    // Before the adapter's own listener: a message without its mark is not passed on.
    cluster.prependListener('message', (worker: Worker, message: AdapterMessage | undefined) => {
      if (message?.source === ADAPTER && this.#cutOff.has(worker)) message.source = undefined;
    });
  }

  cutOff(worker: Worker): void {
    if (this.#cutOff.has(worker)) return;
    const { send } = worker;
    this.#cutOff.set(worker, send);
    worker.send = (message: AdapterMessage, ...rest: unknown[]): boolean =>
      message.source === ADAPTER || Reflect.apply(send, worker, [message, ...rest]);
  }

  connect(worker: Worker): void {
    const send = this.#cutOff.get(worker);
    if (send === undefined) return;
    this.#cutOff.delete(worker);
    worker.send = send;
  }
}
