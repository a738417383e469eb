// Presence in a Fastify application that runs on several instances.
//
//   node examples/fastify/server.mjs
//   PORT=3002 REDIS_URL=redis://127.0.0.1:6379 node examples/fastify/server.mjs   (as often as you like)
import { createAdapter } from '@socket.io/redis-streams-adapter';
import Fastify from 'fastify';
import { createClient } from 'redis';
import { createPresence } from 'rollcall';
import { Server } from 'socket.io';

const { PORT = '3000', REDIS_URL } = process.env;

const app = Fastify();
const redis = REDIS_URL === undefined ? undefined : createClient({ url: REDIS_URL });
redis?.on('error', (error) => console.error(error.message));
await redis?.connect();
// The adapter looks after none of its commands. One that a lost connection left unanswered must not end the process.
for (const command of redis === undefined ? [] : ['publish', 'xAdd']) {
  const send = redis[command].bind(redis);
  redis[command] = (...args) => send(...args).catch(() => undefined);
}

// Fastify's own HTTP server carries Socket.IO as well.
const io = new Server(app.server, redis === undefined ? {} : { adapter: createAdapter(redis) });

const presence = createPresence(io, {
  // Your own sign-in goes here: nothing of a handshake is to be trusted unchecked.
  identify: (socket) => {
    const { name, deviceId, session, status } = socket.handshake.auth;
    if (typeof name !== 'string' || name === '') return null;
    // deviceId, session and status are what createPresenceDevice says of its tab.
    const communities = ['lobby'];
    return { userId: name.toLowerCase(), info: { name }, communities, deviceId, session, status };
  },
});
presence.on('userOnline', ({ userId }) => app.log.info(`${userId} is online`));

app.get('/online', () =>
  presence.onlineUsers('lobby').map(({ userId, status }) => ({ userId, status })),
);
app.get('/online/:userId', (request) => presence.fetchUser(request.params.userId));

// Fastify closes in this order: presence first, while the adapter can still say goodbye.
app.addHook('preClose', async () => {
  await presence.close();
  await io.close();
});
app.addHook('onClose', () => redis?.close());
process.once('SIGTERM', () => void app.close());

const url = await app.listen({ port: Number(PORT), host: '127.0.0.1' });
await presence.ready();
console.log(`ready ${url}`);
