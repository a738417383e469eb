import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPresence, type PresenceIdentity } from 'rollcall';
import { createPresenceClient, type PresenceClient } from 'rollcall/client';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { expect, it } from 'vitest';
import { waitFor } from '../../support/wait.js';

interface Member {
  readonly socket: Socket;
  readonly client: PresenceClient;
  readonly users: () => string;
}

function join(url: string, userId: string): Member {
  const socket = io(url, {
    transports: ['websocket'],
    forceNew: true,
    auth: { userId, communities: ['team'] },
  });
  const client = createPresenceClient(socket, { userId });
  const team = client.community('team');
  team.subscribe(() => {});
  const users = (): string =>
    team
      .getSnapshot()
      .users.map((user) => user.userId + (user.devices[0]?.boardId ?? ''))
      .sort()
      .join(' ');
  return { socket, client, users };
}

it('starts over when Socket.IO recovers a connection', async () => {
  const http = createServer();
  const server = new Server(http, { connectionStateRecovery: {} });
  // Recovery begins with an event of the application.
  server.on('connection', (socket) => socket.emit('hello'));
  const presence = createPresence(server, {
    identify: (socket) => socket.handshake.auth as PresenceIdentity,
    lingerMs: 0,
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const members: Member[] = [];
  const member = async (userId: string, sees: string): Promise<Member> => {
    const made = join(url, userId);
    members.push(made);
    await waitFor(
      () => made.users() === sees,
      () => `${userId} to see ${sees}: ${made.users()}`,
    );
    return made;
  };
  try {
    const ada = await member('ada', 'ada');
    const ben = await member('ben', 'ada ben');
    const cleo = await member('cleo', 'ada ben cleo');
    await waitFor(() => ada.users() === 'ada ben cleo', ada.users);
    const replayed: string[] = [];
    ada.socket.onAny((event: string) => {
      if (ada.client.getSnapshot().state !== 'live') replayed.push(event);
    });
    ada.socket.io.reconnection(false);
    ada.socket.io.engine.close();
    await waitFor(() => ada.client.getSnapshot().state === 'stale', 'Ada to be away');
    // One goes, one changes, one comes while she is away.
    cleo.socket.disconnect();
    await ben.client.setBoard('-roadmap');
    await member('dan', 'ben-roadmap dan');
    server.emit('news');
    expect(ada.users()).toBe('ada ben cleo');
    ada.socket.connect();
    await waitFor(
      () => ada.users() === 'ada ben-roadmap dan',
      () => `Ada to catch up: ${ada.users()}`,
    );
    expect(ada.socket.recovered).toBe(true);
    expect(replayed).toEqual(['news']);
    expect(ada.client.community('team').getSnapshot()).toMatchObject({
      state: 'live',
      complete: true,
    });
  } finally {
    for (const { client, socket } of members) {
      client.close();
      socket.disconnect();
    }
    await presence.close();
    await server.close();
  }
});
