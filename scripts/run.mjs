import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program of node_modules with its output shown; ends this process with its code on failure. */
export function run(program, args, env = {}) {
  const code = tryRun(program, args, env);
  if (code !== 0) process.exit(code);
}

/** Runs a program and gives its exit code. */
export function tryRun(program, args, env = {}) {
  const bin = join(root, 'node_modules', '.bin', program);
  if (!existsSync(bin)) {
    console.error(`${program} is not installed here: run "npm ci" first.`);
    return 1;
  }
  const result = spawnSync(bin, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (result.error) console.error(result.error.message);
  return result.status ?? 1;
}
