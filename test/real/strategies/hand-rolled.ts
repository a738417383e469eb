import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

/** A server as people write it without rollcall, on the same adapter: it asks for and answers lists. */
export class HandRolled {
  readonly io: Server;
  /** Roll calls that it has heard. */
  calls = 0;
  readonly #clients: { close(): Promise<unknown> }[];

  private constructor(io: Server, clients: { close(): Promise<unknown> }[]) {
    this.io = io;
    this.#clients = clients;
    io.on('getAllPresence', (...args: unknown[]) => {
      this.calls++;
      (args.at(-1) as (users: unknown[]) => void)([]);
    });
  }

  static async start(redisUrl: string): Promise<HandRolled> {
    const publisher = createClient({ url: redisUrl });
    const subscriber = publisher.duplicate();
    for (const client of [publisher, subscriber]) client.on('error', () => {});
    await Promise.all([publisher.connect(), subscriber.connect()]);
    const io = new Server(createServer(), {
      adapter: createAdapter(publisher, subscriber, { key: 'rollcall' }),
    });
    return new HandRolled(io, [publisher, subscriber]);
  }

  /** Asks every other server, as people do it. */
  ask(communityId?: string): Promise<unknown[]> {
    const args = communityId === undefined ? [] : [communityId];
    return this.io.serverSideEmitWithAck('getAllPresence', ...args) as Promise<unknown[]>;
  }

  async stop(): Promise<void> {
    await this.io.close();
    // What the adapter has sent last, such as that it leaves its channels, must go out.
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}
