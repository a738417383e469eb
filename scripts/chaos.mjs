// npm run chaos -- --rounds N --seed S: real processes under faults for longer than npm test does it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { provision } from './provision.mjs';
import { root, tryRun } from './run.mjs';

function usage(problem) {
  console.error(
    `${problem}\nusage: npm run chaos -- [--rounds N] [--seed S], both whole numbers from 1`,
  );
  process.exit(2);
}

let values;
try {
  ({ values } = parseArgs({ options: { rounds: { type: 'string' }, seed: { type: 'string' } } }));
} catch (error) {
  usage(error.message);
}
for (const [name, value] of Object.entries(values)) {
  if (!/^[1-9]\d{0,8}$/.test(value)) usage(`--${name} ${value} is not a whole number from 1`);
}
const env = provision();
if (env.REDIS_SERVER === undefined) process.exit(1);
const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], {
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(built.status ?? 1);
const chaos = {
  CHAOS_ROUNDS: values.rounds ?? '1',
  ...(values.seed && { CHAOS_SEED: values.seed }),
};
process.exit(tryRun('vitest', ['run', '--project', 'chaos'], { ...env, ...chaos }));
