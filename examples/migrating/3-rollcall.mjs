// The map is gone. Roll this out when no client listens to the map any more, server by server; and then
// again with STRATEGY=replicated.
//
//   REDIS_URL=redis://127.0.0.1:6379 PORT=3001 node examples/migrating/3-rollcall.mjs  (and 3002)
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { createPresence } from 'rollcall';
import { Server } from 'socket.io';

const { PORT = '3001', REDIS_URL, STRATEGY = 'on-demand' } = process.env;

const redis = [0, 1].map(() => createClient({ url: REDIS_URL }));
for (const client of redis) client.on('error', (error) => console.error(error.message));
await Promise.all(redis.map((client) => client.connect()));
const http = createServer();
const io = new Server(http, { adapter: createAdapter(...redis) });

io.use((socket, next) => {
  const { name } = socket.handshake.auth;
  if (typeof name !== 'string' || name === '') return next(new Error('give a name'));
  socket.data = { userId: name.toLowerCase(), name };
  next();
});

// After your middlewares, so that what they found out is there.
const presence = createPresence(io, {
  identify: (socket) => ({
    userId: socket.data.userId,
    info: { name: socket.data.name },
    communities: ['everybody'],
    // What createPresenceDevice says of its tab.
    deviceId: socket.handshake.auth.deviceId,
    session: socket.handshake.auth.session,
    status: socket.handshake.auth.status,
  }),
  strategy: STRATEGY,
  // Nobody flickers who is back within this: longer than a server takes to restart.
  lingerMs: 10_000,
});

http.listen(Number(PORT), '127.0.0.1', async () => {
  await presence.ready();
  console.log(`ready http://127.0.0.1:${http.address().port}`);
});

process.once('SIGTERM', async () => {
  await presence.close();
  await io.close();
  await Promise.all(redis.map((client) => client.close()));
});
