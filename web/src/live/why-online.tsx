import { useRef, useState, type ReactNode, type SubmitEvent } from 'react';
import type { DeviceExplanation, Eviction, UserExplanation } from '../../../src/core/index.js';
import { ConfirmDialog } from './confirm-dialog.js';
import type { Operator } from './operator.js';

type Explained = UserExplanation | string;

/** Somebody, or one device of theirs, who is about to be ended. */
interface Target {
  readonly userId: string;
  readonly deviceId?: string;
}

interface WhyOnlineProps {
  readonly operator: Operator;
  /** What to enter, for example. */
  readonly hint?: string;
}

/** Why is this user online: asked of every node. And an end to it, where the operator may. */
export function WhyOnline({ operator, hint }: WhyOnlineProps): ReactNode {
  const { explain, evict } = operator;
  const [userId, setUserId] = useState('');
  const [explained, setExplained] = useState<Explained>();
  const [ended, setEnded] = useState<string>();
  const [target, setTarget] = useState<Target>();
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    setEnded(undefined);
    void explain(userId).then(setExplained);
  };
  const end = async ({ userId, deviceId }: Target): Promise<void> => {
    const eviction = await evict?.(userId, deviceId);
    if (eviction === undefined) return;
    setEnded(typeof eviction === 'string' ? eviction : describe(eviction));
    setExplained(await explain(userId));
    // The button that was pressed may be gone.
    field.current?.focus();
  };
  return (
    <section className="why" aria-labelledby="why-heading">
      <h2 id="why-heading" className="sub">
        Why is this user online?
      </h2>
      <form onSubmit={submit}>
        <label>
          User id{' '}
          <input
            ref={field}
            required
            maxLength={128}
            placeholder={hint}
            value={userId}
            onChange={(event) => setUserId(event.target.value)}
          />
        </label>
        <button type="submit">Explain</button>
      </form>
      <div role="status">
        {ended === undefined ? null : <p>{ended}</p>}
        {explained === undefined ? null : (
          <Answer explained={explained} onEvict={evict === undefined ? undefined : setTarget} />
        )}
      </div>
      {target === undefined ? null : (
        <ConfirmDialog
          question={`End ${nameOf(target)} on every node?`}
          consequence="The connection is closed. This is no ban: whoever is let in again is there again."
          action={`Evict ${nameOf(target)}`}
          onClose={(isConfirmed) => {
            setTarget(undefined);
            if (isConfirmed) void end(target);
          }}
        />
      )}
    </section>
  );
}

function nameOf({ userId, deviceId }: Target): string {
  return deviceId === undefined ? userId : `${deviceId} of ${userId}`;
}

function describe({ devices, sockets, complete }: Eviction): string {
  // A device is in several communities.
  const count = new Set(devices.map(({ deviceId }) => deviceId)).size;
  const what = `Ended ${count} device${count === 1 ? '' : 's'}, ${sockets} connection${sockets === 1 ? '' : 's'}.`;
  return complete ? what : `${what} Not every node has answered: try again.`;
}

interface AnswerProps {
  readonly explained: Explained;
  readonly onEvict: ((target: Target) => void) | undefined;
}

function Answer({ explained, onEvict }: AnswerProps): ReactNode {
  if (typeof explained === 'string') return <p className="bad">{explained}</p>;
  const { userId, devices, complete } = explained;
  const seenIn = new Set(devices.filter((one) => one.isSeen).map((one) => one.communityId));
  return (
    <>
      <p className="lead">
        <b>{userId}</b>{' '}
        {seenIn.size === 0 ? 'is not online to others.' : `is online in ${[...seenIn].join(', ')}.`}
        {complete ? null : ' This may not be all: not every node has answered.'}
      </p>
      {devices.length === 0 || onEvict === undefined ? null : (
        <button type="button" className="danger" onClick={() => onEvict({ userId })}>
          Evict {userId} everywhere …
        </button>
      )}
      {devices.length === 0 ? null : (
        <ul className="nodes">
          {devices.map((device) => (
            <DeviceCard
              key={`${device.communityId}/${device.deviceId}/${device.nodeId}`}
              device={device}
              onEvict={onEvict && (({ deviceId }) => onEvict({ userId, deviceId }))}
            />
          ))}
        </ul>
      )}
    </>
  );
}

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

interface DeviceCardProps {
  readonly device: DeviceExplanation;
  readonly onEvict: ((device: DeviceExplanation) => void) | undefined;
}

function DeviceCard({ device, onEvict }: DeviceCardProps): ReactNode {
  const { deviceId, communityId, nodeName, nodeId, nodeState, source, isSeen, status } = device;
  const { isHidden, connectedAt, provenMs, endsWhen } = device;
  const rows = [
    ['node', `${nodeName ?? nodeId} (${nodeState === 'self' ? 'answering' : nodeState})`],
    ['status', isHidden ? `${status}, the user is invisible` : status],
    ['since', connectedAt === 0 ? 'unknown' : time.format(connectedAt)],
    ['last sign of life', `${(provenMs / 1000).toFixed(1)} s ago`],
    ['known from', source === 'owner' ? 'its node, just now' : 'a copy; its node did not say so'],
    ['ends when', endsWhen],
  ] as const;
  return (
    <li className="card">
      <div className="card-head">
        <h3>
          {deviceId} <small>in {communityId}</small>
        </h3>
        <span className={`pill ${isSeen ? 'up' : 'warned'}`}>{isSeen ? 'seen' : 'not seen'}</span>
      </div>
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {onEvict === undefined ? null : (
        <button type="button" className="danger" onClick={() => onEvict(device)}>
          Evict {deviceId} …
        </button>
      )}
    </li>
  );
}
