import { useEffect, useState, type ReactNode } from 'react';
import { command, useCluster, useLive, type ClusterNode } from './cluster.js';
import { NodeCards } from './live/node-cards.js';
import { askNode, evictionPath, type Operator } from './live/operator.js';
import { WhyOnline } from './live/why-online.js';
import { STEP_MS, Timeline, type Lane } from './timeline.js';
import { TIMELINE_SECONDS, TimelineChart } from './timeline-chart.js';

const OPERATOR: Operator = {
  explain: (userId) => askNode(`/users/${encodeURIComponent(userId)}/explain`),
  evict: (...target) => askNode(`/users/${evictionPath(...target)}`, { method: 'DELETE' }),
};

/** The cluster behind the columns, live, and what one can do to it. */
export function ClusterSection(): ReactNode {
  const { nodes } = useCluster();
  const { live, crowd, strategy } = useLive();
  return (
    <section className="cluster" aria-labelledby="cluster-heading">
      <h2 id="cluster-heading">The cluster behind it</h2>
      <p className="lead">
        Every node judges the others by what it hears. Pause one, cut one off, let a crowd in, and
        watch the views below come apart and together again.
      </p>
      <div className="crowd">
        <button type="button" onClick={() => command('/crowd/add')}>
          + 1000 simulated users
        </button>
        <button type="button" onClick={() => command('/crowd/storm')}>
          Join storm: 300 at once
        </button>
        <button type="button" disabled={crowd.size === 0} onClick={() => command('/crowd/clear')}>
          Send them away
        </button>
        <span role="status">
          {crowd.size === 0 && crowd.connected === 0
            ? 'no simulated users'
            : `${crowd.connected} of ${crowd.size} simulated users connected`}
        </span>
      </div>
      <div className="crowd">
        <label>
          Strategy{' '}
          <select
            value={strategy.name}
            disabled={strategy.isChanging}
            onChange={(event) => command(`/strategy/${event.target.value}`)}
          >
            {strategy.choices.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <span>
          {strategy.isChanging
            ? 'restarting the nodes with it, one after the other …'
            : strategy.choices.length === 2
              ? 'restarts the nodes, one after the other; two more with --redis URL'
              : 'restarts the nodes, one after the other'}
        </span>
      </div>
      <h3 className="sub">
        Is each view right? <small>the last {TIMELINE_SECONDS} seconds, now at the right</small>
      </h3>
      <Views />
      <h3 className="sub">Nodes</h3>
      <NodeCards
        nodes={live}
        more={({ name }) => {
          const node = nodes.find((each) => each.name === name);
          if (node === undefined) return {};
          const state =
            node.state === 'paused' ? 'paused' : node.isCutOff === true ? 'cut off' : undefined;
          return {
            ...(state !== undefined && { state }),
            buttons: <NodeButtons node={node} />,
          };
        }}
      />
      <WhyOnline operator={OPERATOR} hint="such as ada" />
    </section>
  );
}

/** Samples the views; only this part renders four times a second. */
function Views(): ReactNode {
  const [timeline] = useState(() => new Timeline());
  const [lanes, setLanes] = useState<readonly Lane[]>([]);
  useEffect(() => {
    const timer = setInterval(() => setLanes(timeline.sample(performance.now())), STEP_MS);
    return () => clearInterval(timer);
  }, [timeline]);
  return <TimelineChart lanes={lanes} />;
}

function NodeButtons({ node }: { node: ClusterNode }): ReactNode {
  const { name, state, isCutOff } = node;
  const button = (verb: string, label: string, isOff = false): ReactNode => (
    <button
      type="button"
      aria-label={`${label} ${name}`}
      disabled={isOff}
      onClick={() => command(`/nodes/${name}/${verb}`)}
    >
      {label}
    </button>
  );
  return (
    <>
      {state === 'paused' ? button('resume', 'Go on') : button('pause', 'Pause', state !== 'up')}
      {isCutOff === true ? button('heal', 'Heal') : button('cut', 'Cut off', state !== 'up')}
      {state === 'down' ? button('start', 'Start') : button('kill', 'Kill')}
      {state === 'down' ? null : (
        <a href={`${node.url}/dashboard/`} target="_blank" rel="noreferrer">
          Dashboard of {name}: who is online, and why
        </a>
      )}
    </>
  );
}
