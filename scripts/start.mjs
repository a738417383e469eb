// Runs a command of the rollcall CLI from a checkout, building it first where needed.
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './run.mjs';

const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], {
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(built.status ?? 1);
const child = spawn(
  process.execPath,
  [join(root, 'dist', 'cli', 'main.js'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 0)));
