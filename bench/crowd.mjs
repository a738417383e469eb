// The clients of the comparison of ways: a population, newcomers, and people who come and go.
import { io } from 'socket.io-client';
import { answer, pause, waitFor } from './workers.mjs';

const crowd = [];

function connect(url, userId, more = {}) {
  return io(url, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { userId, deviceId: 'd', communities: ['c'], isQuiet: true, ...more },
  });
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, resolve));

answer({
  /** Fills the nodes evenly, a few at a time. */
  populate: async (urls, n) => {
    for (let i = 0; i < n; i += 20) {
      const batch = Array.from({ length: Math.min(20, n - i) }, (_, k) => {
        const socket = connect(urls[(i + k) % urls.length], `user-${i + k}`);
        crowd.push({ socket, url: urls[(i + k) % urls.length], userId: `user-${i + k}` });
        return once(socket, 'connect');
      });
      await Promise.all(batch);
    }
  },
  /** Newcomers one after the other: ms from the start of connecting to the list, and its size. */
  firstLists: async (url, n) => {
    const took = [];
    let size = 0;
    for (let i = 0; i < n; i++) {
      const started = performance.now();
      const socket = connect(url, `newcomer-${i}`, { isQuiet: false });
      const users = await once(socket, 'globalPresenceSync');
      took.push(performance.now() - started);
      size = users.length;
      socket.disconnect();
      await pause(60);
    }
    return { took, size };
  },
  /** Half of the crowd leaves and comes back, again and again; gives the number of changes. */
  churn: async (rounds) => {
    const movers = crowd.filter((_, i) => i % 2 === 0);
    const say = (event) =>
      Promise.all(movers.map(({ socket }) => socket.timeout(60_000).emitWithAck(event, 'c')));
    for (let round = 0; round < rounds; round++) {
      await say('leaveCommunity');
      await say('joinCommunity');
    }
    return 2 * rounds * movers.length;
  },
  /** A watcher at each survivor: ms until the last of them has heard that the users of a dead node are gone. */
  watch: async (urls, deadUrl, timeoutMs) => {
    const gone = new Set(crowd.filter(({ url }) => url === deadUrl).map(({ userId }) => userId));
    const views = await Promise.all(
      urls.map(async (url, i) => {
        const socket = connect(url, `watcher-${i}`, { isQuiet: false });
        const present = new Set((await once(socket, 'globalPresenceSync')).map((u) => u.userId));
        socket.on('globalPresenceSync', (users) => {
          present.clear();
          for (const { userId } of users) present.add(userId);
        });
        socket.on('userOnline', ({ userId }) => present.add(userId));
        socket.on('userOffline', ({ userId }) => present.delete(userId));
        return present;
      }),
    );
    watching = async () => {
      const started = performance.now();
      try {
        await waitFor(
          () => views.every((view) => [...gone].every((id) => !view.has(id))),
          timeoutMs,
        );
        return performance.now() - started;
      } catch {
        return Infinity;
      }
    };
  },
  toldOfDeath: async () => watching(),
});

let watching = async () => Infinity;
