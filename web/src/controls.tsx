import { useEffect, useRef, useState, type ReactNode } from 'react';
import type { Device, Status } from './device.js';
import { BOARDS } from './people.js';

const STATUSES: readonly Status[] = ['active', 'idle', 'busy', 'invisible'];
const TYPING_MS = 2000;

/** What a person does in their browser: status, board, typing. */
export function Controls({ device }: { device: Device }): ReactNode {
  const [status, setStatus] = useState<Status>('active');
  const [board, setBoard] = useState('');
  const stopped = useRef<ReturnType<typeof setTimeout>>(undefined);
  const stopTyping = (): void => {
    if (stopped.current === undefined) return;
    clearTimeout(stopped.current);
    stopped.current = undefined;
    device.update({ typing: false });
  };
  const type = (): void => {
    if (stopped.current === undefined) device.update({ typing: true });
    clearTimeout(stopped.current);
    stopped.current = setTimeout(stopTyping, TYPING_MS);
  };
  useEffect(() => () => clearTimeout(stopped.current), []);
  return (
    <div className="controls">
      <label>
        Status
        <select
          value={status}
          onChange={(event) => {
            const next = event.target.value as Status;
            setStatus(next);
            device.update({ status: next });
          }}
        >
          {STATUSES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
      <label>
        Board
        <select
          value={board}
          onChange={(event) => {
            setBoard(event.target.value);
            device.update({ boardId: event.target.value || null });
          }}
        >
          <option value="">none</option>
          {BOARDS.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
      <label className="wide">
        Message
        <input placeholder="type here …" onChange={type} onBlur={stopTyping} />
      </label>
    </div>
  );
}
