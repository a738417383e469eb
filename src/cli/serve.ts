import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino, type DestinationStream, type Logger } from 'pino';
import { Server, type Socket } from 'socket.io';
import {
  createHttpApi,
  createPresence,
  dualWrite,
  failure,
  onDemand,
  PresenceError,
  redisOnly,
  replicated,
  resolveOptions,
  sendJson,
  type HttpApiOptions,
  type PresenceOptions,
  type Strategy,
  type StrategyName,
} from '../server/index.js';
import { recorded } from '../strategy/index.js';
import {
  insecureAuth,
  jwtAuth,
  readPublicKey,
  type Admission,
  type Authenticator,
} from './auth.js';
import { FaultError, UsageError } from './errors.js';
import { openRecording, type Recording } from './recording.js';
import { connectRedis, wentUnanswered, type RedisAdapter, type RedisAdapterKind } from './redis.js';

export interface ServeOptions {
  readonly port: number;
  readonly host: string;
  readonly strategy: StrategyName;
  readonly adapter?: RedisAdapterKind | 'memory';
  readonly transport: 'adapter' | 'redis';
  readonly redis?: string;
  readonly name?: string;
  readonly auth: 'jwt' | 'insecure';
  readonly jwtSecret?: string;
  readonly jwtPublicKey?: string;
  readonly apiKey?: string;
  readonly dashboard?: boolean;
  readonly dashboardEvict?: boolean;
  readonly corsOrigin?: readonly string[];
  readonly logLevel: string;
  /** A file for what the core is given. */
  readonly record?: string;
  readonly lingerMs: number;
  readonly heartbeatMs: number;
  readonly downAfterMs: number;
  readonly typingTimeoutMs: number;
}

/** Bytes of one client message; presence needs little. */
const MAX_CLIENT_MESSAGE_BYTES = 64 * 1024;
const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 10_000;
/** A drain closes this many connections at a time, so that they do not all reconnect at once. */
const DRAIN_BATCH = 200;
const DRAIN_PAUSE_MS = 50;
/** What hangs (a client that reads nothing, Redis that is away) keeps a drained node no longer. */
const CLOSE_LIMIT_MS = 3000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Not pino's own destinations: an asynchronous one never ends once nobody reads the log any more, and a
 * synchronous one stops the node while its reader has stalled.
 */
const LOG: DestinationStream = { write: (line) => void process.stderr.write(line) };

/** Runs one node until it is told to stop. */
export async function serve(options: ServeOptions): Promise<void> {
  if (options.dashboard === true && accessFor(options) === 'closed') {
    throw new UsageError(
      '--dashboard shows the cluster to whoever has the key and needs --api-key',
    );
  }
  if (options.dashboardEvict === true && options.dashboard !== true) {
    throw new UsageError('--dashboard-evict lets the dashboard end users and needs --dashboard');
  }
  const authenticate = authenticatorFor(options);
  const adapterKind = adapterFor(options);
  const logger = pino({ level: options.logLevel, base: { name: 'rollcall' } }, LOG);
  const presenceSettings = presenceOptions(options, logger);
  resolveOptions(presenceSettings);
  const redis =
    options.redis === undefined
      ? undefined
      : await connectRedis(options.redis, adapterKind, logger);
  const recording =
    options.record === undefined ? undefined : await openRecording(options.record, logger);
  const isAllowed = originCheck(options);
  const http = createServer();
  const io = new Server(http, {
    serveClient: false,
    maxHttpBufferSize: MAX_CLIENT_MESSAGE_BYTES,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
    cors: { origin: (origin, done) => done(null, isAllowed(origin)) },
    allowRequest: (request, done) => {
      const allowed = isAllowed(request.headers.origin);
      done(allowed ? null : 'this origin may not connect; see --cors-origin', allowed);
    },
    ...(redis?.adapter !== undefined && { adapter: redis.adapter }),
  });
  admitBy(io, authenticate);
  const strategy = strategyFor(options, redis, recording);
  const presence = createPresence(io, { ...presenceSettings, strategy });
  const access = accessFor(options);
  const dashboard =
    access !== 'closed' && options.dashboard === true
      ? presence.dashboard({ access, canEvict: options.dashboardEvict === true })
      : undefined;
  let draining = false;
  const api = createHttpApi(presence, { access, isDraining: () => draining });
  http.prependListener('request', (request, response) => {
    if (api(request, response) || dashboard?.(request, response) === true) return;
    const path = request.url ?? '/';
    if (path.startsWith('/socket.io/')) return;
    sendJson(
      response,
      failure(404, 'NOT_FOUND', 'there is /healthz, /metrics, /api and Socket.IO here'),
    );
  });
  try {
    await listen(http, options.port, options.host);
  } catch (error) {
    await presence.close();
    await redis?.close();
    throw error;
  }
  const stop = async (signal: string): Promise<void> => {
    if (draining) return;
    draining = true;
    logger.info({ event: 'draining', signal, sockets: io.of('/').sockets.size }, 'draining');
    await presence.close();
    await drain(io);
    await Promise.race([io.close(), pause(CLOSE_LIMIT_MS)]);
    await redis?.close();
    await recording?.close();
    logger.info({ event: 'stopped' }, 'stopped');
    process.exit(0);
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('SIGINT', () => void stop('SIGINT'));
  process.on('unhandledRejection', (error) => surviveRedis(error, redis, logger));
  await presence.ready();
  const { port } = http.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const url = `http://${host}:${port}`;
  process.stdout.write(JSON.stringify({ event: 'ready', url, nodeId: presence.nodeId }) + '\n');
  const { transport } = options;
  const { nodeId } = presence;
  logger.info({ event: 'serving', url, adapter: adapterKind, transport, nodeId }, 'serving');
}

function authenticatorFor(options: ServeOptions): Authenticator {
  const { auth, host, jwtSecret, jwtPublicKey } = options;
  if (auth === 'insecure') {
    if (!isLoopback(host)) {
      throw new UsageError(
        `--auth insecure trusts whatever a client says and is refused on ${host}; use --auth jwt, or a loopback host such as 127.0.0.1`,
      );
    }
    return insecureAuth();
  }
  if (jwtSecret !== undefined && jwtPublicKey !== undefined) {
    throw new UsageError('give --jwt-secret or --jwt-public-key, not both');
  }
  if (jwtSecret !== undefined) {
    if (jwtSecret.trim() === '') throw new UsageError('--jwt-secret must not be empty');
    return jwtAuth(new TextEncoder().encode(jwtSecret));
  }
  if (jwtPublicKey !== undefined) return jwtAuth(readPublicKey(jwtPublicKey));
  throw new UsageError(
    '--auth jwt needs --jwt-secret or --jwt-public-key (to try things out on this machine: --auth insecure)',
  );
}

function adapterFor(options: ServeOptions): RedisAdapterKind | 'memory' {
  if (isIndexed(options.strategy) && options.redis === undefined) {
    throw new UsageError(
      `--strategy ${options.strategy} keeps its index in Redis and needs --redis URL, such as redis://127.0.0.1:6379`,
    );
  }
  if (options.record !== undefined && options.strategy !== 'replicated') {
    throw new UsageError(
      `--record is for --strategy replicated, whose core can be replayed, not for ${options.strategy}`,
    );
  }
  const overRedis = options.transport === 'redis';
  if (overRedis && options.redis === undefined) {
    throw new UsageError('--transport redis needs --redis URL, such as redis://127.0.0.1:6379');
  }
  if (overRedis && isIndexed(options.strategy)) {
    throw new UsageError(
      `--transport redis is for --strategy replicated or on-demand; ${options.strategy} has channels of its own`,
    );
  }
  const kind = options.adapter ?? (options.redis === undefined ? 'memory' : 'redis');
  const usesRedis = overRedis || isIndexed(options.strategy);
  if (kind === 'memory' && options.redis !== undefined && !usesRedis) {
    throw new UsageError(
      '--adapter memory is for a single node and does not use --redis; leave one of them out, or add --transport redis',
    );
  }
  if (kind !== 'memory' && options.redis === undefined) {
    throw new UsageError(`--adapter ${kind} needs --redis URL, such as redis://127.0.0.1:6379`);
  }
  return kind;
}

function isIndexed(strategy: StrategyName): strategy is 'dual-write' | 'redis' {
  return strategy === 'dual-write' || strategy === 'redis';
}

function strategyFor(
  options: ServeOptions,
  redis: RedisAdapter | undefined,
  recording: Recording | undefined,
): Strategy {
  const { strategy } = options;
  const client = redis?.client;
  const medium = options.transport === 'redis' ? { redis: client } : {};
  if (recording !== undefined) return recorded(recording.write, replicated(medium));
  if (!isIndexed(strategy)) {
    return strategy === 'on-demand' ? onDemand(medium) : replicated(medium);
  }
  return strategy === 'dual-write' ? dualWrite({ redis: client }) : redisOnly({ redis: client });
}

function presenceOptions(options: ServeOptions, logger: Logger): PresenceOptions {
  const { lingerMs, heartbeatMs, downAfterMs, typingTimeoutMs, name, auth } = options;
  return {
    identify: (socket) => (socket.data as { admission: Admission }).admission.identity,
    // Under insecure the client names its communities itself, so it may as well name more later.
    authorize: (identity, communityId) =>
      auth === 'insecure' || identity.communities?.includes(communityId) === true,
    ...(name !== undefined && { nodeName: name }),
    lingerMs,
    heartbeatMs,
    downAfterMs,
    typingTimeoutMs,
    logger,
  };
}

/** Refuses handshakes with the reason, and ends sockets whose token ends. */
function admitBy(io: Server, authenticate: Authenticator): void {
  io.use((socket, next) => {
    authenticate(socket).then(
      (admission) => {
        socket.data = { admission };
        expire(socket, admission);
        next();
      },
      (error: unknown) => {
        next(refusalOf(error));
      },
    );
  });
}

/** What the client gets as a `connect_error`: the message, and the code as `data.code`. */
function refusalOf(error: unknown): Error {
  if (error instanceof PresenceError) {
    return Object.assign(new Error(error.message), { data: { code: error.code } });
  }
  return Object.assign(new Error('the handshake could not be checked'), {
    data: { code: 'UNAVAILABLE' },
  });
}

/** Ends a socket when its token ends, however far off that is. */
function expire(socket: Socket, { expiresAt }: Admission): void {
  if (expiresAt === undefined) return;
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    const left = expiresAt * 1000 - Date.now();
    if (left <= 0) socket.disconnect(true);
    else timer = setTimeout(wait, Math.min(left, MAX_TIMER_MS));
  };
  wait();
  socket.once('disconnect', () => clearTimeout(timer));
}

function accessFor(options: ServeOptions): HttpApiOptions['access'] {
  if (options.apiKey !== undefined && options.apiKey !== '') return { key: options.apiKey };
  return options.auth === 'insecure' ? 'open' : 'closed';
}

/** Browsers may connect from this machine under insecure, else only from the origins that are named. */
function originCheck(options: ServeOptions): (origin: string | undefined) => boolean {
  const named = new Set(options.corsOrigin);
  return (origin) => {
    if (origin === undefined || named.has(origin)) return true;
    if (options.auth !== 'insecure') return named.size === 0;
    try {
      return isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ''));
    } catch {
      return false;
    }
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function listen(http: HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE'
          ? `port ${port} on ${host} is in use; choose another with --port`
          : error.code === 'EACCES'
            ? `port ${port} may not be opened by this user; choose one above 1023 with --port`
            : error.code === 'ENOTFOUND' || error.code === 'EADDRNOTAVAIL'
              ? `${host} is not an address of this machine; check --host`
              : `the server could not listen on ${host}:${port} (${error.message})`;
      reject(new FaultError(reason));
    });
    http.listen(port, host, resolve);
  });
}

/** Closes connections in batches; clients whose transport closes reconnect by themselves. */
async function drain(io: Server): Promise<void> {
  const sockets = [...io.of('/').sockets.values()];
  for (let i = 0; i < sockets.length; i += DRAIN_BATCH) {
    for (const socket of sockets.slice(i, i + DRAIN_BATCH)) socket.conn.close();
    await pause(DRAIN_PAUSE_MS);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Some Redis clients reject what they had queued, where no adapter listens: that must not end the node. */
function surviveRedis(error: unknown, redis: RedisAdapter | undefined, logger: Logger): void {
  const message = error instanceof Error ? error.message : String(error);
  if (redis !== undefined && wentUnanswered(error)) {
    logger.debug({ event: 'redis-command-failed', error: message }, 'a command was lost');
    return;
  }
  logger.fatal(
    { event: 'crash', error: error instanceof Error ? error.stack : message },
    'unexpected error',
  );
  process.exit(1);
}
