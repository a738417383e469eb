import type { ReactNode } from 'react';
import type { UserPresence } from '../../src/client/index.js';
import { usePresence, useSelf } from '../../src/react/index.js';
import { Avatar } from './avatar.js';
import { COMMUNITY, type Info, type Meta } from './device.js';
import { nameOf } from './event-log.js';
import { LaptopIcon, PhoneIcon } from './icons.js';
import { isGuest } from './people.js';

interface RosterListProps {
  readonly nodeName: string;
  readonly isOpen: boolean;
}

/** Most lines of a list. */
const SHOWN = 8;

/** Who is online, by rollcall. */
export function RosterList({ nodeName, isOpen }: RosterListProps): ReactNode {
  const { users, count, state } = usePresence<Info, Meta>(COMMUNITY);
  const { userId } = useSelf();
  const sorted = [...users].sort(
    (a, b) =>
      Number(isGuest(a.userId)) - Number(isGuest(b.userId)) ||
      nameOf(a).localeCompare(nameOf(b), undefined, { numeric: true }),
  );
  const more = sorted.length - SHOWN;
  return (
    <div className={state === 'stale' ? 'panel cure stale' : 'panel cure'}>
      <h3>
        rollcall <span className="count">{count} online</span>
      </h3>
      {count === 0 ? (
        <p className="empty">{isOpen ? 'Nobody yet.' : 'This browser is closed.'}</p>
      ) : (
        <ul aria-label={`rollcall on node ${nodeName}`}>
          {sorted.slice(0, SHOWN).map((user) => (
            <Row key={user.userId} user={user} isSelf={user.userId === userId} />
          ))}
          {more > 0 ? <li className="more">and {more.toLocaleString('en')} more</li> : null}
        </ul>
      )}
    </div>
  );
}

function Row({ user, isSelf }: { user: UserPresence<Info, Meta>; isSelf: boolean }): ReactNode {
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
        {user.devices.map(({ deviceId, meta }) =>
          meta?.kind === 'phone' ? <PhoneIcon key={deviceId} /> : <LaptopIcon key={deviceId} />,
        )}
        <span className="unseen">
          {user.devices.length === 1 ? '1 device' : `${user.devices.length} devices`}
        </span>
      </span>
    </li>
  );
}
