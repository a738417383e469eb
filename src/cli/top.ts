import type { ClusterReport, NodeReport } from '../server/index.js';
import { callApi, type ApiOptions } from './api-client.js';
import { FaultError } from './errors.js';
import { Screen } from './screen.js';

/** The cluster in a terminal: refreshed in place, or plain text, one block after the other, elsewhere. */

export interface TopOptions extends ApiOptions {
  readonly intervalMs: number;
  readonly once?: boolean;
}

interface Moment {
  readonly at: number;
  readonly report: ClusterReport;
}

export async function top(options: TopOptions): Promise<void> {
  // Opened by the first answer: a wrong address is said on the shell's own screen.
  let screen: Screen | undefined;
  let before: Moment | undefined;
  let text = '';
  for (;;) {
    try {
      const report = await callApi<ClusterReport>(options, '/api/cluster');
      const now = { at: performance.now(), report };
      text = describe(now, before, options.url);
      before = now;
    } catch (error) {
      // A view that runs goes on through a restart; one that never saw the cluster is wrong usage.
      if (before === undefined || !(error instanceof FaultError)) {
        screen?.close();
        throw error;
      }
      text = `${error.message}\n`;
    }
    const isLive = process.stdout.isTTY && options.once !== true;
    if (isLive) screen ??= new Screen(process.stdout);
    if (screen === undefined) process.stdout.write(text);
    else screen.draw(text);
    if (options.once === true) return;
    await new Promise((resolve) => setTimeout(resolve, options.intervalMs));
    if (screen === undefined) process.stdout.write('\n');
  }
}

const HEADS = [
  'NODE',
  'STATE',
  'DEVICES',
  'USERS',
  'SOCKETS',
  'CHANGES/S',
  'MSGS/S',
  'BEHIND',
  'OLDEST SIGN',
  'SEEN BY OTHERS',
];

function describe(now: Moment, before: Moment | undefined, url: string): string {
  const { nodes, complete } = now.report;
  const rows = nodes.map((node) => row(node, now, before));
  const answered = new Set(nodes.map(({ nodeId }) => nodeId));
  for (const { peers } of nodes) {
    for (const { nodeId, nodeName } of peers) {
      if (answered.has(nodeId)) continue;
      answered.add(nodeId);
      const seen = sights(nodeId, nodes);
      rows.push([nodeName ?? nodeId, 'no answer', '', '', '', '', '', '', '', seen]);
    }
  }
  const sum = (of: 'entries' | 'sockets'): number => nodes.reduce((n, node) => n + node[of], 0);
  // One that is taken for dead is not asked.
  const isWhole = complete && rows.length === nodes.length;
  const all = isWhole ? 'all nodes answer' : 'NOT EVERY NODE ANSWERS';
  return [
    `rollcall at ${url}  ${new Date().toISOString()}`,
    `${count(rows.length, 'node')}, ${count(sum('sockets'), 'socket')}, ${count(sum('entries'), 'device')}, ${all}`,
    '',
    ...table([HEADS, ...rows]),
    '',
  ].join('\n');
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function row(node: NodeReport, now: Moment, before: Moment | undefined): string[] {
  const past = before?.report.nodes.find(({ nodeId }) => nodeId === node.nodeId);
  const rate = (of: 'changes' | 'messagesSent'): string =>
    before === undefined || past === undefined
      ? '-'
      : ((node[of] - past[of]) / ((now.at - before.at) / 1000)).toFixed(1);
  return [
    node.nodeName ?? node.nodeId,
    node.isDegraded ? 'degraded' : node.isReady ? 'ready' : 'starting',
    String(node.entries),
    String(node.users),
    String(node.sockets),
    rate('changes'),
    rate('messagesSent'),
    `${node.lagMs} ms`,
    `${(node.oldestProofMs / 1000).toFixed(1)} s`,
    sights(node.nodeId, now.report.nodes),
  ];
}

/** How the others see a node: all alike in one word, else each by name. */
function sights(nodeId: string, nodes: readonly NodeReport[]): string {
  const seen = nodes.flatMap((by) =>
    by.peers
      .filter((peer) => peer.nodeId === nodeId)
      .map(({ state, lastHeardMs }) => ({ by: by.nodeName ?? by.nodeId, state, lastHeardMs })),
  );
  if (seen.length === 0) return '-';
  const oldest = (Math.max(...seen.map(({ lastHeardMs }) => lastHeardMs)) / 1000).toFixed(1);
  const states = new Set(seen.map(({ state }) => state));
  const words =
    states.size === 1
      ? [...states].join()
      : seen.map(({ by, state }) => `${by}: ${state}`).join(', ');
  return `${words}, heard ${oldest} s ago`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADS.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) =>
    cells
      .map((cell, i) =>
        i < 2 || i === HEADS.length - 1
          ? cell.padEnd(widths[i] ?? 0)
          : cell.padStart(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}
