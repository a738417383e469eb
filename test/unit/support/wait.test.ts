import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { freePort } from '../../support/ports.js';
import { waitFor } from '../../support/wait.js';

it('gives the value that was waited for', async () => {
  let calls = 0;
  expect(await waitFor(() => (++calls === 3 ? 'there' : undefined), 'the third call')).toBe(
    'there',
  );
});

it('fails with what was waited for, as it stands at the end', async () => {
  let calls = 0;
  await expect(
    waitFor(
      () => {
        calls++;
        return false;
      },
      () => `a call beyond ${calls}`,
      50,
    ),
  ).rejects.toThrow(/^waited 50 ms for a call beyond [1-9]/);
});

it('fails at once where the condition throws', async () => {
  await expect(waitFor(() => Promise.reject(new Error('broken')), 'nothing')).rejects.toThrow(
    'broken',
  );
});

it('finds a port that can be listened on', async () => {
  const port = await freePort();
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  expect(port).toBeGreaterThan(1023);
});
