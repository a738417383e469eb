import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { NodeProcess } from '../../support/process.js';
import { waitFor } from '../../support/wait.js';

const folder = mkdtempSync(join(tmpdir(), 'rollcall-process-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const started: NodeProcess[] = [];
afterEach(() => Promise.all(started.splice(0).map((child) => child.stop())));

let scripts = 0;
function run(source: string, args: readonly string[] = []): NodeProcess {
  const script = join(folder, `${++scripts}.mjs`);
  writeFileSync(script, source);
  const child = new NodeProcess(script, args);
  started.push(child);
  return child;
}

const TICKING = `
  console.log(JSON.stringify({ args: process.argv.slice(2) }));
  setInterval(() => console.error('tick'), 5);
`;

it('gives the first line of standard output and collects standard error', async () => {
  const child = run(TICKING, ['one', 'two']);
  expect(await child.firstLine()).toEqual({ args: ['one', 'two'] });
  await waitFor(() => child.stderr.includes('tick'), 'a tick');
});

it('says what a process wrote that ended without a line', async () => {
  const child = run("console.error('no luck'); process.exitCode = 3;");
  await expect(child.firstLine()).rejects.toThrow('no luck');
  expect(await child.exited()).toBe(3);
});

it('hangs a process, lets it go on, and ends it while it hangs', async () => {
  const child = run(TICKING);
  await child.firstLine();
  child.signal('SIGSTOP');
  child.signal('SIGCONT');
  const before = child.stderr.length;
  await waitFor(() => child.stderr.length > before, 'a tick after going on');
  child.signal('SIGSTOP');
  expect(await child.stop()).toBeNull();
  expect(() => process.kill(child.pid, 0)).toThrow('ESRCH');
});
