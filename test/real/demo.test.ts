import { createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { DemoProcess, type DemoNode } from '../support/demo.js';
import { waitFor } from '../support/wait.js';

const demos: DemoProcess[] = [];
afterEach(() => Promise.all(demos.splice(0).map((demo) => demo.stop())));

async function start(): Promise<DemoProcess> {
  const demo = await DemoProcess.start();
  demos.push(demo);
  return demo;
}

async function node(demo: DemoProcess, name: string): Promise<DemoNode> {
  return (await demo.nodes()).find((each) => each.name === name) as DemoNode;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('serves the page and three nodes, and ends with 0 on SIGTERM leaving no process behind', async () => {
  const demo = await start();
  const page = await (await fetch(demo.url)).text();
  expect(page).toContain('<title>rollcall demo</title>');
  const nodes = await demo.nodes();
  expect(nodes.map(({ name, state }) => `${name} ${state}`)).toEqual(['A up', 'B up', 'C up']);
  const pids = nodes.map(({ pid }) => pid as number);
  expect(new Set(pids).size).toBe(3);
  for (const { url } of nodes) expect(demo.stdout).toContain(url);
  expect(pids.every(isAlive)).toBe(true);
  demo.signal('SIGTERM');
  expect(await demo.exited()).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(demo.stderr).toBe('');
});

it('survives the death of a node by any hand, and starts it again on its port', async () => {
  const demo = await start();
  const before = await node(demo, 'B');
  const { url: urlOfA } = await node(demo, 'A');
  const ada = await TestClient.join(urlOfA as string, { userId: 'ada', communities: ['team'] });
  const ben = await TestClient.join(before.url as string, {
    userId: 'ben',
    communities: ['team'],
    info: { name: 'Ben' },
  });
  try {
    await ada.sees('team', ['ada', 'ben']);
    process.kill(before.pid as number, 'SIGKILL');
    await waitFor(async () => (await node(demo, 'B')).state === 'down', 'node B to be down');
    await ada.sees('team', ['ada']);
    await demo.command('B', 'start');
    await waitFor(async () => (await node(demo, 'B')).state === 'up', 'node B to be up');
    const after = await node(demo, 'B');
    expect(after.url).toBe(before.url);
    expect(after.pid).not.toBe(before.pid);
    // Its client has come back by itself.
    await ada.sees('team', ['ada', 'ben']);
    await ben.sees('team', ['ada', 'ben']);
    await demo.command('B', 'kill');
    await waitFor(async () => (await node(demo, 'B')).state === 'down', 'node B to be down again');
    expect(isAlive(after.pid as number)).toBe(false);
    expect([...ada.violations, ...ben.violations]).toEqual([]);
  } finally {
    ada.close();
    ben.close();
  }
  demo.signal('SIGINT');
  expect(await demo.exited()).toBe(0);
});

it('ends its nodes when it is killed itself', async () => {
  const demo = await start();
  const pids = (await demo.nodes()).map(({ pid }) => pid as number);
  demo.signal('SIGKILL');
  await waitFor(() => !pids.some(isAlive), 'the nodes to end');
});

it('says that a port is in use, and what to do', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const demo = DemoProcess.spawn(['--port', String(port)]);
  demos.push(demo);
  expect(await demo.exited()).toBe(1);
  expect(demo.stderr).toBe(`rollcall: port ${port} is in use; choose another with --port\n`);
  other.close();
});

it('refuses pages of other origins and names that were pointed at this machine', async () => {
  const demo = await start();
  const { port } = new URL(demo.url);
  const kill = `${demo.url}/nodes/A/kill`;
  const foreign = await fetch(kill, { method: 'POST', headers: { Origin: 'https://example.org' } });
  expect(foreign.status).toBe(403);
  expect((await fetch(kill)).status).toBe(405);
  expect((await fetch(`${demo.url}/nodes/Z/kill`, { method: 'POST' })).status).toBe(405);
  expect((await fetch(`http://127.0.0.1:${port}/../package.json`)).status).toBe(404);
  expect((await node(demo, 'A')).state).toBe('up');
});
