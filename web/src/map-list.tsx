import type { ReactNode } from 'react';
import { Avatar } from './avatar.js';
import { nameOf, type DeviceView, type MapUser } from './device.js';

interface MapListProps {
  readonly nodeName: string;
  readonly view: DeviceView | undefined;
  readonly selfId: string | undefined;
}

interface Line extends MapUser {
  readonly fault: 'missing' | 'still shown' | undefined;
}

/** Who is online, by the hand-rolled map, and where that differs from rollcall's list. */
export function MapList({ nodeName, view, selfId }: MapListProps): ReactNode {
  const lines = compare(view);
  const faults = lines.filter(({ fault }) => fault !== undefined).length;
  return (
    <div className={view?.connected === false ? 'panel map stale' : 'panel map'}>
      <h3>
        Hand-rolled map
        {faults > 0 ? <span className="count faults">{faults} wrong</span> : null}
      </h3>
      {lines.length === 0 ? (
        <p className="empty">{view === undefined ? 'This browser is closed.' : 'Nobody yet.'}</p>
      ) : (
        <ul aria-label={`Hand-rolled map on node ${nodeName}`}>
          {lines.map(({ userId, name, fault }) => (
            <li key={userId} data-user={userId} className={fault === undefined ? '' : 'fault'}>
              <Avatar userId={userId} name={name} status={undefined} />
              <span className="who">
                {fault === 'missing' ? <s>{name}</s> : name}
                {userId === selfId ? <small> (you)</small> : null}
              </span>
              <span className="what">{fault ?? 'online'}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function compare(view: DeviceView | undefined): readonly Line[] {
  const shown = view?.mapUsers ?? [];
  // Without a connection neither list is claimed to be right.
  const truth = view?.connected === true ? view.users : undefined;
  const missing = (truth ?? [])
    .filter((user) => !shown.some(({ userId }) => userId === user.userId))
    .map((user) => ({ userId: user.userId, name: nameOf(user), fault: 'missing' as const }));
  const present = shown.map((user) => ({
    ...user,
    fault:
      truth === undefined || truth.some(({ userId }) => userId === user.userId)
        ? undefined
        : ('still shown' as const),
  }));
  return [...present, ...missing].sort((a, b) => a.name.localeCompare(b.name));
}
