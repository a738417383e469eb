import type { ReactNode } from 'react';
import type { DeviceView } from './device.js';

const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** What this browser was told last, newest first. */
export function EventLog({ view }: { view: DeviceView | undefined }): ReactNode {
  return (
    <div className="log">
      <h3>Last events</h3>
      <ol>
        {(view?.events ?? []).map(({ id, from, text, at }) => (
          <li key={id}>
            <time>{time.format(at)}</time> <b className={from}>{from}</b> {text}
          </li>
        ))}
      </ol>
    </div>
  );
}
