// A node whose users have no sockets: the real core and its real driver over the real adapter, so that
// ten thousand entries need no ten thousand connections.
import { takeSlices, timed } from './slice-probe.mjs';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { PresenceNode } from 'rollcall/core';
import { Driver } from '../dist/server/driver.js';
import { socketIoTransport } from '../dist/transport/index.js';
import { answer, optionsOfWorker } from './workers.mjs';

const { redis, timings } = optionsOfWorker();
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);
const io = new Server(createServer(), { adapter: createAdapter(publisher, subscriber) });
const transport = socketIoTransport(io.of('/'));
const node = new PresenceNode({
  nodeId: 'population',
  random: Math.random,
  canProbe: true,
  ...timings,
});
const driver = new Driver(
  node,
  { ...transport, start: (receive) => transport.start(timed(receive)) },
  {
    perform: () => {},
    onError: (error) => console.error(error),
    onTick: () => {},
    onUnsent: () => {},
  },
);
driver.start();

function come(i) {
  const info = { name: `Somebody Number ${i}`, avatar: `https://example.org/avatars/${i}.png` };
  driver.input((_node, t) => {
    node.connect(`s${i}`, { userId: `user-${i}`, deviceId: 'browser-tab-1', info }, t);
    node.join(`s${i}`, 'c', t);
    // Nobody is there to read its list.
    node.suspend(`s${i}`);
  });
}

answer({
  ready: async () => node.isReady,
  /** Lets users come, 100 in one turn of the event loop. */
  come: async (from, to) => {
    for (let i = from; i < to; i++) {
      come(i);
      if (i % 100 === 99) await new Promise((resolve) => setTimeout(resolve));
    }
  },
  go: async (from, to) => {
    for (let i = from; i < to; i++) {
      driver.input((_node, t) => node.disconnect(`s${i}`, 'left', t));
    }
  },
  slices: async () => takeSlices(),
});
