import type { ReactNode } from 'react';
import type { LiveNode } from './history.js';
import { Sparkline } from './sparkline.js';

interface NodeCardsProps {
  readonly nodes: readonly LiveNode[];
  /** What the page adds to a node: its own word for the node's state, and buttons. */
  readonly more?: (node: LiveNode) => { readonly state?: string; readonly buttons?: ReactNode };
}

/** All nodes: how each is, how the others see it, what it holds and how much happens on it. */
export function NodeCards({ nodes, more }: NodeCardsProps): ReactNode {
  return (
    <ul className="nodes">
      {nodes.map((node) => (
        <NodeCard key={node.key} node={node} {...more?.(node)} />
      ))}
    </ul>
  );
}

interface NodeCardProps {
  readonly node: LiveNode;
  readonly state?: string;
  readonly buttons?: ReactNode;
}

function NodeCard({ node, state, buttons }: NodeCardProps): ReactNode {
  const { name, report, seen, churn, traffic } = node;
  const health = healthOf(node);
  return (
    <li className="card" aria-label={`Node ${name}`}>
      <div className="card-head">
        <h3>{name.length > 3 ? name : `Node ${name}`}</h3>
        <span className={`pill ${health.tone}`}>{state ?? health.text}</span>
      </div>
      <dl>
        <Figure name="devices" value={report?.entries} />
        <Figure name="users seen" value={report?.users} />
        <Figure name="sockets" value={report?.sockets} />
        <Figure name="behind by" value={report?.lagMs} unit="ms" />
      </dl>
      <Sparkline label="changes/s" values={churn} isCurrent={report !== undefined} />
      <Sparkline label="messages/s" values={traffic} isCurrent={report !== undefined} />
      <p className="sights">
        {seen.length === 0 ? 'No other node knows it.' : null}
        {seen.map(({ by, state: seenAs, ms }) => (
          <span key={by} className={`sight ${seenAs}`}>
            {by} sees it <b>{seenAs}</b>, heard {(ms / 1000).toFixed(1)} s ago
          </span>
        ))}
      </p>
      {buttons === undefined ? null : <div className="card-buttons">{buttons}</div>}
    </li>
  );
}

function Figure(props: { name: string; value: number | undefined; unit?: string }): ReactNode {
  const { name, value, unit } = props;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value === undefined ? '–' : value.toLocaleString('en')}
        {unit === undefined ? null : <small> {unit}</small>}
      </dd>
    </div>
  );
}

/** A report older than this is of a node that hangs. */
const OLD_MS = 3000;

function healthOf({ report, ageMs, seen }: LiveNode): { text: string; tone: string } {
  const taken = (state: string): string =>
    seen
      .filter((sight) => sight.state === state)
      .map(({ by }) => by)
      .join(', ');
  if (taken('down') !== '') return { text: `dead to ${taken('down')}`, tone: 'down' };
  if (report === undefined || ageMs > OLD_MS) return { text: 'does not answer', tone: 'down' };
  if (taken('suspect') !== '') return { text: `silent to ${taken('suspect')}`, tone: 'warned' };
  if (!report.isReady) return { text: 'starting', tone: 'warned' };
  if (report.isDegraded) return { text: 'medium lost', tone: 'down' };
  if (report.peers.some(({ state }) => state !== 'alive')) {
    return { text: 'misses others', tone: 'warned' };
  }
  if (report.health > 1) return { text: 'strained', tone: 'warned' };
  return { text: 'well', tone: 'up' };
}
