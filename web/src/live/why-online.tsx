import { useState, type ReactNode, type SubmitEvent } from 'react';
import type { DeviceExplanation, UserExplanation } from '../../../src/core/index.js';

/** What came of a question: an explanation, or why there is none. */
export type Explained = UserExplanation | string;

/** Why is this user online: asked of every node. */
export function WhyOnline({ ask }: { ask: (userId: string) => Promise<Explained> }): ReactNode {
  const [userId, setUserId] = useState('');
  const [explained, setExplained] = useState<Explained>();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void ask(userId).then(setExplained);
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
            required
            maxLength={128}
            value={userId}
            onChange={(event) => setUserId(event.target.value)}
          />
        </label>
        <button type="submit">Explain</button>
      </form>
      <div role="status">{explained === undefined ? null : <Answer explained={explained} />}</div>
    </section>
  );
}

function Answer({ explained }: { explained: Explained }): ReactNode {
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
      {devices.length === 0 ? null : (
        <ul className="nodes">
          {devices.map((device) => (
            <DeviceCard
              key={`${device.communityId}/${device.deviceId}/${device.nodeId}`}
              device={device}
            />
          ))}
        </ul>
      )}
    </>
  );
}

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function DeviceCard({ device }: { device: DeviceExplanation }): ReactNode {
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
    </li>
  );
}
