import { useSyncExternalStore, type ReactNode } from 'react';
import type { CommunitySnapshot } from '../../src/client/index.js';
import { usePresence } from '../../src/react/index.js';
import { Avatar } from './avatar.js';
import { COMMUNITY, type Device } from './device.js';
import { nameOf } from './event-log.js';
import type { HandRolledUser } from './hand-rolled-list.js';
import { isGuest } from './people.js';

interface MapListProps {
  readonly nodeName: string;
  readonly device: Device | undefined;
}

interface Line extends HandRolledUser {
  readonly fault: 'missing' | 'still shown' | undefined;
}

const subscribeToNothing = (): (() => void) => () => {};

/** Who is online, by the hand-rolled map, and where that differs from rollcall's list. */
export function MapList({ nodeName, device }: MapListProps): ReactNode {
  const users = useSyncExternalStore(device?.handRolled.subscribe ?? subscribeToNothing, () =>
    device?.handRolled.getUsers(),
  );
  const presence = usePresence(COMMUNITY);
  const lines = compare(users ?? [], presence);
  const faults = lines.filter(({ fault }) => fault !== undefined).length;
  return (
    <div className={presence.state === 'stale' ? 'panel map stale' : 'panel map'}>
      <h3>
        Hand-rolled map
        {faults > 0 ? <span className="count faults">{faults} wrong</span> : null}
      </h3>
      {lines.length === 0 ? (
        <p className="empty">{device === undefined ? 'This browser is closed.' : 'Nobody yet.'}</p>
      ) : (
        <ul aria-label={`Hand-rolled map on node ${nodeName}`}>
          {lines.map(({ userId, name, fault }) => (
            <li key={userId} data-user={userId} className={fault === undefined ? '' : 'fault'}>
              <Avatar userId={userId} name={name} status={undefined} />
              <span className="who">
                {fault === 'missing' ? <s>{name}</s> : name}
                {userId === device?.userId ? <small> (you)</small> : null}
              </span>
              <span className="what">{fault ?? 'online'}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function compare(shown: readonly HandRolledUser[], presence: CommunitySnapshot): readonly Line[] {
  // Without a connection neither list is claimed to be right.
  const truth = presence.state === 'live' ? presence.users : undefined;
  const missing = (truth ?? [])
    // Simulated users connect to rollcall only.
    .filter(({ userId }) => !isGuest(userId))
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
