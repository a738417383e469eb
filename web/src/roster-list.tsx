import type { ReactNode } from 'react';
import type { UserPresence } from '../../src/core/types.js';
import { Avatar } from './avatar.js';
import { nameOf, type DeviceView } from './device.js';
import { LaptopIcon, PhoneIcon } from './icons.js';

interface RosterListProps {
  readonly nodeName: string;
  readonly view: DeviceView | undefined;
  readonly selfId: string | undefined;
}

/** Who is online, by rollcall. */
export function RosterList({ nodeName, view, selfId }: RosterListProps): ReactNode {
  const users = [...(view?.users ?? [])].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  return (
    <div className={view?.connected === false ? 'panel cure stale' : 'panel cure'}>
      <h3>
        rollcall <span className="count">{users.length} online</span>
      </h3>
      {users.length === 0 ? (
        <p className="empty">{view === undefined ? 'This browser is closed.' : 'Nobody yet.'}</p>
      ) : (
        <ul aria-label={`rollcall on node ${nodeName}`}>
          {users.map((user) => (
            <Row key={user.userId} user={user} isSelf={user.userId === selfId} />
          ))}
        </ul>
      )}
    </div>
  );
}

function Row({ user, isSelf }: { user: UserPresence; isSelf: boolean }): ReactNode {
  const board = user.devices.find(({ boardId }) => boardId !== undefined)?.boardId;
  const isTyping = user.devices.some(({ typing }) => typing === true);
  return (
    <li data-user={user.userId}>
      <Avatar userId={user.userId} name={nameOf(user)} status={user.status} />
      <span className="who">
        {nameOf(user)}
        {isSelf ? <small> (you)</small> : null}
      </span>
      <span className="what">
        {isTyping ? <em className="typing">typing</em> : user.status}
        {board === undefined ? null : <span className="board">{board}</span>}
      </span>
      <span className="icons">
        {user.devices.map(({ deviceId }) =>
          deviceId.startsWith('phone') ? (
            <PhoneIcon key={deviceId} />
          ) : (
            <LaptopIcon key={deviceId} />
          ),
        )}
        <span className="unseen">
          {user.devices.length === 1 ? '1 device' : `${user.devices.length} devices`}
        </span>
      </span>
    </li>
  );
}
