// Plain Socket.IO clients in a process of their own.
import { io } from 'socket.io-client';
import { answer, pause } from './workers.mjs';

let sockets = [];

function connect(url, userId, communities, deviceId = 'd') {
  const socket = io(url, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { userId, deviceId, communities },
  });
  sockets.push(socket);
  return socket;
}

const listed = (socket) => new Promise((resolve) => socket.once('globalPresenceSync', resolve));

function close() {
  for (const socket of sockets) socket.disconnect();
  sockets = [];
}

answer({
  /** Clients that connect at once, of one user or of as many; waits until each has its list. */
  together: async (url, community, n, users) => {
    const names = Array.from({ length: n }, (_, i) => [`client-${i % users}`, `device-${i}`]);
    await Promise.all(
      names.map(([user, device]) => listed(connect(url, user, [community], device))),
    );
  },
  /** Users who connect one after the other, each gone before the next. */
  oneByOne: async (url, community, n) => {
    for (let i = 0; i < n; i++) {
      await listed(connect(url, `client-${i}`, [community]));
      close();
    }
  },
  close: async () => close(),
  /** Times from a word to one server to the event at a client of another, in ms, in turns. */
  latency: async (urlA, urlB, times) => {
    const ways = {};
    for (const [way, namespace] of [
      ['bare', '/bare'],
      ['rollcall', '/'],
    ]) {
      const hearer = connect(urlB + namespace, `hearer-${way}`, ['c']);
      await listed(hearer);
      const mover = connect(urlA + namespace, 'mover', way === 'bare' ? [] : ['other']);
      await listed(mover);
      ways[way] = { hearer, mover, took: [] };
    }
    for (let i = 0; i < times; i++) {
      for (const [way, { hearer, mover, took }] of Object.entries(ways)) {
        const heard = new Promise((resolve) => {
          const hear = ({ userId }) => {
            if (userId !== 'mover') return;
            hearer.off('userOnline', hear);
            resolve();
          };
          hearer.on('userOnline', hear);
        });
        const started = performance.now();
        mover.emit('joinCommunity', 'c');
        await heard;
        took.push(performance.now() - started);
        if (way === 'rollcall') mover.emit('leaveCommunity', 'c');
        await pause(40);
      }
    }
    close();
    return { bare: ways.bare.took, rollcall: ways.rollcall.took };
  },
});
