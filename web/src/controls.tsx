import type { ReactNode } from 'react';
import type { SettableStatus } from '../../src/client/index.js';
import { useSelf } from '../../src/react/index.js';
import { COMMUNITIES } from './people.js';

const STATUSES: readonly SettableStatus[] = ['active', 'idle', 'busy', 'invisible'];

/** What a person does in their browser: status, board, typing. */
export function Controls(): ReactNode {
  const { status, boardId, setStatus, setBoard, setTyping } = useSelf();
  return (
    <div className="controls">
      <label>
        Status
        <select
          value={status}
          onChange={(event) => void setStatus(event.target.value as SettableStatus)}
        >
          {STATUSES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
      <label>
        Board
        <select
          value={boardId ?? ''}
          onChange={(event) => void setBoard(event.target.value || null)}
        >
          <option value="">none</option>
          {COMMUNITIES.map(({ id, name, boards }) => (
            <optgroup key={id} label={name}>
              {boards.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </optgroup>
          ))}
        </select>
      </label>
      <label>
        Message
        <input
          placeholder="type here …"
          onChange={() => void setTyping(true)}
          onBlur={() => void setTyping(false)}
        />
      </label>
    </div>
  );
}
