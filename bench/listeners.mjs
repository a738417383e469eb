// Very many clients in one process: they count what comes instead of parsing it.
import { EventEmitter } from 'node:events';
import { io } from 'socket.io-client';
import { answer } from './workers.mjs';

let messages = 0;
let bytes = 0;
const sockets = [];

/** What socket.io-client needs of a parser, with events only counted. */
const counting = {
  Encoder: class {
    encode({ type, id = '', data }) {
      return [`${type}${id}${data === undefined ? '' : JSON.stringify(data)}`];
    }
  },
  Decoder: class extends EventEmitter {
    add(text) {
      if (text[0] === '2') {
        messages++;
        bytes += text.length;
      } else {
        this.emit('decoded', { type: Number(text[0]), nsp: '/', data: JSON.parse(text.slice(1)) });
      }
    }
    destroy() {}
  },
};

/** What each kind of client says when it has connected. */
const WAYS = {
  'plain events': ['joinCommunity', 'c'],
  'batched diffs': ['presenceWatch', 'c', {}],
  'a window of 50': ['presenceWatch', 'c', { window: { limit: 50 } }],
  'the count': ['presenceWatch', 'c', { countOnly: true }],
};

answer({
  /** Connects users evenly to the nodes, so many at a time. */
  connect: async (urls, prefix, n, way, atOnce) => {
    for (let i = 0; i < n; i += atOnce) {
      const batch = Array.from({ length: Math.min(atOnce, n - i) }, async (_, k) => {
        const userId = `${prefix}-${i + k}`;
        const info = { name: `Somebody called ${userId}` };
        const auth = { userId, deviceId: 'd', communities: ['c'], info, presenceWatch: true };
        const url = urls[(i + k) % urls.length];
        const options = { transports: ['websocket'], forceNew: true, reconnection: false };
        const socket = io(url, { ...options, parser: counting, auth });
        sockets.push(socket);
        await new Promise((resolve) => socket.once('connect', resolve));
        socket.emit(...WAYS[way]);
      });
      await Promise.all(batch);
    }
  },
  /** Messages and bytes since the last call. */
  take: async () => {
    const taken = { messages, bytes, connected: sockets.filter((one) => one.connected).length };
    messages = bytes = 0;
    return taken;
  },
});
