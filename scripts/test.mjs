// npm test: provides what the tests need, builds, and runs all of them once.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { provision } from './provision.mjs';
import { root, tryRun } from './run.mjs';

const env = provision();
const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], {
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(built.status ?? 1);
process.exit(tryRun('vitest', ['run', ...process.argv.slice(2)], env));
