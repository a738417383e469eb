import type { NodeReport } from '../../../src/core/index.js';

/** What is known of a node at one moment: what it says of itself, and what the others say of it. */
export interface LiveNode {
  readonly key: string;
  readonly name: string;
  /** Its own report; undefined where only the others know of it, or it has not answered for long. */
  readonly report: NodeReport | undefined;
  /** Age of the report in ms. */
  readonly ageMs: number;
  /** How the other nodes see it. */
  readonly seen: readonly { readonly by: string; readonly state: string; readonly ms: number }[];
  /** Changes of its entries and messages sent, per second, over the last minute; oldest first. */
  readonly churn: readonly number[];
  readonly traffic: readonly number[];
}

export interface AgedReport {
  readonly report: NodeReport;
  readonly ageMs: number;
}

interface Past {
  nodeId: string;
  at: number;
  changes: number;
  sent: number;
  readonly churn: number[];
  readonly traffic: number[];
}

/** Points that a chart shows. */
export const POINTS = 60;

/** Turns reports, as they come, into what is shown: counters become rates, and sights are gathered. */
export class History {
  readonly #past = new Map<string, Past>();

  /** Takes in what is known now; `at` is monotonic, in ms. */
  add(reports: readonly AgedReport[], at: number): readonly LiveNode[] {
    const known = new Map<string, AgedReport | undefined>();
    const names = new Map<string, string>();
    for (const aged of reports) {
      const { nodeId, nodeName } = aged.report;
      known.set(nodeId, aged);
      names.set(nodeId, nodeName ?? nodeId);
      this.#remember(aged, at);
    }
    for (const { report } of reports) {
      for (const { nodeId, nodeName, state } of report.peers) {
        if (known.has(nodeId)) continue;
        // A dead incarnation of a node that runs again is not worth a place.
        const isBack = nodeName !== null && [...names.values()].includes(nodeName);
        if (state === 'down' && isBack) continue;
        known.set(nodeId, undefined);
        names.set(nodeId, nodeName ?? nodeId);
      }
    }
    return [...known]
      .map(([nodeId, aged]) => {
        const past = this.#past.get(nodeId);
        return {
          key: nodeId,
          name: names.get(nodeId) ?? nodeId,
          report: aged?.report,
          ageMs: aged?.ageMs ?? Infinity,
          seen: reports.flatMap(({ report }) =>
            report.peers
              .filter((peer) => peer.nodeId === nodeId)
              .map(({ state, lastHeardMs }) => ({
                by: names.get(report.nodeId) ?? report.nodeId,
                state,
                ms: lastHeardMs,
              })),
          ),
          churn: past?.churn ?? [],
          traffic: past?.traffic ?? [],
        };
      })
      .sort((a, b) => a.name.localeCompare(b.name));
  }

  #remember({ report }: AgedReport, at: number): void {
    const { nodeId, changes, messagesSent: sent } = report;
    const past = this.#past.get(nodeId);
    if (past === undefined) {
      this.#past.set(nodeId, { nodeId, at, changes, sent, churn: [], traffic: [] });
      return;
    }
    const seconds = (at - past.at) / 1000;
    // The lists are what components show: each moment has new ones.
    const next = (list: readonly number[], now: number, before: number): number[] =>
      [...list, seconds > 0 ? Math.max(0, now - before) / seconds : 0].slice(-POINTS);
    this.#past.set(nodeId, {
      nodeId,
      at,
      changes,
      sent,
      churn: next(past.churn, changes, past.changes),
      traffic: next(past.traffic, sent, past.sent),
    });
  }
}
