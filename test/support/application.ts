import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Namespace, type ServerOptions } from 'socket.io';
import { createPresence, type Presence, type PresenceOptions } from 'rollcall';

/** An application with a Socket.IO server in this process, on a free port. */
export class Application {
  readonly http: HttpServer = createServer();
  readonly io: Server;
  readonly presences: Presence[] = [];
  url = '';

  constructor(options: Partial<ServerOptions> = {}) {
    this.io = new Server(this.http, options);
  }

  static async start(options: Partial<ServerOptions> = {}): Promise<Application> {
    const application = new Application(options);
    await new Promise<void>((resolve) => application.http.listen(0, '127.0.0.1', resolve));
    const { port } = application.http.address() as AddressInfo;
    application.url = `http://127.0.0.1:${port}`;
    return application;
  }

  /** Adds presence that trusts the handshake and opens every community. */
  present(options: Partial<PresenceOptions> = {}, at: Server | Namespace = this.io): Presence {
    const presence = createPresence(at, {
      identify: (socket) => socket.handshake.auth as { userId: string },
      authorize: () => true,
      ...options,
    });
    this.presences.push(presence);
    return presence;
  }

  async stop(): Promise<void> {
    for (const presence of this.presences) await presence.close();
    await this.io.close();
  }
}
