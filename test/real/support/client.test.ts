import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { expect, it } from 'vitest';
import { TestClient } from '../../support/client.js';
import { waitFor } from '../../support/wait.js';

it('comes back when it is dropped again while it connects', async () => {
  const http = createServer();
  const server = new Server(http);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const client = new TestClient(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {});
  try {
    await waitFor(() => client.socket.connected, 'a connection');
    let again: string | undefined;
    client.socket.io.once('reconnect_attempt', () =>
      queueMicrotask(() => {
        again = client.socket.io.engine.readyState;
        client.drop();
      }),
    );
    client.drop();
    await waitFor(() => client.socket.connected, 'another connection', 10_000);
    expect(again).toBe('opening');
  } finally {
    client.close();
    await server.close();
  }
});
