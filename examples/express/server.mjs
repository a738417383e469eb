// Presence in an Express application that runs on several instances.
//
//   node examples/express/server.mjs
//   PORT=3002 REDIS_URL=redis://127.0.0.1:6379 node examples/express/server.mjs   (as often as you like)
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import express from 'express';
import { createClient } from 'redis';
import { createPresence } from 'rollcall';
import { Server } from 'socket.io';

const { PORT = '3000', REDIS_URL, API_KEY } = process.env;

const app = express();
const http = createServer(app);
const io = new Server(http);

// With one instance there is nothing to share; with more, any Socket.IO adapter will do.
const redis = REDIS_URL === undefined ? [] : [0, 1].map(() => createClient({ url: REDIS_URL }));
for (const client of redis) client.on('error', (error) => console.error(error.message));
await Promise.all(redis.map((client) => client.connect()));
if (redis.length > 0) io.adapter(createAdapter(...redis));

// Your own sign-in goes here: what a socket may say of itself is decided by you.
io.use((socket, next) => {
  const { name } = socket.handshake.auth;
  if (typeof name !== 'string' || name === '') return next(new Error('give a name'));
  socket.data.user = { id: name.toLowerCase(), name };
  next();
});

const presence = createPresence(io, {
  identify: (socket) => ({
    userId: socket.data.user.id,
    info: { name: socket.data.user.name },
    communities: ['lobby'],
    // What createPresenceDevice says of its tab.
    deviceId: socket.handshake.auth.deviceId,
    session: socket.handshake.auth.session,
    status: socket.handshake.auth.status,
  }),
});

// Reading is local and synchronous, on every instance.
app.get('/online', (_request, response) => {
  response.json(presence.onlineUsers('lobby').map(({ userId, status }) => ({ userId, status })));
});
// Everybody on this machine may look at the cluster, or whoever has the key.
app.use(presence.dashboard({ access: API_KEY === undefined ? 'open' : { key: API_KEY } }));

http.listen(Number(PORT), '127.0.0.1', async () => {
  await presence.ready();
  console.log(`ready http://127.0.0.1:${http.address().port}`);
});

process.once('SIGTERM', async () => {
  // First the leave, then the server: the others keep our users until they have reconnected.
  await presence.close();
  await io.close();
  await Promise.all(redis.map((client) => client.close()));
});
