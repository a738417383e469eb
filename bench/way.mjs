// One Socket.IO server of a cluster that keeps presence in a given way: by a strategy of rollcall, or by hand.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { createPresence } from 'rollcall';
import { encodeList, infoOf, sendEncoded, serveByHand } from './by-hand.mjs';
import { connectInMemory } from './in-memory-client.mjs';
import { strategyOf } from './rollcall-ways.mjs';
import { answer, cpuSinceLast, optionsOfWorker, pause } from './workers.mjs';

const { redis, way, timings } = optionsOfWorker();
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
const store = publisher.duplicate();
await Promise.all([publisher, subscriber, store].map((client) => client.connect()));
const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));

/** Shorter texts are not a list. */
const LIST_CHARACTERS = 5000;

/** For each newcomer, ms from its connection until its list was handed to the connection. */
let handed = [];
io.on('connection', (socket) => {
  if (!socket.handshake.auth.isNewcomer) return;
  const started = performance.now();
  const { conn } = socket;
  const { write } = conn;
  conn.write = function (data, ...rest) {
    if (data.length > LIST_CHARACTERS) {
      handed.push(performance.now() - started);
      delete conn.write;
    }
    return write.call(this, data, ...rest);
  };
});

/** The floor in the same process: whoever connects here is sent the same list, encoded once. */
let floor;
io.of('/floor').on('connection', (socket) => sendEncoded(socket, floor));

let presence;
let list;
const deaths = [];

answer({
  url: async () => {
    const strategy = strategyOf(way, store);
    if (strategy === undefined) {
      list = serveByHand(way, io, store);
    } else {
      presence = createPresence(io, {
        identify: ({ handshake: { auth } }) => ({ ...auth, info: infoOf(auth.userId) }),
        authorize: () => true,
        strategy,
        ...timings,
      });
      list = () => presence.fetchOnlineUsers('c');
      presence.on('nodeDown', () => deaths.push(performance.now()));
      await presence.ready();
    }
    return `http://127.0.0.1:${http.address().port}`;
  },
  /** Lets users connect in memory, some in each turn of the event loop. */
  populate: async (userIds) => {
    for (const [i, userId] of userIds.entries()) {
      connectInMemory(io, userId, { userId, deviceId: 'd', communities: ['c'] });
      if (i % 50 === 49) await pause(1);
    }
  },
  /** From now on they are told nothing: what telling them costs is measured by itself (`fanout`). */
  hush: async () => {
    if (presence !== undefined) io.local.socketsLeave('community:c');
    floor = encodeList(await list(), '/floor,');
  },
  count: async () => (await list()).length,
  /** The users of the list whose ids begin with this. */
  countOf: async (prefix) =>
    (await list()).filter(({ userId }) => userId.startsWith(prefix)).length,
  /** Whether rollcall has taken a node for dead; undefined by hand, where nobody judges. */
  hasLostNode: async () => (presence === undefined ? undefined : deaths.length > 0),
  /** Times on the server alone since the last call. */
  handed: async () => handed.splice(0),
  cpu: async () => cpuSinceLast(),
});
