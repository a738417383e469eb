import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createPresenceClient, createPresenceDevice } from 'rollcall/client';
import { PresenceProvider, usePresence, usePresenceStatus, useSelf } from 'rollcall/react';
import { io } from 'socket.io-client';

// The name in the address stands for whoever is signed in: ?user=ada
const userId = new URLSearchParams(location.search).get('user') ?? 'guest';
// One tab is one device, over reloads and reconnects.
const device = createPresenceDevice();
const socket = io({ auth: device.auth(() => ({ userId })) });
const client = createPresenceClient(socket, { device, userId });

function Lobby() {
  const { users, count, state } = usePresence('lobby');
  return (
    <main>
      <h1>{count} in the lobby</h1>
      <p>
        {state === 'live' ? 'live' : `not connected, the last list stays (${state})`} <Status />
      </p>
      <ul>
        {users.map((user) => (
          <li key={user.userId}>
            {user.info.name} is {user.status}
            {user.devices.some(({ typing }) => typing) ? ' and typing' : ''}
          </li>
        ))}
      </ul>
      <Message />
    </main>
  );
}

function Status() {
  const { state } = usePresenceStatus();
  const { status, setStatus } = useSelf();
  return (
    <label>
      I am{' '}
      <select
        value={status}
        disabled={state !== 'live'}
        onChange={(event) => setStatus(event.target.value)}
      >
        {['active', 'idle', 'busy', 'invisible'].map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </label>
  );
}

function Message() {
  const { setTyping } = useSelf();
  const [text, setText] = useState('');
  return (
    <label>
      Message{' '}
      <input
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          void setTyping(true);
        }}
        onBlur={() => void setTyping(false)}
      />
    </label>
  );
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <PresenceProvider client={client}>
      <Lobby />
    </PresenceProvider>
  </StrictMode>,
);
