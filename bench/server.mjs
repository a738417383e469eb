// A Socket.IO server with presence and, in a namespace beside it, what a bare server would do.
import { takeSlices, timed } from './slice-probe.mjs';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { createPresence } from 'rollcall';
import { socketIoTransport } from '../dist/transport/index.js';
import { answer, optionsOfWorker } from './workers.mjs';

const { redis, timings } = optionsOfWorker();
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);
const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));

// The same connections with nothing sent, for what connecting itself costs.
io.of('/idle').on('connection', (socket) => socket.emit('globalPresenceSync'));
const bare = io.of('/bare');
let list = [];
bare.on('connection', (socket) => {
  void socket.join('community:c');
  socket.emit('globalPresenceSync', list, { communityId: 'c', complete: true, nodes: 2 });
  socket.on('joinCommunity', () => {
    socket.to('community:c').emit('userOnline', { communityId: 'c', userId: 'mover' });
  });
});

const transport = socketIoTransport(io.of('/'));
let presence;
let cpu = process.cpuUsage();

/** Half of them are online. */
const USERS = Array.from({ length: 2048 }, (_, i) => `user-${i}`);

/** The best of 20 turns: in some of them the processor was taken away. */
function nanosecondsEach(times, read) {
  let best = Infinity;
  for (let turn = 0; turn < 20; turn++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < times / 20; i++) read(i);
    best = Math.min(best, Number(process.hrtime.bigint() - started) / (times / 20));
  }
  return best;
}

answer({
  url: async () => `http://127.0.0.1:${http.address().port}`,
  present: async () => {
    presence = createPresence(io, {
      identify: (socket) => socket.handshake.auth,
      authorize: () => true,
      limits: { requestsPerSecond: 1e6 },
      transport: {
        kind: transport.kind,
        isSolo: false,
        canProbe: true,
        start: (receive) => transport.start(timed(receive)),
        publish: transport.publish,
        probe: transport.probe,
        close: transport.close,
      },
      ...timings,
    });
    await presence.ready();
  },
  isOnline: async (userId) => presence.isOnline(userId),
  count: async () => presence.onlineUsers('c').length,
  isComplete: async () => presence.info('c').complete,
  /** The bare server sends the list as it is now. */
  copyList: async () => {
    list = JSON.parse(JSON.stringify(presence.onlineUsers('c')));
    return list.length;
  },
  reads: async () => ({
    isOnline: nanosecondsEach(5_000_000, (i) => presence.isOnline(USERS[i & 2047])),
    onlineUsers: nanosecondsEach(1_000_000, () => presence.onlineUsers('c')),
  }),
  /** CPU time in ms since the last call. */
  cpu: async () => {
    const used = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    return (used.user + used.system) / 1000;
  },
  slices: async () => takeSlices(),
});
