import { useSyncExternalStore, type ReactNode } from 'react';
import type { Device } from './device.js';

const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const subscribeToNothing = (): (() => void) => () => {};
const NOTHING: readonly never[] = [];

/** What this browser was told last, newest first. */
export function EventLines({ device }: { device: Device | undefined }): ReactNode {
  const events = useSyncExternalStore(
    device?.log.subscribe ?? subscribeToNothing,
    () => device?.log.getEvents() ?? NOTHING,
  );
  return (
    <div className="log">
      <h3>Last events</h3>
      <ol>
        {events.map(({ id, from, text, at }) => (
          <li key={id}>
            <time>{time.format(at)}</time> <b className={from}>{from}</b> {text}
          </li>
        ))}
      </ol>
    </div>
  );
}
