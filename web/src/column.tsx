import { useEffect, useId, useRef, useState, useSyncExternalStore, type ReactNode } from 'react';
import { commandNode, type ClusterNode } from './cluster.js';
import { Controls } from './controls.js';
import { Device, type DeviceView } from './device.js';
import { EventLog } from './event-log.js';
import { CloseIcon, LaptopIcon, PhoneIcon } from './icons.js';
import { MapList } from './map-list.js';
import { tabId } from './people.js';
import { RosterList } from './roster-list.js';

const subscribeToNothing = (): (() => void) => () => {};

function useView(device: Device | undefined): DeviceView | undefined {
  return useSyncExternalStore(device?.subscribe ?? subscribeToNothing, () => device?.getView());
}

interface ColumnProps {
  readonly node: ClusterNode;
  /** Where this person's second device connects. */
  readonly phoneNode: ClusterNode;
  readonly person: string;
  /** It is this browser's turn to open. */
  readonly mayOpen: boolean;
  /** Called when the browser has its first lists. */
  readonly onListed: () => void;
  /** On a narrow screen only one column shows. */
  readonly isShown: boolean;
}

/** One node, and the browser of somebody who is connected to it. */
export function Column(props: ColumnProps): ReactNode {
  const { node, phoneNode, person, mayOpen, onListed, isShown } = props;
  const heading = useId();
  const [name, setName] = useState(person);
  const [laptop, setLaptop] = useState<Device>();
  const [phone, setPhone] = useState<Device>();
  const view = useView(laptop);
  const phoneView = useView(phone);

  const open = (kind: 'laptop' | 'phone', on: ClusterNode): Device | undefined =>
    on.url === undefined
      ? undefined
      : new Device(on.url, name, `${kind}-${node.name.toLowerCase()}-${tabId}`);

  const hasOpened = useRef(false);
  useEffect(() => {
    if (!mayOpen || hasOpened.current || node.url === undefined) return;
    hasOpened.current = true;
    setLaptop(open('laptop', node));
  });
  const isListed = view?.users !== undefined && view.mapUsers !== undefined;
  useEffect(() => {
    if (isListed) onListed();
  }, [isListed]);

  const close = (device: Device | undefined, forget: (none: undefined) => void): void => {
    device?.close();
    forget(undefined);
  };
  const isHere = laptop !== undefined || phone !== undefined;

  return (
    <section className="column" aria-labelledby={heading} data-shown={isShown}>
      <div className="node">
        <h2 id={heading}>Node {node.name}</h2>
        <span className={`pill ${node.state}`}>
          {node.state === 'up' ? `up, pid ${node.pid}` : node.state}
        </span>
        {node.state === 'down' ? (
          <button type="button" onClick={() => void commandNode(node.name, 'start')}>
            Start node {node.name}
          </button>
        ) : (
          <button
            type="button"
            className="danger"
            disabled={node.state === 'starting'}
            onClick={() => void commandNode(node.name, 'kill')}
          >
            Kill node {node.name}
          </button>
        )}
      </div>

      <div className="browser">
        {isHere ? (
          <>
            <div className="devices">
              <strong>{name.trim()}</strong>
              {laptop === undefined ? (
                <button type="button" onClick={() => setLaptop(open('laptop', node))}>
                  + Laptop
                </button>
              ) : (
                <DeviceChip
                  kind="laptop"
                  on={node}
                  isConnected={view?.connected === true}
                  onClose={() => close(laptop, setLaptop)}
                />
              )}
              {phone === undefined ? (
                <button type="button" onClick={() => setPhone(open('phone', phoneNode))}>
                  + Phone on node {phoneNode.name}
                </button>
              ) : (
                <DeviceChip
                  kind="phone"
                  on={phoneNode}
                  isConnected={phoneView?.connected === true}
                  onClose={() => close(phone, setPhone)}
                />
              )}
            </div>
            {laptop === undefined ? null : <Controls device={laptop} />}
            <div className="actions">
              <button
                type="button"
                disabled={view?.connected !== true}
                onClick={() => laptop?.reload()}
              >
                Reload
              </button>
              <button
                type="button"
                onClick={() => {
                  close(laptop, setLaptop);
                  close(phone, setPhone);
                }}
              >
                Leave
              </button>
              <Connection view={view} />
            </div>
          </>
        ) : (
          <form
            className="join"
            onSubmit={(event) => {
              event.preventDefault();
              setLaptop(open('laptop', node));
            }}
          >
            <label>
              Name{' '}
              <input
                value={name}
                required
                maxLength={30}
                pattern=".*\S.*"
                onChange={(event) => setName(event.target.value)}
              />
            </label>
            <button type="submit" className="primary" disabled={node.url === undefined}>
              Join on node {node.name}
            </button>
          </form>
        )}
      </div>

      <RosterList nodeName={node.name} view={view} selfId={laptop?.userId} />
      <MapList nodeName={node.name} view={view} selfId={laptop?.userId} />
      <EventLog view={view} />
    </section>
  );
}

/** How this browser's connection is, in words. */
function Connection({ view }: { view: DeviceView | undefined }): ReactNode {
  if (view === undefined) return null;
  if (view.refused !== undefined) return <span className="state bad">refused: {view.refused}</span>;
  if (!view.connected) {
    const text = view.users === undefined ? 'connecting …' : 'disconnected, last list stays';
    return <span className="state warn">{text}</span>;
  }
  if (view.users === undefined) return <span className="state">syncing …</span>;
  return (
    <span className={view.complete ? 'state good' : 'state warn'}>
      live, complete: {view.complete ? 'yes' : 'not yet'}
    </span>
  );
}

interface DeviceChipProps {
  readonly kind: 'laptop' | 'phone';
  readonly on: ClusterNode;
  readonly isConnected: boolean;
  readonly onClose: () => void;
}

function DeviceChip({ kind, on, isConnected, onClose }: DeviceChipProps): ReactNode {
  return (
    <span className={isConnected ? 'chip' : 'chip off'}>
      {kind === 'laptop' ? <LaptopIcon /> : <PhoneIcon />}
      {kind} on {on.name}
      <button type="button" aria-label={`Close the ${kind}`} onClick={onClose}>
        <CloseIcon />
      </button>
    </span>
  );
}
