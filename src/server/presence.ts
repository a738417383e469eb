import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import type { Namespace, Server, Socket } from 'socket.io';
import {
  isReason,
  type ClusterReport,
  type Eviction,
  type EvictionTarget,
  type ListInfo,
  type NodeDownReason,
  type NodeReport,
  type NodeView,
  type OfflineEvent,
  type OnlineEvent,
  type UpdatedEvent,
  type UserExplanation,
  type UserPresence,
} from '../core/index.js';
import { socketIoTransport } from '../transport/index.js';
import { createDashboard, type Dashboard, type DashboardOptions } from './dashboard.js';
import { Driver, type LocalEffect } from './driver.js';
import { FanOut } from './fan-out.js';
import { PresenceError } from './errors.js';
import { checkId } from './limits.js';
import { Metrics } from './metrics.js';
import { resolveOptions, type PresenceLogger, type PresenceOptions } from './options.js';
import { Sockets } from './sockets/sockets.js';
import { UserInterest } from './user-interest.js';
import { nameOf, Watches } from './watches.js';

/** What `presence.on` tells the application. */
export interface PresenceEvents {
  userOnline: [event: Omit<OnlineEvent, 'type'>];
  userUpdated: [event: Omit<UpdatedEvent, 'type'>];
  userOffline: [event: Omit<OfflineEvent, 'type'>];
  nodeUp: [event: { nodeId: string; nodeName: string | undefined }];
  nodeDown: [event: { nodeId: string; nodeName: string | undefined; reason: NodeDownReason }];
  /** The medium between the nodes cannot be reached (true), or can be again (false). */
  degraded: [degraded: boolean];
}

/** A community as read from the whole cluster. */
export interface CommunityList {
  readonly users: readonly UserPresence[];
  readonly info: ListInfo;
}

/** A user in all communities of the cluster. */
export interface UserCommunities {
  readonly userId: string;
  readonly communities: readonly UserPresence[];
}

/** Presence of one Socket.IO server, or of one of its namespaces. */
export interface Presence {
  readonly nodeId: string;
  readonly nodeName: string | undefined;
  /** Resolves when the other nodes have answered, at the latest after 5 s. */
  readonly ready: () => Promise<void>;
  readonly isReady: () => boolean;
  /** True while the medium cannot be reached: lists then say `complete: false`. */
  readonly isDegraded: () => boolean;
  /**
   * Is the user online? Local, synchronous. This node knows the communities that its sockets are in and
   * those lately read; the first read of a user who is only in others gives false and makes it find
   * them, so that the next ones are right. With `interest: 'all'` every read is.
   */
  readonly isOnline: (userId: string) => boolean;
  /** Who is online in a community. Local, synchronous; the array is shared and frozen. */
  readonly onlineUsers: (communityId: string) => readonly UserPresence[];
  /** The user in the communities that this node knows, or undefined while offline; as `isOnline`. */
  readonly user: (userId: string) => UserCommunities | undefined;
  /** What a list of this community covers. */
  readonly info: (communityId: string) => ListInfo;
  /** Who is online in a community of the cluster, whether or not anybody here is in it. */
  readonly fetchOnlineUsers: (communityId: string) => Promise<readonly UserPresence[]>;
  /** The same, with what the list covers. */
  readonly fetchCommunity: (communityId: string) => Promise<CommunityList>;
  /** The user in all communities of the cluster. */
  readonly fetchUser: (userId: string) => Promise<UserCommunities & { complete: boolean }>;
  /**
   * When the user was last seen by others, in ms since the epoch; undefined where that is not known
   * (any more). Kept in Redis, by default for 30 days: by `dual-write` and `redis`, else by the option
   * `lastSeen`.
   */
  readonly lastSeen: (userId: string) => Promise<number | undefined>;
  /**
   * For operators: why is this user online? Each device with its node, since when, its last proof of
   * life, and what would end it. Asks every node for up to 2 s; names nodes and invisible users.
   */
  readonly explain: (userId: string) => Promise<UserExplanation>;
  /**
   * Ends a user, or one device, on every node, for up to 2 s: sockets are disconnected as by the
   * application, and what lingers ends at once, with the reason `left`. With a `communityId` the
   * sockets stay, leave that community and must be authorized again. Resolves with what has ended
   * and which nodes did not answer. Default `reason`, for the logs: `evicted`, at most 200 characters.
   */
  readonly evict: (target: EvictionTarget & { readonly reason?: string }) => Promise<Eviction>;
  /** Takes a community from a user on every node: `evict({ userId, communityId })`. */
  readonly revoke: (userId: string, communityId: string) => Promise<Eviction>;
  /** How this node is, and how it sees the others. Local, synchronous. */
  readonly report: () => NodeReport;
  /** The reports of all nodes, for a live view. Waits up to 700 ms for those that do not answer. */
  readonly fetchReports: () => Promise<ClusterReport>;
  /**
   * A live view of the cluster for a browser, read-only unless `canEvict`, as a handler or middleware for the
   * application's own HTTP server.
   *
   * @throws PresenceError with code INVALID_OPTION when an option is not what it should be.
   */
  readonly dashboard: (options: DashboardOptions) => Dashboard;
  /** The nodes of the cluster as this one sees them, itself first. */
  readonly nodes: () => readonly NodeView[];
  readonly on: <E extends keyof PresenceEvents>(
    event: E,
    listener: (...args: PresenceEvents[E]) => void,
  ) => Presence;
  readonly off: <E extends keyof PresenceEvents>(
    event: E,
    listener: (...args: PresenceEvents[E]) => void,
  ) => Presence;
  /** Metrics for Prometheus (prom-client). */
  readonly metrics: Registry;
  /**
   * Leaves in order: the other nodes keep this node's users for the linger, so that clients that
   * reconnect elsewhere do not flicker. Call it before `io.close()`.
   */
  readonly close: () => Promise<void>;
}

/** How long a cluster-wide read waits for the other nodes. */
const FETCH_TIMEOUT_MS = 1000;
const SWEEP_MS = 250;
const HOUSEKEEPING_MS = 1000;
/** A p99 of the event loop's delay above this makes the node trust its own timing less. */
const STRAINED_MS = 200;

const SILENT: PresenceLogger = { info: () => {}, warn: () => {}, error: () => {} };

/**
 * Adds presence to a Socket.IO server or namespace. Set the server's adapter first.
 *
 * @throws PresenceError with code INVALID_OPTION when an option is not what it should be.
 */
export function createPresence<S extends Socket = Socket>(
  io: Server | Namespace,
  options: PresenceOptions<S>,
): Presence {
  const resolved = resolveOptions(options as unknown as PresenceOptions<never>);
  const { limits } = resolved;
  const logger = options.logger ?? SILENT;
  const nsp: Namespace = 'sockets' in io && 'of' in io ? io.of('/') : (io as Namespace);
  const nodeId = randomBytes(9).toString('base64url');
  const own =
    options.transport === undefined
      ? resolved.strategy.createTransport?.({
          nodeId,
          cluster: options.cluster,
          // As large as the core takes them.
          maxMessageBytes: limits.messageBytes * 4,
          onFault: (reason) => {
            logger.warn(
              { event: 'transport-failed', reason },
              'a command to Redis failed; see degraded',
            );
          },
        })
      : undefined;
  const adapter = socketIoTransport(nsp);
  const transport = options.transport ?? own ?? adapter;
  const metrics = new Metrics();
  const events = new EventEmitter<PresenceEvents>();
  const node = resolved.strategy.createEngine({
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
  /** Reads of the whole cluster that wait for an answer; undefined means that presence closed. */
  const waiting = new Map<number, (effect: LocalEffect | undefined) => void>();
  /** Communities that were read since the last housekeeping. */
  const read = new Set<string>();
  const readyWaiters: (() => void)[] = [];
  let closed: Promise<void> | undefined;

  const tell = <E extends keyof PresenceEvents>(event: E, ...args: PresenceEvents[E]): void => {
    try {
      (events as EventEmitter).emit(event, ...args);
    } catch (error) {
      logger.error(
        { event: 'listener-failed', of: event, error: String(error) },
        'a listener of the application threw',
      );
    }
  };

  const perform = (effect: LocalEffect): void => {
    switch (effect.kind) {
      case 'event': {
        if (effect.audience !== 'server') fanOut.event(effect.event, effect.audience);
        watches.onEvent(effect.event, effect.audience);
        if (effect.audience === 'own') return;
        const { type, ...payload } = effect.event;
        if (effect.event.type === 'userOffline') {
          const { userId, lastSeenAt } = effect.event;
          void options.lastSeen?.record(userId, lastSeenAt);
        }
        tell(type, payload as never);
        return;
      }
      case 'list':
        fanOut.list(effect.communityId, effect.to);
        watches.onList(effect.communityId, effect.to);
        return;
      case 'prove':
        sockets.prove(effect.socketIds);
        return;
      case 'ready':
        logger.info(
          { event: 'ready', complete: effect.complete, nodes: node.nodes(0).length },
          'ready',
        );
        for (const resolve of readyWaiters.splice(0)) resolve();
        return;
      case 'nodeUp':
        logger.info(
          { event: 'node-up', nodeId: effect.nodeId, nodeName: effect.nodeName },
          'a node is there',
        );
        tell('nodeUp', { nodeId: effect.nodeId, nodeName: effect.nodeName });
        return;
      case 'nodeDown': {
        const { nodeId, nodeName, reason } = effect;
        const log = { event: 'node-down', nodeId, nodeName, reason };
        if (reason === 'left') logger.info(log, 'a node left');
        else
          logger.warn(
            log,
            'a node is silent and taken for dead; its users linger, then go offline',
          );
        tell('nodeDown', { nodeId, nodeName, reason });
        return;
      }
      case 'degraded':
        if (effect.degraded) {
          logger.warn(
            { event: 'degraded' },
            'the medium between the nodes cannot be reached: the last known lists stay, marked complete: false',
          );
        } else {
          logger.info({ event: 'healed' }, 'the medium can be reached again; catching up');
        }
        tell('degraded', effect.degraded);
        return;
      case 'incomplete':
        logger.warn(
          { event: 'roll-call-incomplete', missing: effect.missing },
          'nodes did not answer a roll call in time; the list says complete: false until they do',
        );
        return;
      case 'nameConflict':
        logger.warn(
          { event: 'name-conflict', nodeName: effect.nodeName, nodeIds: effect.nodeIds },
          'two living nodes have one name; the name is ignored. Give each node its own',
        );
        return;
      case 'expel': {
        const { target, reason } = effect;
        sockets.expel(target);
        logger.info({ event: 'evicted', ...target, reason }, 'an operator ended a user here');
        return;
      }
      case 'explained':
      case 'surveyed':
      case 'evicted':
      case 'answered':
      case 'fetched': {
        const settle = waiting.get(effect.id);
        waiting.delete(effect.id);
        settle?.(effect);
        return;
      }
    }
  };

  let seenFlushes = 0;
  let seenPrimes = 0;
  let seenPrimeMs = 0;
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
    onTick: () => {
      const { stats } = node;
      if (stats.flushes !== seenFlushes) {
        seenFlushes = stats.flushes;
        metrics.flushOps.observe(stats.lastFlushOps);
      }
      if (stats.primes !== seenPrimes) {
        const each = (stats.primeMsTotal - seenPrimeMs) / (stats.primes - seenPrimes);
        for (; seenPrimes < stats.primes; seenPrimes++) metrics.rollCall.observe(each / 1000);
        seenPrimeMs = stats.primeMsTotal;
      }
    },
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
    watchers: (communityId) => watches.socketsOf(communityId),
  });
  const watches = new Watches({
    engine: node,
    send: (socketIds, diff) => fanOut.diff(socketIds, diff),
    flushMs: resolved.flushMs,
    nameOf: options.sortKey ?? nameOf,
  });

  const request = (start: (t: { now: number; wall: number }) => number): Promise<LocalEffect> =>
    new Promise((resolve, reject) => {
      const settle = (effect: LocalEffect | undefined): void => {
        if (effect !== undefined) resolve(effect);
        else reject(new PresenceError('UNAVAILABLE', 'presence is closed'));
      };
      if (closed !== undefined) settle(undefined);
      else driver.input((_node, t) => waiting.set(start(t), settle));
    });
  const fetchCommunity = async (communityId: string): Promise<CommunityList> => {
    const id = checkId(communityId, 'communityId', limits);
    const fetched = await request((t) => node.fetch(id, FETCH_TIMEOUT_MS, t));
    const users = fetched.kind === 'fetched' ? fetched.users : [];
    const complete = fetched.kind === 'fetched' && fetched.complete;
    return { users, info: { ...node.info(id), complete } };
  };

  const evict: Presence['evict'] = async ({
    userId,
    deviceId,
    communityId,
    reason = 'evicted',
  }) => {
    const target = {
      userId: checkId(userId, 'userId', limits),
      ...(deviceId !== undefined && { deviceId: checkId(deviceId, 'deviceId', limits) }),
      ...(communityId !== undefined && {
        communityId: checkId(communityId, 'communityId', limits),
      }),
    };
    if (!isReason(reason)) {
      throw new PresenceError(
        'INVALID_ARGUMENT',
        'reason must be 1 to 200 characters without control characters',
      );
    }
    const done = await request((t) => node.evict(target, reason, t));
    return (done as Extract<LocalEffect, { kind: 'evicted' }>).eviction;
  };

  const close = (): Promise<void> => {
    closed ??= (async () => {
      sockets.close();
      watches.close();
      const left = driver.close();
      if (own !== undefined) adapter.close();
      clearInterval(sweeper);
      clearInterval(housekeeper);
      lag.disable();
      for (const resolve of readyWaiters.splice(0)) resolve();
      for (const settle of waiting.values()) settle(undefined);
      waiting.clear();
      // What has been handed to the adapter is written in the next turns of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      await left;
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
    fetchCommunity,
    onRefused: (code) => metrics.refused(code),
    onShutdown: () => void close(),
  });

  let solo = transport.isSolo;
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  let lagSeconds = 0;
  const sweeper = setInterval(
    () => sockets.sweep(() => metrics.slowSockets.inc()),
    SWEEP_MS,
  ).unref();
  const userInterest = new UserInterest({
    find: async (userId) =>
      (await presence.fetchUser(userId)).communities.map(({ communityId }) => communityId),
    touch: (communityId) => driver.input((_node, t) => node.touch(communityId, t)),
    communitiesOf: (userId) => node.user(userId).map(({ communityId }) => communityId),
  });
  const knowsAll = options.interest === 'all';
  const noteRead = (userId: string, isKnown: boolean): void => {
    if (knowsAll || solo || closed !== undefined) return;
    if (isKnown) userInterest.known(userId);
    else if (userInterest.wants(userId)) {
      userInterest.seek(checkId(userId, 'userId', limits), performance.now());
    }
  };
  const housekeeper = setInterval(() => {
    const p99 = lag.percentile(99) / 1e6;
    lagSeconds = Number.isFinite(p99) ? p99 / 1000 : 0;
    lag.reset();
    if (p99 > STRAINED_MS) node.strained();
    if (solo && !transport.isSolo) {
      solo = false;
      logger.info({ event: 'medium-changed', kind: transport.kind }, 'the adapter was replaced');
      driver.input((_node, t) => node.meetOthers?.(t));
    }
    fanOut.sweep();
    // What is read goes on being of interest.
    for (const communityId of read) driver.input((_node, t) => node.touch(communityId, t));
    read.clear();
    userInterest.sweep(performance.now());
  }, HOUSEKEEPING_MS).unref();

  metrics.watch({
    stats: () => node.stats,
    gauges: () => node.gauges(performance.now()),
    oldestProofMs: () => node.oldestProofMs(performance.now()),
    nodes: () => node.nodes(performance.now()),
    degraded: () => node.isDegraded,
    ready: () => node.isReady,
    eventLoopLagSeconds: () => lagSeconds,
    slow: () => sockets.slow,
    mediumBytes: transport.bytes,
  });

  const store = resolved.strategy.createStore?.(node, {
    cluster: options.cluster,
    input: (change) => driver.input((_node, t) => change(t)),
    onFault: (reason) => {
      if (closed !== undefined) return;
      logger.warn({ event: 'store-failed', reason }, 'a command to Redis failed; see degraded');
    },
  });
  driver.start(store);
  if (own !== undefined) answerOverAdapter();

  /** Servers without rollcall ask over the adapter, whatever carries presence here. */
  function answerOverAdapter(): void {
    let isWarned = false;
    const onMessage = (): void => {
      if (isWarned) return;
      isWarned = true;
      logger.warn(
        { event: 'other-medium' },
        'a node sends presence over the adapter, this one over Redis: they do not see each other; give all the same',
      );
    };
    adapter.start(onMessage, (communityId) => node.localUsers(communityId));
  }

  /** Under a strategy that keeps nothing, an answer without waiting would be wrong. */
  const checkLocal = (call: string, instead: string): void => {
    if (resolved.strategy.readsLocally) return;
    throw new PresenceError(
      'UNAVAILABLE',
      `${call} reads locally, and the strategy ${resolved.strategy.name} keeps nothing; use await ${instead}`,
    );
  };

  const presence: Presence = {
    nodeId: node.nodeId,
    nodeName: node.nodeName,
    ready: () =>
      node.isReady || closed !== undefined
        ? Promise.resolve()
        : new Promise((resolve) => readyWaiters.push(resolve)),
    isReady: () => node.isReady && closed === undefined,
    isDegraded: () => node.isDegraded,
    isOnline: (userId) => {
      checkLocal('isOnline', 'fetchUser(userId)');
      const isOnline = node.isOnline(userId);
      noteRead(userId, isOnline);
      return isOnline;
    },
    onlineUsers: (communityId) => {
      checkLocal('onlineUsers', 'fetchOnlineUsers(communityId)');
      // A read of a community that nobody here is in makes this node take part in it for a while.
      if (node.community(communityId)?.active === true) {
        read.add(communityId);
      } else {
        const id = checkId(communityId, 'communityId', limits);
        driver.input((_node, t) => node.touch(id, t));
      }
      return node.onlineUsers(communityId);
    },
    user: (userId) => {
      checkLocal('user', 'fetchUser(userId)');
      const communities = node.user(userId);
      noteRead(userId, communities.length > 0);
      return communities.length === 0 ? undefined : { userId, communities };
    },
    info: (communityId) => node.info(communityId),
    fetchOnlineUsers: async (communityId) => (await fetchCommunity(communityId)).users,
    fetchCommunity,
    fetchUser: async (userId) => {
      const id = checkId(userId, 'userId', limits);
      const answered = await request((t) => node.fetchUser(id, t));
      return answered.kind === 'answered'
        ? { userId: id, communities: answered.communities, complete: answered.complete }
        : { userId: id, communities: [], complete: false };
    },
    lastSeen: async (userId) => {
      const id = checkId(userId, 'userId', limits);
      if (options.lastSeen !== undefined) return options.lastSeen.read(id);
      if (store !== undefined) return store.lastSeen(id);
      throw new PresenceError(
        'UNAVAILABLE',
        'lastSeen needs Redis: give the option lastSeen: lastSeenIn({ redis }), or use dual-write or redis',
      );
    },
    explain: async (userId) => {
      const id = checkId(userId, 'userId', limits);
      const done = await request((t) => node.explain(id, t));
      return (done as Extract<LocalEffect, { kind: 'explained' }>).explanation;
    },
    report: () => node.report(performance.now()),
    fetchReports: async () => {
      const done = await request((t) => node.survey(t));
      return (done as Extract<LocalEffect, { kind: 'surveyed' }>).report;
    },
    dashboard: (given) => createDashboard(presence, given),
    evict,
    revoke: (userId, communityId) => evict({ userId, communityId, reason: 'revoked' }),
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
