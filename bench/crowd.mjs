// The clients of the comparison of ways that have real connections: newcomers, and watchers of a death.
import { io } from 'socket.io-client';
import { answer, pause, waitFor } from './workers.mjs';

function connect(url, userId) {
  return io(url, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth: { userId, deviceId: 'd', communities: ['c'], isNewcomer: true },
  });
}

const listed = (socket) => new Promise((resolve) => socket.once('globalPresenceSync', resolve));

let views = [];

answer({
  /** Newcomers one after the other, in turns to each URL: ms from connecting to the list, and its size. */
  firstLists: async (urls, n, pauseMs) => {
    const lists = urls.map(() => ({ took: [], size: 0 }));
    for (let i = 0; i < n * urls.length; i++) {
      const list = lists[i % urls.length];
      const started = performance.now();
      const socket = connect(urls[i % urls.length], `newcomer-${i}`);
      const users = await listed(socket);
      list.took.push(performance.now() - started);
      list.size = users.length;
      socket.disconnect();
      await pause(pauseMs);
    }
    return lists;
  },
  /** A watcher at each of these servers keeps what it is told. */
  watch: async (urls) => {
    views = await Promise.all(
      urls.map(async (url, i) => {
        const socket = connect(url, `watcher-${i}`);
        const present = new Set((await listed(socket)).map(({ userId }) => userId));
        socket.on('globalPresenceSync', (users) => {
          present.clear();
          for (const { userId } of users) present.add(userId);
        });
        socket.on('userOnline', ({ userId }) => present.add(userId));
        socket.on('userOffline', ({ userId }) => present.delete(userId));
        return present;
      }),
    );
  },
  /** Ms until no watcher sees a user whose id begins with this, or Infinity. */
  gone: async (prefix, timeoutMs) => {
    const started = performance.now();
    const sees = (view) => [...view].some((userId) => userId.startsWith(prefix));
    return waitFor(() => !views.some(sees), timeoutMs).then(
      () => performance.now() - started,
      () => Infinity,
    );
  },
});
