import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Relay } from '../../support/relay.js';
import { pause, waitFor } from '../../support/wait.js';

/** A server that answers `got:` and what it heard. */
let server: Server;
let relay: Relay;
let heard: string;

beforeEach(async () => {
  heard = '';
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard += chunk.toString();
      socket.write(`got:${chunk.toString()}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  relay = await Relay.start((server.address() as AddressInfo).port);
});
afterEach(async () => {
  await relay.stop();
  server.close();
});

function client(): { socket: Socket; answers: () => string; isClosed: () => boolean } {
  let text = '';
  let closed = false;
  const socket = connect(Number(new URL(relay.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  socket.on('data', (chunk) => (text += chunk.toString()));
  return { socket, answers: () => text, isClosed: () => closed };
}

it('passes on, holds either way, delays, and gives what it held when it heals', async () => {
  const { socket, answers } = client();
  socket.write('a');
  await waitFor(() => answers() === 'got:a', 'an answer');

  relay.hold('up');
  socket.write('b');
  await pause(100);
  expect(heard).toBe('a');
  relay.heal();
  await waitFor(() => answers() === 'got:agot:b', 'what was held upwards');

  relay.hold('down');
  socket.write('c');
  await waitFor(() => heard === 'abc', 'the server to hear while its answer is held');
  await pause(100);
  expect(answers()).toBe('got:agot:b');
  relay.heal();
  await waitFor(() => answers().endsWith('got:c'), 'the answer that was held');

  relay.delay(150);
  const sentAt = performance.now();
  socket.write('d');
  await waitFor(() => answers().endsWith('got:d'), 'the delayed answer');
  expect(performance.now() - sentAt).toBeGreaterThan(290);
  relay.heal();

  relay.narrow(10);
  const saidAt = performance.now();
  socket.write('ef');
  await waitFor(() => answers().endsWith('got:ef'), 'what comes through slowly');
  // Two bytes up and six down, ten a second.
  expect(performance.now() - saidAt).toBeGreaterThan(790);
  relay.heal();
  socket.destroy();
});

it('cuts what is connected and whoever comes, until it heals', async () => {
  const before = client();
  before.socket.write('x');
  await waitFor(() => before.answers() === 'got:x', 'an answer');
  relay.cut();
  await waitFor(before.isClosed, 'the connection to end');
  const during = client();
  await waitFor(during.isClosed, 'the new connection to end');
  relay.heal();
  const after = client();
  after.socket.write('y');
  await waitFor(() => after.answers() === 'got:y', 'an answer again');
  after.socket.destroy();
});
