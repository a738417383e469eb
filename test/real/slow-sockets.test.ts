import type { Socket } from 'socket.io';
import { afterEach, expect, it } from 'vitest';
import { Application } from '../support/application.js';
import { TestClient } from '../support/client.js';
import { waitFor } from '../support/wait.js';

const applications: Application[] = [];
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(applications.splice(0).map((each) => each.stop()));
});

async function metric(application: Application, name: string): Promise<number> {
  const text = (await application.presences[0]?.metrics.metrics()) ?? '';
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}

it('race 23: sets a socket aside that does not read, and lists it anew when it does', async () => {
  const application = await Application.start({ pingInterval: 60_000, pingTimeout: 60_000 });
  applications.push(application);
  application.present({ limits: { slowSocketBytes: 64 * 1024, requestsPerSecond: 10_000 } });
  const join = async (userId: string): Promise<TestClient> => {
    const client = await TestClient.join(application.url, {
      userId,
      communities: ['c'],
      info: { text: 'x'.repeat(1900) },
    });
    clients.push(client);
    return client;
  };
  const users = Array.from({ length: 50 }, (_, i) => `u${i}`);
  const others = await Promise.all(users.map((user) => join(user)));
  const slow = await join('slow');
  const server = application.io.of('/').sockets.get(slow.socket.id as string) as Socket;
  slow.hang();
  // Each of these is answered with a list of 100 kB that it does not read.
  for (let i = 0; i < 200; i++) slow.socket.emit('presenceSync', 'c', () => {});
  await waitFor(() => metric(application, 'rollcall_slow_sockets').then((n) => n === 1), 'it');
  expect(server.rooms.has('community:c')).toBe(false);
  const buffered = (): number =>
    (server.conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;
  const waiting = buffered();
  for (let i = 0; i < 20; i++) await others[0]?.send('presenceUpdate', { boardId: `b${i}` });
  others[1]?.close();
  const left = ['slow', ...users.filter((user) => user !== 'u1')];
  await others[2]?.sees('c', left);
  // Nothing of that has been queued for it, and nobody else was held up.
  expect(buffered()).toBeLessThanOrEqual(waiting);
  expect(await metric(application, 'rollcall_slow_sockets_total')).toBe(1);
  slow.goOn();
  await slow.sees('c', left);
  await waitFor(
    () => slow.model.user('c', 'u0')?.devices[0]?.boardId === 'b19',
    'the newest state in the new list',
  );
  await waitFor(() => metric(application, 'rollcall_slow_sockets').then((n) => n === 0), 'none');
  await others[0]?.send('presenceUpdate', { boardId: 'after' });
  await waitFor(
    () => slow.model.user('c', 'u0')?.devices[0]?.boardId === 'after',
    'events after the list',
  );
  expect(clients.flatMap((client) => client.violations)).toEqual([]);
});
