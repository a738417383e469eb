// npm run bench: builds what is needed and measures; further arguments name a part (lists, slices, latency,
// client, fanout, strategies, stalls).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { provision } from './provision.mjs';
import { root } from './run.mjs';

const env = provision();
if (env.REDIS_SERVER === undefined) process.exit(1);
const node = (...args) =>
  spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status;
const built = node(join(root, 'scripts', 'build.mjs'), '--if-stale');
const [part, ...rest] = process.argv.slice(2);
// What takes long is run by its name only.
const script = ['strategies', 'stalls'].includes(part)
  ? [`${part}.mjs`, ...rest]
  : ['main.mjs', ...(part ? [part, ...rest] : [])];
process.exit(built === 0 ? node(join(root, 'bench', script[0]), ...script.slice(1)) : 1);
