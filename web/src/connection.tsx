import type { ReactNode } from 'react';
import { usePresence, usePresenceStatus } from '../../src/react/index.js';
import { COMMUNITY, type Device } from './device.js';

/** How this browser stands with its node, in words. */
export function Connection({ device }: { device: Device }): ReactNode {
  const { state: connection } = usePresenceStatus();
  const [state, complete, error] = usePresence(
    COMMUNITY,
    ({ state, complete, error }) => [state, complete, error?.message] as const,
    (a, b) => a.every((each, i) => each === b[i]),
  );
  switch (state) {
    case 'denied':
      return <span className="state bad">denied: {error}</span>;
    case 'stale':
      return (
        <span className="state warn">
          {connection === 'live'
            ? 'catching up …'
            : device.isEnded
              ? 'evicted; reload to come back'
              : 'disconnected, last list stays'}
        </span>
      );
    case 'syncing':
      return <span className="state">{connection === 'live' ? 'syncing …' : 'connecting …'}</span>;
    case 'live':
      return (
        <span className={complete ? 'state good' : 'state warn'}>
          live, complete: {complete ? 'yes' : 'not yet'}
        </span>
      );
  }
}
