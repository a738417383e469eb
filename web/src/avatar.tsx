import type { CSSProperties, ReactNode } from 'react';
import { hueOf } from './people.js';

interface AvatarProps {
  readonly userId: string;
  readonly name: string;
  readonly status: string | undefined;
}

export function Avatar({ userId, name, status }: AvatarProps): ReactNode {
  const style = { '--hue': hueOf(userId) } as CSSProperties;
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {name.slice(0, 1).toUpperCase()}
      {status === undefined ? null : <i className={`dot ${status}`} />}
    </span>
  );
}
