import type { BeforeApplicationShutdown } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway, type OnGatewayInit } from '@nestjs/websockets';
import { createPresence, type Presence, type UserPresence } from 'rollcall';
import type { Server, Socket } from 'socket.io';

/** Presence for all sockets of the application; inject it where it is read. */
@WebSocketGateway()
export class PresenceGateway implements OnGatewayInit<Server>, BeforeApplicationShutdown {
  presence!: Presence;

  /** The server is there, with its adapter, and serves nobody yet. */
  afterInit(io: Server): void {
    // Your own sign-in goes here: guards see messages only, a middleware sees the connection.
    io.use((socket, next) => {
      const { name } = socket.handshake.auth as { name?: unknown };
      if (typeof name !== 'string' || name === '') return next(new Error('give a name'));
      socket.data = { id: name.toLowerCase(), name };
      next();
    });
    this.presence = createPresence(io, {
      identify: (socket: Socket) => {
        const { id, name } = socket.data as { id: string; name: string };
        // What createPresenceDevice says of its tab.
        const { deviceId, session, status } = socket.handshake.auth;
        return { userId: id, info: { name }, communities: ['lobby'], deviceId, session, status };
      },
    });
  }

  /** Reading is local and synchronous, in a handler, too. */
  @SubscribeMessage('busy')
  busy(): string[] {
    const isBusy = ({ status }: UserPresence): boolean => status === 'busy';
    return this.presence
      .onlineUsers('lobby')
      .filter(isBusy)
      .map(({ userId }) => userId);
  }

  /** Nest closes its servers after this, so the leave can still go out. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.presence.close();
  }
}
