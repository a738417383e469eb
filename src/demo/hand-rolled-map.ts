import type { Namespace } from 'socket.io';

/**
 * What rollcall replaces, written the way it is usually written: a map on each server, live events
 * through the adapter. It looks right with one server and one tab. Its faults are real here:
 *
 * - the first list holds this server's users only, so newcomers miss everybody on the others;
 * - a server that crashes says no goodbye, so its users stay on the others' screens for ever;
 * - a page reload is told as gone and back;
 * - the first of two devices that closes takes the user offline.
 */
export function handRolledMap(nsp: Namespace): void {
  const online = new Map<string, { userId: string; name: string }>();
  nsp.on('connection', (socket) => {
    const { userId, name } = socket.handshake.auth as Record<string, unknown>;
    if (typeof userId !== 'string' || typeof name !== 'string') {
      socket.disconnect();
      return;
    }
    const user = { userId, name };
    online.set(userId, user);
    socket.emit('onlineUsers', [...online.values()]);
    nsp.emit('userOnline', user);
    socket.on('disconnect', () => {
      online.delete(userId);
      nsp.emit('userOffline', user);
    });
  });
}
