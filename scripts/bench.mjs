// npm run bench: builds what is needed and measures; further arguments name a part (lists, slices, latency).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { provision } from './provision.mjs';
import { root } from './run.mjs';

const env = provision();
if (env.REDIS_SERVER === undefined) process.exit(1);
const node = (...args) =>
  spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status;
const built = node(join(root, 'scripts', 'build.mjs'), '--if-stale');
process.exit(built === 0 ? node(join(root, 'bench', 'main.mjs'), ...process.argv.slice(2)) : 1);
