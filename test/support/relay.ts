import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

type Direction = 'up' | 'down';

/** What is on its way in one direction of one connection. */
interface Flow {
  readonly direction: Direction;
  readonly to: Socket;
  readonly waiting: { readonly dueAt: number; readonly chunk: Buffer }[];
  /** When what was said last has gone through, where only so much does at a time. */
  freeAt: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * A TCP relay in front of a loopback port, whose connections can be cut, held, delayed and made narrow. `up` is
 * towards the port. Nothing is lost or reordered while it holds: it comes later, as TCP would have it.
 */
export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #flows = new Set<Flow>();
  #held: readonly Direction[] = [];
  #delayMs = 0;
  #bytesPerMs = Infinity;
  #isCut = false;

  private constructor(private readonly target: number) {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends every connection, and each new one at once. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets nothing through, one way or both, while the connections stay open. */
  hold(...directions: readonly Direction[]): void {
    this.#held = directions;
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Lets only so much through in each direction of each connection. */
  narrow(bytesPerSecond: number): void {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  heal(): void {
    this.#isCut = false;
    this.#held = [];
    this.#delayMs = 0;
    this.#bytesPerMs = Infinity;
    for (const flow of this.#flows) this.#flush(flow);
  }

  #accept(near: Socket): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect(this.target, '127.0.0.1');
    const flows = [this.#flow('up', near, far), this.#flow('down', far, near)];
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      // Its end is told by `close`.
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#sockets.delete(socket);
        for (const flow of flows) {
          clearTimeout(flow.timer);
          this.#flows.delete(flow);
        }
        near.destroy();
        far.destroy();
      });
    }
  }

  #flow(direction: Direction, from: Socket, to: Socket): Flow {
    const flow: Flow = { direction, to, waiting: [], freeAt: 0, timer: undefined };
    this.#flows.add(flow);
    from.on('data', (chunk: Buffer) => {
      const start = Math.max(performance.now() + this.#delayMs, flow.freeAt);
      flow.freeAt = start + chunk.length / this.#bytesPerMs;
      flow.waiting.push({ dueAt: flow.freeAt, chunk });
      this.#flush(flow);
    });
    return flow;
  }

  #flush(flow: Flow): void {
    clearTimeout(flow.timer);
    if (this.#held.includes(flow.direction)) return;
    const now = performance.now();
    for (let next = flow.waiting[0]; next !== undefined; next = flow.waiting[0]) {
      if (next.dueAt > now) {
        flow.timer = setTimeout(() => this.#flush(flow), next.dueAt - now);
        return;
      }
      flow.waiting.shift();
      flow.to.write(next.chunk);
    }
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
