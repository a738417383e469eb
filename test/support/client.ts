import type { Socket as Tcp } from 'node:net';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { StreamModel, type SeenInfo, type SeenUser } from './stream.js';
import { waitFor } from './wait.js';

export type Answer = {
  ok: boolean;
  error?: { code: string; message: string };
  users?: SeenUser[];
  info?: SeenInfo;
  delayed?: boolean;
};

/** A plain Socket.IO client that folds and checks what it is told. Knows nothing of rollcall's code. */
export class TestClient {
  readonly model = new StreamModel();
  readonly socket: Socket;

  constructor(
    url: string,
    auth: Record<string, unknown>,
    options: Partial<ManagerOptions & SocketOptions> = {},
  ) {
    this.socket = io(url, { transports: ['websocket'], forceNew: true, auth, ...options });
    const { model } = this;
    this.socket.on('connect', () => model.restart());
    this.socket.on('globalPresenceSync', (users: SeenUser[], info: SeenInfo) =>
      model.sync(users, info),
    );
    this.socket.on('userOnline', (event) => model.online(event));
    this.socket.on('userUpdated', (event) => model.updated(event));
    this.socket.on('userOffline', (event) => model.offline(event));
  }

  /** Connects a user and waits for the first list of each community. */
  static async join<T extends TestClient>(
    this: new (
      url: string,
      auth: Record<string, unknown>,
      options?: Partial<ManagerOptions & SocketOptions>,
    ) => T,
    url: string,
    auth: { userId: string; communities: string[] } & Record<string, unknown>,
    options: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<T> {
    const client = new this(url, auth, options);
    let refused: Error | undefined;
    client.socket.on('connect_error', (error) => (refused = error));
    await waitFor(
      () =>
        (refused !== undefined && !client.socket.active) ||
        auth.communities.every((id) => client.model.rosters.has(id)),
      () => `the first lists of ${auth.userId} (${refused?.message ?? 'no error'})`,
    );
    if (refused !== undefined && !client.socket.active) throw refused;
    return client;
  }

  send(event: string, ...args: unknown[]): Promise<Answer> {
    return this.socket.timeout(10_000).emitWithAck(event, ...args) as Promise<Answer>;
  }

  /** Waits until this client sees exactly these users. */
  sees(communityId: string, userIds: readonly string[], timeoutMs?: number): Promise<unknown> {
    const expected = [...userIds].sort().join();
    return waitFor(
      () => this.model.present(communityId).join() === expected,
      () => `${expected} in ${communityId}; seen: ${this.model.present(communityId).join()}`,
      timeoutMs,
    );
  }

  get violations(): readonly string[] {
    return this.model.violations;
  }

  /** Loses the connection, if there is one, without saying goodbye; reconnects by itself. */
  drop(): void {
    const { engine } = this.socket.io;
    // An attempt that is ended here goes unnoticed by its manager until it times out, after 20 s.
    if (engine.readyState === 'open') engine.close();
  }

  /** Neither reads nor answers any more, while its connection stays open. */
  hang(): void {
    this.#tcp.pause();
  }

  goOn(): void {
    this.#tcp.resume();
  }

  /** Reads one piece of at most 64 KiB each so many ms, as over a slow line. Gives what ends that. */
  readSlowly(ms: number): () => void {
    const tcp = this.#tcp;
    const pause = (): void => void tcp.pause();
    pause();
    tcp.on('data', pause);
    const reading = setInterval(() => tcp.resume(), ms);
    return () => {
      clearInterval(reading);
      tcp.off('data', pause);
      tcp.resume();
    };
  }

  get #tcp(): Tcp {
    const { ws } = this.socket.io.engine.transport as unknown as { ws: { _socket: Tcp } };
    return ws._socket;
  }

  close(): void {
    this.socket.disconnect();
  }
}
