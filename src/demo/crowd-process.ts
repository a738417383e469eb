// The demo's simulated users: a process with one real connection for each of them.
import type { Socket } from 'socket.io-client';
import type { CrowdOrder, CrowdState } from './crowd.js';

const TICK_MS = 50;
const STATE_MS = 250;

const { io } = await import('socket.io-client').catch(() => {
  process.stderr.write('the simulated users need the package socket.io-client\n');
  process.exit(1);
});

let order: CrowdOrder = { size: 0, perSecond: 0, urls: [] };
let said = '';
const sockets: Socket[] = [];

function come(index: number): Socket {
  const name = `Guest ${index + 1}`;
  const userId = `guest-${index + 1}`;
  const socket = io(order.urls[index % order.urls.length], {
    transports: ['websocket'],
    forceNew: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 2000,
    auth: {
      userId,
      deviceId: userId,
      info: { name },
      communities: ['team'],
      // Nobody looks at their screens. A thousand lists of a thousand users would stall this process.
      presenceWatch: true,
    },
  });
  return socket;
}

process.on('message', (next: CrowdOrder) => {
  order = next;
  while (sockets.length > order.size) sockets.pop()?.disconnect();
});
// Whoever asked for them is gone.
process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});

setInterval(() => {
  const most = Math.max(1, (order.perSecond * TICK_MS) / 1000);
  for (let i = 0; i < most && sockets.length < order.size; i++) sockets.push(come(sockets.length));
}, TICK_MS);

setInterval(() => {
  const connected = sockets.filter((socket) => socket.connected).length;
  const state: CrowdState = { size: order.size, connected };
  if (JSON.stringify(state) === said) return;
  said = JSON.stringify(state);
  process.send?.(state);
}, STATE_MS);
