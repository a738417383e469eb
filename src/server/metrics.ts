import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { NodeGauges, NodeStats, NodeView } from '../core/index.js';

/** Tells why it could not be read: who asks over HTTP is not told. */
class ReadableRegistry extends Registry {
  readonly #onFailed: (error: unknown) => void;

  constructor(onFailed: (error: unknown) => void) {
    super();
    this.#onFailed = onFailed;
  }

  override async metrics(): Promise<string> {
    try {
      return await super.metrics();
    } catch (error) {
      this.#onFailed(error);
      throw error;
    }
  }
}

/**
 * What an operator can measure, for Prometheus. Everything the core counts is read when it is asked
 * for; only distributions are observed as they happen. No user or community is ever a label.
 */
export class Metrics {
  readonly #onUnreadable: (error: unknown) => void;
  readonly registry: Registry = new ReadableRegistry((error) => this.#onUnreadable(error));
  readonly #flushOps = this.#histogram(
    'rollcall_flush_ops',
    'Changes in one flush to the other nodes',
    [1, 2, 5, 10, 25, 50, 100, 250, 500],
  );
  readonly #rollCall = this.#histogram(
    'rollcall_roll_call_seconds',
    'Time until every node has answered for a shard',
    [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
  );
  readonly listEncode = this.#histogram(
    'rollcall_list_encode_seconds',
    'Time to encode the list of a community',
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05],
  );
  readonly listBytes = this.#histogram(
    'rollcall_list_bytes',
    'Size of an encoded list',
    [1e3, 1e4, 1e5, 1e6, 1e7],
  );
  readonly lists = this.#counter('rollcall_lists_sent_total', 'Lists sent to sockets');
  readonly incompleteLists = this.#counter(
    'rollcall_incomplete_lists_sent_total',
    'Lists sent that said complete: false',
  );
  readonly unsent = this.#counter(
    'rollcall_messages_unsent_total',
    'Messages to other nodes that the transport could not take',
  );
  readonly slowSockets = this.#counter(
    'rollcall_slow_sockets_total',
    'Sockets set aside because they could not keep up',
  );
  readonly failures = this.#counter(
    'rollcall_failures_total',
    'Unexpected errors inside rollcall; each is a defect',
  );
  readonly #refused = new Counter({
    name: 'rollcall_refused_total',
    help: 'Client events refused, by error code',
    labelNames: ['code'],
    registers: [this.registry],
  });
  /** What the distributions hold already of what the core counts. */
  #flushes = 0;
  #primes = 0;
  #primeMs = 0;

  constructor(onUnreadable: (error: unknown) => void) {
    this.#onUnreadable = onUnreadable;
  }

  refused(code: string): void {
    this.#refused.inc({ code });
  }

  /** Observes what has happened since the last time; call it after each tick. */
  observe(stats: NodeStats): void {
    if (stats.flushes !== this.#flushes) {
      this.#flushes = stats.flushes;
      this.#flushOps.observe(stats.lastFlushOps);
    }
    if (stats.primes !== this.#primes) {
      const each = (stats.primeMsTotal - this.#primeMs) / (stats.primes - this.#primes);
      for (; this.#primes < stats.primes; this.#primes++) this.#rollCall.observe(each / 1000);
      this.#primeMs = stats.primeMsTotal;
    }
  }

  /** Reads the core when Prometheus asks. */
  watch(source: {
    readonly stats: () => NodeStats;
    readonly gauges: () => NodeGauges;
    readonly oldestProofMs: () => number;
    readonly nodes: () => readonly NodeView[];
    readonly degraded: () => boolean;
    readonly ready: () => boolean;
    readonly eventLoopLagSeconds: () => number;
    readonly slow: () => number;
    /** Where the transport knows them. */
    readonly mediumBytes: { readonly sent: number; readonly received: number } | undefined;
  }): void {
    const { stats, gauges } = source;
    const gauge = (name: string, help: string, read: () => number): void => {
      const made: Gauge = new Gauge({
        name,
        help,
        registers: [this.registry],
        collect: () => made.set(read()),
      });
    };
    const counter = (name: string, help: string, read: () => number): void => {
      const made: Counter = new Counter({
        name,
        help,
        registers: [this.registry],
        collect: () => {
          made.reset();
          made.inc(read());
        },
      });
    };
    gauge(
      'rollcall_entries_owned',
      'Devices in communities, on this node',
      () => gauges().entriesOwned,
    );
    gauge(
      'rollcall_entries',
      'Entries that this node holds, its own included',
      () => gauges().entriesHeld,
    );
    gauge('rollcall_users', 'Users seen online by this node', () => gauges().usersOnline);
    gauge('rollcall_sockets', 'Sockets with presence on this node', () => gauges().sockets);
    gauge('rollcall_shards', 'Shards that this node takes part in', () => gauges().shards);
    gauge('rollcall_replicas', 'Copies of other nodes’ logs', () => gauges().replicas);
    gauge(
      'rollcall_log_deltas',
      'Deltas kept for those who missed them',
      () => gauges().keptDeltas,
    );
    gauge('rollcall_buffered_deltas', 'Deltas waiting behind a gap', () => gauges().bufferedDeltas);
    gauge('rollcall_deadlines', 'Lingers and other deadlines waiting', () => gauges().waiting);
    gauge(
      'rollcall_fenced_nodes',
      'Incarnations of which nothing counts any more',
      () => gauges().fenced,
    );
    gauge(
      'rollcall_health',
      'How little this node trusts its own sense of time, 0 to 7',
      () => gauges().health,
    );
    gauge(
      'rollcall_convergence_lag_seconds',
      'Age of the oldest gap towards another node',
      () => gauges().lagMs / 1000,
    );
    gauge(
      'rollcall_oldest_proof_seconds',
      'Age of the last sign of life of the entry that has waited longest for one',
      () => source.oldestProofMs() / 1000,
    );
    gauge('rollcall_degraded', '1 while the medium cannot be reached', () =>
      Number(source.degraded()),
    );
    gauge('rollcall_ready', '1 once the other nodes have answered', () => Number(source.ready()));
    gauge(
      'rollcall_event_loop_lag_seconds',
      'p99 of the event loop’s delay in the last second',
      source.eventLoopLagSeconds,
    );
    gauge('rollcall_slow_sockets', 'Sockets set aside now', source.slow);
    const nodes: Gauge<'state'> = new Gauge({
      name: 'rollcall_nodes',
      help: 'Nodes by what the failure detector thinks of them',
      labelNames: ['state'],
      registers: [this.registry],
      collect: () => {
        const counts = { self: 0, alive: 0, suspect: 0, down: 0 };
        for (const node of source.nodes()) counts[node.state]++;
        for (const [state, count] of Object.entries(counts)) nodes.set({ state }, count);
      },
    });
    counter(
      'rollcall_messages_sent_total',
      'Messages sent to other nodes',
      () => stats().messagesSent,
    );
    counter(
      'rollcall_messages_received_total',
      'Messages taken from other nodes',
      () => stats().messagesReceived,
    );
    counter(
      'rollcall_messages_fenced_total',
      'Messages of incarnations that count no more',
      () => stats().messagesFenced,
    );
    counter('rollcall_bytes_sent_total', 'Bytes sent to other nodes', () => stats().bytesSent);
    counter(
      'rollcall_bytes_received_total',
      'Bytes taken from other nodes',
      () => stats().bytesReceived,
    );
    const { mediumBytes } = source;
    if (mediumBytes !== undefined) {
      counter(
        'rollcall_medium_bytes_sent_total',
        'Bytes given to the medium, as they travel there',
        () => mediumBytes.sent,
      );
      counter(
        'rollcall_medium_bytes_received_total',
        'Bytes taken from the medium, as they travelled there',
        () => mediumBytes.received,
      );
    }
    counter('rollcall_deltas_sent_total', 'Deltas sent', () => stats().deltasSent);
    counter('rollcall_deltas_applied_total', 'Deltas applied', () => stats().deltasApplied);
    counter(
      'rollcall_deltas_ignored_total',
      'Deltas that were known already',
      () => stats().deltasIgnored,
    );
    counter('rollcall_gaps_total', 'Gaps that lasted and were pulled', () => stats().gaps);
    counter('rollcall_pulls_total', 'Requests for what was missed', () => stats().pulls);
    counter('rollcall_pulls_answered_total', 'Requests answered', () => stats().pullsAnswered);
    counter('rollcall_snapshots_sent_total', 'Snapshots sent', () => stats().snapshotsSent);
    counter(
      'rollcall_snapshots_applied_total',
      'Snapshots applied',
      () => stats().snapshotsApplied,
    );
    counter('rollcall_repairs_total', 'Gaps closed', () => stats().repairs);
    counter(
      'rollcall_repair_seconds_total',
      'Time until gaps were closed',
      () => stats().repairMsTotal / 1000,
    );
    counter(
      'rollcall_divergence_total',
      'Wrong merges found by digest; must stay 0',
      () => stats().divergences,
    );
    const faults: Counter<'kind'> = new Counter({
      name: 'rollcall_messages_rejected_total',
      help: 'Messages from the medium that were not understood',
      labelNames: ['kind'],
      registers: [this.registry],
      collect: () => {
        faults.reset();
        for (const [kind, count] of Object.entries(stats().faults)) faults.inc({ kind }, count);
        faults.inc({ kind: 'body' }, stats().malformed);
      },
    });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }
}
