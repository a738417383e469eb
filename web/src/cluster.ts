import { useSyncExternalStore } from 'react';
import { History, type AgedReport, type LiveNode } from './live/history.js';

/** A node as the demo's primary sees it. */
export interface ClusterNode {
  readonly name: string;
  readonly state: 'starting' | 'up' | 'paused' | 'down';
  readonly isCutOff?: boolean;
  readonly url?: string;
  readonly pid?: number;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  /** False while the demo itself cannot be reached. */
  readonly reachable: boolean;
}

let cluster: Cluster = { nodes: [], reachable: true };
const listeners = new Set<() => void>();

function change(next: Cluster): void {
  cluster = next;
  for (const listener of listeners) listener();
}

const stream = new EventSource('/nodes');
stream.addEventListener('message', ({ data }: MessageEvent<string>) => {
  change({ nodes: JSON.parse(data) as ClusterNode[], reachable: true });
});
stream.addEventListener('error', () => change({ ...cluster, reachable: false }));

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The nodes, live. */
export function useCluster(): Cluster {
  return useSyncExternalStore(subscribe, () => cluster);
}

/** What the nodes report, and the simulated users. */
export interface Live {
  readonly live: readonly LiveNode[];
  readonly crowd: { readonly size: number; readonly connected: number };
  readonly strategy: {
    readonly name: string;
    readonly choices: readonly string[];
    readonly isChanging: boolean;
  };
}

interface LiveMessage {
  readonly reports: readonly AgedReport[];
  readonly crowd: Live['crowd'];
  readonly strategy: Live['strategy'];
}

const history = new History();
let live: Live = {
  live: [],
  crowd: { size: 0, connected: 0 },
  strategy: { name: 'replicated', choices: ['replicated'], isChanging: false },
};
stream.addEventListener('live', ({ data }: MessageEvent<string>) => {
  const { reports, crowd, strategy } = JSON.parse(data) as LiveMessage;
  live = { live: history.add(reports, performance.now()), crowd, strategy };
  for (const listener of listeners) listener();
});

/** The cluster as its nodes report it, live. */
export function useLive(): Live {
  return useSyncExternalStore(subscribe, () => live);
}

/** Asks the primary to do something. */
export function command(path: string): void {
  void fetch(path, { method: 'POST' }).catch(() => undefined);
}
