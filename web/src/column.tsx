import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { PresenceProvider, usePresenceStatus } from '../../src/react/index.js';
import { command, type ClusterNode } from './cluster.js';
import { Connection } from './connection.js';
import { Controls } from './controls.js';
import { Device, type DeviceKind } from './device.js';
import { EventLines } from './event-lines.js';
import { CloseIcon, LaptopIcon, PhoneIcon } from './icons.js';
import { MapList } from './map-list.js';
import { RosterList } from './roster-list.js';

interface ColumnProps {
  readonly node: ClusterNode;
  /** Where this person's second device connects. */
  readonly phoneNode: ClusterNode;
  readonly person: string;
  /** It is this browser's turn to open. */
  readonly mayOpen: boolean;
  /** Called when the browser has its first lists. */
  readonly onListed: () => void;
  /** Called when the laptop is opened or closed. */
  readonly onLaptop: (device: Device | undefined) => void;
  /** On a narrow screen only one column shows. */
  readonly isShown: boolean;
}

/** One node, and the browser of somebody who is connected to it. */
export function Column(props: ColumnProps): ReactNode {
  const { node, phoneNode, person, mayOpen, onListed, onLaptop, isShown } = props;
  const heading = useId();
  const [name, setName] = useState(person);
  const [laptop, setLaptop] = useState<Device>();
  const [phone, setPhone] = useState<Device>();

  const open = (kind: DeviceKind, on: ClusterNode): Device | undefined =>
    on.url === undefined
      ? undefined
      : new Device(on.url, name, kind, `${kind} of ${node.name}`, on.name);

  useEffect(() => onLaptop(laptop), [laptop, onLaptop]);

  const hasOpened = useRef(false);
  useEffect(() => {
    if (!mayOpen || hasOpened.current || node.url === undefined) return;
    hasOpened.current = true;
    const device = open('laptop', node);
    setLaptop(device);
    void device?.listed().then(onListed);
  });

  const closeLaptop = (): void => {
    laptop?.close();
    setLaptop(undefined);
  };
  const closePhone = (): void => {
    phone?.close();
    setPhone(undefined);
  };
  const isHere = laptop !== undefined || phone !== undefined;

  return (
    <section className="column" aria-labelledby={heading} data-shown={isShown}>
      <NodeHead node={node} heading={heading} />
      <PresenceProvider client={laptop?.client ?? null}>
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
                  <DeviceChip kind="laptop" on={node} onClose={closeLaptop} />
                )}
                {phone === undefined ? (
                  <button type="button" onClick={() => setPhone(open('phone', phoneNode))}>
                    + Phone on node {phoneNode.name}
                  </button>
                ) : (
                  <PresenceProvider client={phone.client}>
                    <DeviceChip kind="phone" on={phoneNode} onClose={closePhone} />
                  </PresenceProvider>
                )}
              </div>
              {laptop === undefined ? null : <Controls />}
              <div className="actions">
                <ReloadButton device={laptop} />
                <button
                  type="button"
                  onClick={() => {
                    closeLaptop();
                    closePhone();
                  }}
                >
                  Leave
                </button>
                {laptop === undefined ? null : <Connection device={laptop} />}
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
        <RosterList nodeName={node.name} isOpen={laptop !== undefined} />
        <MapList nodeName={node.name} device={laptop} />
        <EventLines device={laptop} />
      </PresenceProvider>
    </section>
  );
}

function NodeHead({ node, heading }: { node: ClusterNode; heading: string }): ReactNode {
  return (
    <div className="node">
      <h2 id={heading}>Node {node.name}</h2>
      <span className={`pill ${node.state}`}>
        {node.state === 'up' ? `up, pid ${node.pid}` : node.state}
      </span>
      {node.state === 'down' ? (
        <button type="button" onClick={() => command(`/nodes/${node.name}/start`)}>
          Start node {node.name}
        </button>
      ) : (
        <button
          type="button"
          className="danger"
          disabled={node.state === 'starting'}
          onClick={() => command(`/nodes/${node.name}/kill`)}
        >
          Kill node {node.name}
        </button>
      )}
    </div>
  );
}

function ReloadButton({ device }: { device: Device | undefined }): ReactNode {
  const isConnected = usePresenceStatus().state === 'live';
  return (
    <button
      type="button"
      disabled={!isConnected && device?.isEnded !== true}
      onClick={() => device?.reload()}
    >
      Reload
    </button>
  );
}

interface DeviceChipProps {
  readonly kind: DeviceKind;
  readonly on: ClusterNode;
  readonly onClose: () => void;
}

function DeviceChip({ kind, on, onClose }: DeviceChipProps): ReactNode {
  const isConnected = usePresenceStatus().state === 'live';
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
