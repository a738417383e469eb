// One node of a cluster in which users come and go below the sockets: what is measured is how a change
// is recorded, sent to the other nodes and mirrored there, not what clients send and are sent.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { Driver } from '../dist/server/driver.js';
import { socketIoTransport } from '../dist/transport/index.js';
import { strategyOf } from './rollcall-ways.mjs';
import { answer, cpuSinceLast, optionsOfWorker } from './workers.mjs';

/** The floor's messages and rollcall's deltas go out at most so often. */
const WINDOW_MS = 25;
/** Changes in one turn of the event loop, as sockets that were read in it would make them. */
const CHANGES_A_TURN = 50;
const STEADY_TURN_MS = 10;

const { redis, way, timings, index, online } = optionsOfWorker();
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
const store = publisher.duplicate();
await Promise.all([publisher, subscriber, store].map((client) => client.connect()));
const io = new Server(createServer(), { adapter: createAdapter(publisher, subscriber) });

/** rollcall itself: the engine of a strategy and its driver, as `createPresence` makes them. */
function rollcall(strategy) {
  const nodeId = `node-${index}`;
  // That all nodes agree in the end is waited for anyway.
  const onFault = () => {};
  const maxMessageBytes = 1024 * 1024;
  const transport =
    strategy.createTransport?.({ nodeId, cluster: undefined, maxMessageBytes, onFault }) ??
    socketIoTransport(io.of('/'));
  const engine = strategy.createEngine({
    nodeId,
    random: Math.random,
    solo: false,
    canProbe: true,
    isRouted: transport.isRouted === true,
    interest: 'hosted',
    forgetAfterMs: 60_000,
    typingTimeoutMs: 6000,
    flushMs: WINDOW_MS,
    maxMessageBytes,
    ...timings,
  });
  const driver = new Driver(engine, transport, {
    perform: () => {},
    onError: (error) => console.error(error),
    onTick: () => {},
    onUnsent: () => console.error('a message was not sent'),
  });
  const host = {
    cluster: undefined,
    input: (change) => driver.input((_node, t) => change(t)),
    onFault,
  };
  driver.start(strategy.createStore?.(engine, host));
  return {
    isReady: () => engine.isReady,
    connect: (userId) =>
      driver.input((node, t) => node.connect(userId, { userId, deviceId: 'd' }, t)),
    join: (userId) =>
      driver.input((node, t) => {
        node.join(userId, 'c', t);
        // Nobody is there to read its list.
        node.suspend(userId);
      }),
    leave: (userId) => driver.input((node, t) => node.leave(userId, 'c', t)),
    users: () => engine.onlineUsers('c').map((user) => user.userId),
    sent: () => engine.stats.opsSent,
  };
}

/** By hand: two Maps, and some way to tell the other nodes of each change. */
function byHand(tell) {
  const local = new Map();
  const mirror = new Map();
  let sent = 0;
  const take = ([isHere, userId, deviceId, connectedAt]) => {
    if (isHere === 1) mirror.set(userId, { userId, deviceId, connectedAt });
    else mirror.delete(userId);
  };
  const publish = tell(take);
  const change = (isHere, userId) => {
    sent++;
    const connectedAt = Date.now();
    if (isHere === 1) local.set(userId, { userId, deviceId: 'd', connectedAt });
    else local.delete(userId);
    publish([isHere, userId, 'd', connectedAt]);
  };
  return {
    isReady: () => true,
    connect: () => {},
    join: (userId) => change(1, userId),
    leave: (userId) => change(0, userId),
    users: () => [...local.keys(), ...mirror.keys()],
    sent: () => sent,
  };
}

const BY_HAND = {
  'an event a change': (take) => {
    io.on('change', (text) => take(JSON.parse(text)));
    return (change) => io.serverSideEmit('change', JSON.stringify(change));
  },
  'Redis hash and an event a change': (take) => {
    io.on('change', (text) => take(JSON.parse(text)));
    return (change) => {
      const [isHere, userId] = change;
      const text = JSON.stringify(change);
      void (isHere === 1 ? store.hSet('by-hand:c', userId, text) : store.hDel('by-hand:c', userId));
      io.serverSideEmit('change', text);
    };
  },
  floor: (take) => {
    let pending = [];
    io.on('changes', (text) => JSON.parse(text).forEach(take));
    return (change) => {
      if (pending.push(change) > 1) return;
      setTimeout(() => {
        io.serverSideEmit('changes', JSON.stringify(pending));
        pending = [];
      }, WINDOW_MS);
    };
  },
};

let node;
/** As many are away as are there; who is away longest comes when who is there longest goes. */
const people = Array.from({ length: 2 * online }, (_, i) => `user-${index}-${i}`);
let oldest = 0;
function swap() {
  node.leave(people[oldest % people.length]);
  node.join(people[(oldest + online) % people.length]);
  oldest++;
}

const turn = (ms) =>
  new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));

answer({
  start: async () => {
    const strategy = strategyOf(way, store);
    node = strategy === undefined ? byHand(BY_HAND[way]) : rollcall(strategy);
  },
  isReady: async () => node.isReady(),
  populate: async () => {
    for (const [i, userId] of people.entries()) {
      node.connect(userId);
      if (i < online) node.join(userId);
      if (i % CHANGES_A_TURN === 0) await turn(0);
    }
  },
  /** As fast as it goes, for so long or so many; gives the number of changes and how many were sent. */
  churn: async (ms, most = Infinity) => {
    const [sent, before] = [node.sent(), oldest];
    const end = performance.now() + ms;
    for (; performance.now() < end && 2 * (oldest - before) < most; await turn(0)) {
      for (let i = 0; i < CHANGES_A_TURN; i += 2) swap();
    }
    return { changes: 2 * (oldest - before), sent: node.sent() - sent };
  },
  /** At a steady pace, spread over turns. */
  steady: async (ms, changesPerSecond) => {
    const before = oldest;
    const started = performance.now();
    for (let now = started; now < started + ms; now = performance.now()) {
      while (2 * (oldest - before) < ((now - started) / 1000) * changesPerSecond) swap();
      await turn(STEADY_TURN_MS);
    }
    return { changes: 2 * (oldest - before) };
  },
  /** Who is there as this node sees it: how many, and an order-free digest. */
  view: async () => {
    const users = node.users();
    let digest = 0;
    for (const userId of users) {
      let hash = 7;
      for (let i = 0; i < userId.length; i++) hash = Math.imul(hash, 31) + userId.charCodeAt(i);
      digest = (digest + hash) | 0;
    }
    return `${users.length} ${digest}`;
  },
  cpu: async () => cpuSinceLast(),
});
