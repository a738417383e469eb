// One node of a cluster that keeps presence in a given way: one of rollcall's strategies, or by hand.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { createPresence, dualWrite, onDemand, redisOnly, replicated } from 'rollcall';
import { answer, optionsOfWorker } from './workers.mjs';

const { redis, way, timings } = optionsOfWorker();
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
const store = publisher.duplicate();
await Promise.all([publisher, subscriber, store].map((client) => client.connect()));
const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));

const ROOM = 'community:c';
const KEY = 'by-hand:c';
const infoOf = (userId) => ({
  name: `Somebody called ${userId}`,
  avatar: `https://example.org/avatars/${userId}.png`,
});
const presenceOf = (userId) => ({
  userId,
  communityId: 'c',
  status: 'active',
  info: infoOf(userId),
  devices: [{ deviceId: 'd', status: 'active', connectedAt: 0, lastActiveAt: 0 }],
  onlineSince: 0,
  lastActiveAt: 0,
});
const STRATEGIES = {
  replicated: () => replicated(),
  'on-demand': () => onDemand(),
  'dual-write': () => dualWrite({ redis: store }),
  redis: () => redisOnly({ redis: store }),
};

let presence;
/** Users here, and under `floor` those of the other nodes, too. */
const local = new Map();
const mirror = new Map();

/** How each way of doing it by hand gives a newcomer the first list and tells the others of a change. */
const BY_HAND = {
  'fetchSockets()': {
    list: async () => {
      const sockets = await io.in(ROOM).fetchSockets();
      return [
        ...new Map(sockets.map(({ data }) => [data.userId, presenceOf(data.userId)])).values(),
      ];
    },
    changed: (event, userId) =>
      io.to(ROOM).emit(event, { communityId: 'c', userId, userPresence: presenceOf(userId) }),
  },
  'serverSideEmit() gather': {
    list: async () => {
      const answers = await io
        .serverSideEmitWithAck('everybody')
        .catch(({ responses }) => responses);
      const users = new Map(
        [...answers.flat(), ...local.values()].map((user) => [user.userId, user]),
      );
      return [...users.values()];
    },
    changed: (event, userId) =>
      io.to(ROOM).emit(event, { communityId: 'c', userId, userPresence: presenceOf(userId) }),
  },
  'Redis hash': {
    list: async () => Object.values(await store.hGetAll(KEY)).map((text) => JSON.parse(text)),
    changed: async (event, userId) => {
      if (event === 'userOnline') await store.hSet(KEY, userId, JSON.stringify(presenceOf(userId)));
      else await store.hDel(KEY, userId);
      io.to(ROOM).emit(event, { communityId: 'c', userId, userPresence: presenceOf(userId) });
    },
  },
  floor: {
    list: async () => [...mirror.values(), ...local.values()],
    changed: (event, userId) => {
      pending.push([event, userId]);
      timer ??= setTimeout(flush, 25);
    },
  },
};

// The floor: one plain message per node and 25 ms, mirrored into a Map.
let pending = [];
let timer;
function flush() {
  timer = undefined;
  const changes = pending;
  pending = [];
  io.serverSideEmit('changes', JSON.stringify(changes));
  tell(changes);
}
function tell(changes) {
  for (const [event, userId] of changes) {
    io.local.to(ROOM).emit(event, { communityId: 'c', userId, userPresence: presenceOf(userId) });
  }
}
io.on('changes', (text) => {
  const changes = JSON.parse(text);
  for (const [event, userId] of changes) {
    if (event === 'userOnline') mirror.set(userId, presenceOf(userId));
    else mirror.delete(userId);
  }
  tell(changes);
});
io.on('everybody', (reply) => reply([...local.values()]));

function serveByHand({ list, changed }) {
  io.on('connection', (socket) => {
    const { userId, isQuiet } = socket.handshake.auth;
    const come = async () => {
      socket.data.userId = userId;
      local.set(userId, presenceOf(userId));
      void socket.join(ROOM);
      changed('userOnline', userId);
      if (!isQuiet)
        socket.emit('globalPresenceSync', await list(), {
          communityId: 'c',
          complete: true,
          nodes: 3,
        });
    };
    const go = () => {
      if (!local.delete(userId)) return;
      void socket.leave(ROOM);
      changed('userOffline', userId);
    };
    socket.on('joinCommunity', (_id, ack) => come().then(() => ack?.({ ok: true })));
    socket.on('leaveCommunity', (_id, ack) => {
      go();
      ack?.({ ok: true });
    });
    socket.on('disconnect', go);
    void come();
  });
}

let cpu = process.cpuUsage();
answer({
  url: async () => {
    const strategy = STRATEGIES[way];
    if (strategy === undefined) serveByHand(BY_HAND[way]);
    else {
      presence = createPresence(io, {
        identify: ({ handshake: { auth } }) => ({ ...auth, info: infoOf(auth.userId) }),
        authorize: () => true,
        strategy: strategy(),
        limits: { requestsPerSecond: 1e6 },
        ...timings,
      });
      await presence.ready();
    }
    return `http://127.0.0.1:${http.address().port}`;
  },
  /** How many users of the community this node would give to a newcomer now. */
  count: async () =>
    presence === undefined
      ? (await BY_HAND[way].list()).length
      : (await presence.fetchOnlineUsers('c')).length,
  /** CPU time in ms since the last call. */
  cpu: async () => {
    const used = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    return (used.user + used.system) / 1000;
  },
});
