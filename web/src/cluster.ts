import { useSyncExternalStore } from 'react';

/** A node as the demo's primary sees it. */
export interface ClusterNode {
  readonly name: string;
  readonly state: 'starting' | 'up' | 'down';
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

/** Asks the primary to kill a node, or to start it again. */
export async function commandNode(name: string, verb: 'kill' | 'start'): Promise<void> {
  await fetch(`/nodes/${name}/${verb}`, { method: 'POST' }).catch(() => undefined);
}
