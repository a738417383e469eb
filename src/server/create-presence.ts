import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Namespace, Server, Socket } from 'socket.io';
import { inTime } from '../transport/in-time.js';
import { Announcements } from './announcements.js';
import { Driver, type LocalEffect } from './driver.js';
import { PresenceError } from './errors.js';
import { FanOut } from './fan-out.js';
import { Housekeeping } from './housekeeping.js';
import { createDashboard } from './http/dashboard.js';
import { checkId } from './limits.js';
import { Medium } from './medium.js';
import { Metrics } from './metrics.js';
import { isServed, namespaceOf, release, take } from './namespace.js';
import { resolveOptions, type PresenceLogger, type PresenceOptions } from './options.js';
import type { Presence, PresenceEvents } from './presence.js';
import { ClusterQuestions } from './questions/cluster-questions.js';
import { LocalReads } from './questions/local-reads.js';
import { Sockets } from './sockets/sockets.js';
import { sortedBy, Watches } from './watching/watches.js';

/**
 * Puts a node together: what its parts are made from, which effect of the engine goes to which of them,
 * and in which order they begin and end.
 */

/** Closing waits no longer than this for what `lastSeen` writes. */
const LAST_SEEN_MS = 2000;

const SILENT: PresenceLogger = { info: () => {}, warn: () => {}, error: () => {} };

/**
 * Adds presence to a Socket.IO server or namespace, which has one at a time. Set the server's adapter
 * first. Namespaces that are made by a pattern each have their own:
 * `io.on('new_namespace', (nsp) => createPresence(nsp, options))`.
 *
 * @throws PresenceError with code INVALID_OPTION when an option is not what it should be, or the
 * namespace has presence already.
 */
export function createPresence<S extends Socket = Socket>(
  io: Server | Namespace,
  options: PresenceOptions<S>,
): Presence {
  const resolved = resolveOptions(options as unknown as PresenceOptions<never>);
  const { limits, strategy } = resolved;
  const logger = options.logger ?? SILENT;
  const nsp = namespaceOf(io);
  const nodeId = randomBytes(9).toString('base64url');
  const medium = new Medium(nsp, { nodeId, strategy, limits, logger, options });
  const { transport } = medium;
  const events = new EventEmitter<PresenceEvents>();
  const announcements = new Announcements(events, logger);
  const metrics = new Metrics((error) => announcements.metricFailed(error));
  const node = strategy.createEngine({
    nodeId,
    nodeName: options.nodeName,
    cluster: options.cluster,
    random: Math.random,
    solo: transport.isSolo,
    canProbe: transport.canProbe,
    isRouted: transport.isRouted === true,
    interest: options.interest ?? 'hosted',
    lingerMs: resolved.lingerMs,
    heartbeatMs: resolved.heartbeatMs,
    downAfterMs: resolved.downAfterMs,
    typingTimeoutMs: resolved.typingTimeoutMs,
    forgetAfterMs: resolved.forgetAfterMs,
    flushMs: resolved.flushMs,
    maxMessageBytes: limits.messageBytes,
  });
  const readyWaiters: (() => void)[] = [];
  const endWaiting = (): void => {
    for (const resolve of readyWaiters.splice(0)) resolve();
  };
  let closed: Promise<void> | undefined;

  const perform = (effect: LocalEffect): void => {
    switch (effect.kind) {
      case 'event': {
        const { event, audience } = effect;
        if (audience !== 'server') fanOut.event(event, audience);
        watches.onEvent(event, audience);
        if (audience === 'own') return;
        if (event.type === 'userOffline' && options.lastSeen !== undefined) {
          void keepLastSeen(event.userId, event.lastSeenAt);
        }
        announcements.user(event);
        return;
      }
      case 'list':
        fanOut.list(effect.communityId, effect.to);
        watches.onList(effect.communityId, effect.to);
        sockets.onList(effect.communityId, effect.to);
        return;
      case 'prove':
        sockets.prove(effect.socketIds);
        return;
      case 'expel':
        sockets.expel(effect.target);
        announcements.evicted(effect.target, effect.reason);
        return;
      case 'ready':
        announcements.ready(effect.complete, node.nodes(0).length);
        endWaiting();
        return;
      case 'nodeUp':
      case 'nodeDown':
      case 'degraded':
      case 'incomplete':
      case 'strategyConflict':
      case 'nameConflict':
        announcements.announce(effect);
        return;
      case 'explained':
      case 'surveyed':
      case 'evicted':
      case 'answered':
      case 'fetched':
        cluster.answer(effect);
        return;
    }
  };

  const driver = new Driver(node, transport, {
    perform,
    onError: (error) => {
      metrics.failures.inc();
      logger.error(
        { event: 'failure', error: error instanceof Error ? error.stack : String(error) },
        'rollcall failed inside; please report it',
      );
    },
    onUnsent: () => metrics.unsent.inc(),
    onTick: () => metrics.observe(node.stats),
  });
  const fanOut = new FanOut(nsp, node, {
    onListEncoded: (ms, bytes) => {
      metrics.listEncode.observe(ms / 1000);
      metrics.listBytes.observe(bytes);
    },
    onList: (count, complete) => {
      metrics.lists.inc(count);
      if (!complete) metrics.incompleteLists.inc(count);
    },
    onListenerFailed: (error) => announcements.outgoingListenerFailed(error),
    watchers: (communityId) => watches.socketsOf(communityId),
  });
  const watches = new Watches({
    engine: node,
    send: (socketIds, diff) => fanOut.diff(socketIds, diff),
    flushMs: resolved.flushMs,
    nameOf: sortedBy(options.sortKey, (error) => announcements.sortKeyFailed(error)),
  });
  const cluster = new ClusterQuestions(driver, limits);

  /** The application may keep it where that fails or takes long: neither is to end this process, or to keep it. */
  const keepLastSeen = async (userId: string, at: number): Promise<void> => {
    try {
      await options.lastSeen?.record(userId, at);
    } catch (error) {
      announcements.lastSeenFailed(error);
    }
  };

  /** Perhaps no other node is left to see them go. */
  const keepAllLastSeen = async (): Promise<void> => {
    if (options.lastSeen === undefined) return;
    const at = Date.now();
    const userIds = new Set(node.localUsers(undefined).map(({ userId }) => userId));
    const kept = Promise.all(Array.from(userIds, (userId) => keepLastSeen(userId, at)));
    await inTime(kept, LAST_SEEN_MS, 'lastSeen').catch((error: unknown) =>
      announcements.lastSeenFailed(error),
    );
  };

  const close = (): Promise<void> => {
    closed ??= (async () => {
      release(nsp);
      const seen = keepAllLastSeen();
      sockets.close();
      watches.close();
      const left = driver.close();
      medium.close();
      housekeeping.close();
      endWaiting();
      cluster.close();
      // What has been handed to the adapter is written in the next turns of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.all([left, seen]);
    })();
    return closed;
  };

  const sockets = new Sockets(nsp, {
    driver,
    fanOut,
    watches,
    limits,
    logger,
    options: options as unknown as PresenceOptions,
    fetchCommunity: cluster.fetchCommunity,
    onRefused: (code) => metrics.refused(code),
    onShutdown: () => void close(),
  });
  const knowsAll = options.interest === 'all';
  const local = new LocalReads({
    driver,
    strategy,
    limits,
    othersMayKnow: () => !knowsAll && !housekeeping.isSolo && closed === undefined,
    fetchUser: cluster.fetchUser,
  });
  const housekeeping = new Housekeeping({
    driver,
    transport,
    logger,
    adapter: () => nsp.adapter,
    onAdapterReplaced: () => sockets.startOver(),
    onAdapterClosing: () => {
      // Else the last socket of a namespace that is removed is about to go, and then is told of first.
      if (!sockets.hasConnected) void close();
    },
    isServed: () => isServed(nsp),
    onUnserved: () => void close(),
    sweepSockets: () => sockets.sweep(() => metrics.slowSockets.inc()),
    sweep: () => {
      fanOut.sweep();
      watches.sweep();
      local.sweep();
    },
  });

  metrics.watch({
    stats: () => node.stats,
    gauges: () => node.gauges(performance.now()),
    oldestProofMs: () => node.oldestProofMs(performance.now()),
    nodes: () => node.nodes(performance.now()),
    degraded: () => node.isDegraded,
    ready: () => node.isReady && closed === undefined,
    eventLoopLagSeconds: () => housekeeping.lagSeconds,
    slow: () => sockets.slow,
    mediumBytes: transport.bytes,
  });

  const store = strategy.createStore?.(node, {
    cluster: options.cluster,
    namespace: nsp.name,
    input: (change) => driver.input((_node, t) => change(t)),
    onFault: (reason) => {
      if (closed !== undefined) return;
      logger.warn({ event: 'store-failed', reason }, 'a command to Redis failed; see degraded');
    },
  });
  take(nsp);
  driver.start(store);
  medium.answerOverAdapter((communityId) => node.localUsers(communityId));

  const presence: Presence = {
    nodeId: node.nodeId,
    nodeName: node.nodeName,
    ready: () =>
      node.isReady || closed !== undefined
        ? Promise.resolve()
        : new Promise((resolve) => readyWaiters.push(resolve)),
    isReady: () => node.isReady && closed === undefined,
    isDegraded: () => node.isDegraded,
    isOnline: local.isOnline,
    onlineUsers: local.onlineUsers,
    user: local.user,
    info: (communityId) => node.info(communityId),
    fetchOnlineUsers: cluster.fetchOnlineUsers,
    fetchCommunity: cluster.fetchCommunity,
    fetchUser: cluster.fetchUser,
    lastSeen: async (userId) => {
      const id = checkId(userId, 'userId', limits);
      if (options.lastSeen !== undefined) return options.lastSeen.read(id);
      if (store !== undefined) return store.lastSeen(id);
      throw new PresenceError(
        'UNAVAILABLE',
        'lastSeen needs Redis: give the option lastSeen: lastSeenIn({ redis }), or use dual-write or redis',
      );
    },
    explain: cluster.explain,
    report: () => node.report(performance.now()),
    fetchReports: cluster.fetchReports,
    dashboard: (given) => createDashboard(presence, given),
    evict: cluster.evict,
    revoke: cluster.revoke,
    nodes: () => node.nodes(performance.now()),
    on: (event, listener) => {
      (events as EventEmitter).on(event, listener as (...args: unknown[]) => void);
      return presence;
    },
    off: (event, listener) => {
      (events as EventEmitter).off(event, listener as (...args: unknown[]) => void);
      return presence;
    },
    metrics: metrics.registry,
    close,
  };
  return presence;
}
