import type { ReactNode } from 'react';
import { PresenceProvider, usePresence } from '../../src/react/index.js';
import { Avatar } from './avatar.js';
import type { Device, Info, Meta } from './device.js';
import { nameOf } from './event-log.js';
import { COMMUNITIES } from './people.js';

/** The communities and their boards, as one browser sees them. */
export function Workspace({ device, who }: { device: Device | undefined; who: string }): ReactNode {
  if (device === undefined) return null;
  return (
    <section className="workspace" aria-labelledby="workspace-heading">
      <h2 id="workspace-heading">Communities and boards</h2>
      <p className="lead">
        As {who} sees them. One connection, several communities; each has its own list.
      </p>
      <PresenceProvider client={device.client}>
        <div className="communities">
          {COMMUNITIES.map(({ id, name, boards }) => (
            <CommunityCard key={id} id={id} name={name} boards={boards} />
          ))}
        </div>
      </PresenceProvider>
    </section>
  );
}

interface CommunityCardProps {
  readonly id: string;
  readonly name: string;
  readonly boards: readonly string[];
}

function CommunityCard({ id, name, boards }: CommunityCardProps): ReactNode {
  const { users, count } = usePresence<Info, Meta>(id);
  return (
    <article className="card" aria-label={name}>
      <div className="card-head">
        <h3>{name}</h3>
        <span className="count">{count} online</span>
      </div>
      <ul className="boards">
        {boards.map((board) => {
          const here = users.filter(({ devices }) => devices.some((d) => d.boardId === board));
          const typing = here.filter(({ devices }) =>
            devices.some((d) => d.boardId === board && d.typing === true),
          );
          return (
            <li key={board}>
              <span>{board}</span>
              {typing.length === 0 ? null : (
                <em className="typing">{typing.map(nameOf).join(', ')} typing</em>
              )}
              <span className="faces">
                {here.map((user) => (
                  <Avatar
                    key={user.userId}
                    userId={user.userId}
                    name={nameOf(user)}
                    status={user.status}
                  />
                ))}
                <span className="unseen">
                  {here.length === 0 ? 'nobody' : here.map(nameOf).join(', ')}
                </span>
                {here.length === 0 ? <small aria-hidden="true">nobody</small> : null}
              </span>
            </li>
          );
        })}
      </ul>
    </article>
  );
}
