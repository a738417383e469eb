// Says who is online, by rollcall's plain events; the map's events, which still come, are left alone.
//
//   node examples/migrating/client.mjs http://127.0.0.1:3001 Ada
import { io } from 'socket.io-client';

const [url, name] = process.argv.slice(2);
// In a browser createPresenceDevice() keeps one for each tab.
const deviceId = `${name}-1`;
const socket = io(url, { transports: ['websocket'], auth: { name, deviceId } });

const users = new Map();
socket.on('globalPresenceSync', (list, { complete }) => {
  // A list that is not complete may miss somebody: it adds, and a complete one follows.
  if (complete) users.clear();
  for (const user of list) users.set(user.userId, user);
  show();
});
socket.on('userOnline', ({ communityId, userId, userPresence }) => {
  // The map's event of the same name has no community.
  if (communityId === undefined) return;
  users.set(userId, userPresence);
  show();
});
socket.on('userUpdated', ({ userId, userPresence }) => users.set(userId, userPresence));
socket.on('userOffline', ({ communityId, userId }) => {
  if (communityId === undefined) return;
  users.delete(userId);
  show();
});

let shown = '';
function show() {
  const now = `online: ${[...users.keys()].sort().join(', ')}`;
  if (now !== shown) console.log(now);
  shown = now;
}

process.once('SIGTERM', () => socket.disconnect());
