import { StrictMode, useEffect, useRef, useState, type ReactNode, type SubmitEvent } from 'react';
import { createRoot } from 'react-dom/client';
import type { ClusterReport } from '../../src/core/index.js';
import { History, type LiveNode } from './live/history.js';
import { NodeCards } from './live/node-cards.js';
import { ANSWER_MS, askNode, evictionPath, type Operator } from './live/operator.js';
import { WhyOnline } from './live/why-online.js';

/** The live view of a real deployment: asks the node that serves it once a second, and shows. */

const POLL_MS = 1000;

type Shown =
  | { readonly kind: 'asking' }
  | { readonly kind: 'login'; readonly refused: boolean }
  | {
      readonly kind: 'cluster';
      readonly nodes: readonly LiveNode[];
      readonly complete: boolean;
      readonly canEvict: boolean;
    };

type Answer = (ClusterReport & { readonly canEvict: boolean }) | 'unauthorized' | 'unreachable';

function headersOf(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { Authorization: `Bearer ${key}` };
}

async function ask(key: string | undefined): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await fetch('./cluster', { headers: headersOf(key), signal });
    if (response.status === 401) return 'unauthorized';
    return response.ok ? ((await response.json()) as Answer) : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

function operatorWith(key: string | undefined, canEvict: boolean): Operator {
  const headers = headersOf(key);
  return {
    explain: (userId) => askNode(`./explain/${encodeURIComponent(userId)}`, { headers }),
    evict: canEvict
      ? (...target) => askNode(`./users/${evictionPath(...target)}`, { method: 'DELETE', headers })
      : undefined,
  };
}

function Dashboard(): ReactNode {
  // In memory only: a reload asks for it again.
  const [key, setKey] = useState<string>();
  const [shown, setShown] = useState<Shown>({ kind: 'asking' });
  const [isReachable, setReachable] = useState(true);
  const history = useRef(new History());

  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const poll = async (): Promise<void> => {
      const answer = await ask(key);
      if (isOver) return;
      setReachable(answer !== 'unreachable');
      if (answer === 'unauthorized') {
        setShown({ kind: 'login', refused: key !== undefined });
        return;
      }
      if (answer !== 'unreachable') {
        const reports = answer.nodes.map((report) => ({ report, ageMs: 0 }));
        const nodes = history.current.add(reports, performance.now());
        const { complete, canEvict } = answer;
        setShown({ kind: 'cluster', nodes, complete, canEvict });
      }
      timer = setTimeout(() => void poll(), POLL_MS);
    };
    void poll();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [key]);

  return (
    <>
      <header>
        <h1>
          <span className="brand">rollcall</span> The cluster
        </h1>
      </header>
      {isReachable ? null : (
        <p className="notice" role="status">
          The node that serves this page cannot be reached; what is shown is the last that it said.
        </p>
      )}
      {shown.kind === 'asking' ? <p className="lead">Asking the nodes …</p> : null}
      {shown.kind === 'login' ? <Login refused={shown.refused} onKey={setKey} /> : null}
      {shown.kind === 'cluster' ? (
        <main className="live">
          <Totals nodes={shown.nodes} complete={shown.complete} />
          <h2 className="sub">Nodes</h2>
          <NodeCards nodes={shown.nodes} />
          <WhyOnline operator={operatorWith(key, shown.canEvict)} />
        </main>
      ) : null}
    </>
  );
}

function Totals(props: { nodes: readonly LiveNode[]; complete: boolean }): ReactNode {
  const { nodes, complete } = props;
  const sum = (of: 'entries' | 'sockets'): number =>
    nodes.reduce((total, { report }) => total + (report?.[of] ?? 0), 0);
  // One that is taken for dead is not asked.
  const isWhole = complete && nodes.every(({ report }) => report !== undefined);
  return (
    <p className="lead" role="status">
      {count(nodes.length, 'node')}, {count(sum('sockets'), 'socket')},{' '}
      {count(sum('entries'), 'device')} in communities.{' '}
      {isWhole ? 'All nodes answer.' : <b className="bad">Not every node answers.</b>}
    </p>
  );
}

function count(n: number, what: string): string {
  return `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;
}

function Login(props: { refused: boolean; onKey: (key: string) => void }): ReactNode {
  const { refused, onKey } = props;
  const [text, setText] = useState('');
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    onKey(text);
  };
  return (
    <main>
      <form className="login" onSubmit={submit}>
        <label>
          API key of the cluster
          <input
            type="password"
            autoComplete="off"
            required
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        <button type="submit" className="primary">
          Show the cluster
        </button>
        <p className="lead" role="status">
          {refused ? (
            <b className="bad">The node does not accept this key.</b>
          ) : (
            'It stays in the memory of this page.'
          )}
        </p>
      </form>
    </main>
  );
}

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Dashboard />
    </StrictMode>,
  );
}
