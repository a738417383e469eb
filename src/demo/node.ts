// One node of the demo: a worker of Node's cluster with a port of its own.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/cluster-adapter';
import { Server } from 'socket.io';
import { createClient } from 'redis';
import {
  createHttpApi,
  createPresence,
  dualWrite,
  redisOnly,
  type PresenceIdentity,
  type PresenceOptions,
  type StrategyName,
} from '../server/index.js';
import { handRolledMap } from './hand-rolled-map.js';
import { isLoopbackHost, isLoopbackOrigin } from './loopback.js';
import type { ReportMessage, ServingMessage } from './node-keeper.js';

const COMMUNITIES = new Set(['team', 'guild']);
/** How often it tells the primary how it is. */
const REPORT_MS = 500;
const name = process.env['ROLLCALL_DEMO_NODE'] ?? '?';
const port = Number(process.env['ROLLCALL_DEMO_PORT'] ?? 0);

const http = createServer((request, response) => {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  if (isLoopbackHost(host) && (api(request, response) || dashboard(request, response))) return;
  response.writeHead(404).end();
});
const io = new Server(http, {
  serveClient: false,
  transports: ['websocket'],
  maxHttpBufferSize: 64 * 1024,
  allowRequest: (request, done) => done(null, isLoopbackOrigin(request.headers.origin)),
  adapter: createAdapter(),
});
const redisUrl = process.env['ROLLCALL_DEMO_REDIS'];
const redis = redisUrl === undefined ? undefined : createClient({ url: redisUrl });
redis?.on('error', () => {});
await redis?.connect();

function strategyOf(given: StrategyName): NonNullable<PresenceOptions['strategy']> {
  if (given === 'replicated' || given === 'on-demand') return given;
  return given === 'redis' ? redisOnly({ redis }) : dualWrite({ redis });
}

const presence = createPresence(io, {
  nodeName: name,
  strategy: strategyOf((process.env['ROLLCALL_DEMO_STRATEGY'] ?? 'replicated') as StrategyName),
  // Everybody is who they say they are: this is a demo on one machine.
  identify: (socket) => socket.handshake.auth as PresenceIdentity,
  authorize: (_identity, communityId) => COMMUNITIES.has(communityId),
  // Quicker than the defaults, so that a death is seen without waiting long.
  heartbeatMs: 300,
  downAfterMs: 1500,
  lingerMs: 2000,
});
// The same that rollcall serve --dashboard --dashboard-evict has, on each node's own port.
const dashboard = presence.dashboard({ access: 'open', canEvict: true });
const api = createHttpApi(presence, { access: 'open' });
handRolledMap(io.of('/hand-rolled'));

const reporter = setInterval(() => {
  const message: ReportMessage = { kind: 'rollcall:report', report: presence.report() };
  process.send?.(message);
}, REPORT_MS);

let stopping = false;
process.on('SIGTERM', () => {
  if (stopping) return;
  stopping = true;
  clearInterval(reporter);
  void (async () => {
    await presence.close();
    await io.close();
    process.exit(0);
  })();
});
// Ctrl-C reaches the whole process group; the primary says when to end.
process.on('SIGINT', () => {});

http.once('error', (error) => {
  process.stderr.write(`node ${name}: ${error.message}\n`);
  process.exit(1);
});
// Exclusive: the port is this process's own and goes when it is killed.
http.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
  const message: ServingMessage = {
    kind: 'rollcall:serving',
    port: (http.address() as AddressInfo).port,
  };
  process.send?.(message);
});
