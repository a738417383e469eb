import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import type { Server, ServerOptions } from 'socket.io';

async function connect(url: string) {
  const client = createClient({ url });
  client.on('error', (error: Error) => console.error(error.message));
  return client.connect();
}

/** Joins the instances by Redis. */
export class RedisIoAdapter extends IoAdapter {
  private constructor(
    app: INestApplicationContext,
    private readonly clients: readonly Awaited<ReturnType<typeof connect>>[],
  ) {
    super(app);
  }

  static async connect(app: INestApplicationContext, url: string): Promise<RedisIoAdapter> {
    return new RedisIoAdapter(app, await Promise.all([connect(url), connect(url)]));
  }

  override createIOServer(port: number, options?: ServerOptions): Server {
    const [publisher, subscriber] = this.clients;
    const adapter = createAdapter(publisher, subscriber);
    return super.createIOServer(port, { ...options, adapter } as ServerOptions) as Server;
  }

  override async dispose(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}
