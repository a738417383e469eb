// Where most begin: a map on each server. Its faults are those that docs/migrating.md lists.
//
//   REDIS_URL=redis://127.0.0.1:6379 PORT=3001 node examples/migrating/1-map.mjs     (and 3002)
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const { PORT = '3001', REDIS_URL } = process.env;

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

const online = new Map();
io.on('connection', (socket) => {
  const user = { userId: socket.data.userId, name: socket.data.name };
  online.set(user.userId, user);
  socket.emit('onlineUsers', [...online.values()]);
  io.emit('userOnline', user);
  socket.on('disconnect', () => {
    online.delete(user.userId);
    io.emit('userOffline', user);
  });
});

http.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`ready http://127.0.0.1:${http.address().port}`);
});

process.once('SIGTERM', async () => {
  await io.close();
  await Promise.all(redis.map((client) => client.close()));
});
