import { useCallback, useState, type ReactNode } from 'react';
import { useCluster } from './cluster.js';
import { ClusterSection } from './cluster-section.js';
import { Column } from './column.js';
import type { Device } from './device.js';
import { PEOPLE } from './people.js';
import { Workspace } from './workspace.js';

export function App(): ReactNode {
  const { nodes, reachable } = useCluster();
  // The browsers open one after the other, as people do: that is what the map gets wrong first.
  const [opened, setOpened] = useState(0);
  const [shown, setShown] = useState(0);
  const [first, setFirst] = useState<Device>();
  const ignore = useCallback(() => {}, []);
  return (
    <>
      <header>
        <h1>
          <span className="brand">rollcall</span> One community on three servers
        </h1>
        <p>
          Three people, each connected to a server of their own. Everybody should see everybody. The{' '}
          <b className="good">rollcall</b> list does. Below it is the usual{' '}
          <b className="bad">hand-rolled map</b>, kept on each server, with its mistakes marked.
        </p>
      </header>
      <aside className="tries" aria-label="What to try">
        <ol>
          <li>
            <b>Just look.</b> The map misses whoever joined before, on another server.
          </li>
          <li>
            <b>Reload a browser.</b> The map tells everybody: gone, and back.
          </li>
          <li>
            <b>Add a phone, then close it.</b> The map takes the person offline.
          </li>
          <li>
            <b>Kill a node.</b> The map keeps its people as ghosts.
          </li>
        </ol>
      </aside>
      {reachable ? null : (
        <p className="notice" role="status">
          The demo has ended or cannot be reached. Start it again with <code>npm start</code>.
        </p>
      )}
      <nav className="tabs" aria-label="Nodes">
        {nodes.map(({ name, state }, index) => (
          <button
            key={name}
            type="button"
            aria-pressed={index === shown}
            onClick={() => setShown(index)}
          >
            <i className={`dot ${state}`} /> Node {name}
          </button>
        ))}
      </nav>
      <main>
        {nodes.map((node, index) => (
          <Column
            key={node.name}
            node={node}
            phoneNode={nodes[(index + 1) % nodes.length] ?? node}
            person={PEOPLE[index % PEOPLE.length] ?? 'Ada'}
            mayOpen={opened >= index}
            onLaptop={index === 0 ? setFirst : ignore}
            onListed={() => setOpened((now) => Math.max(now, index + 1))}
            isShown={index === shown}
          />
        ))}
      </main>
      <ClusterSection />
      <Workspace device={first} who={PEOPLE[0]} />
    </>
  );
}
