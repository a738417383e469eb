// Compiles src into dist, and the web page where there is one. With --if-stale only when needed.
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './run.mjs';

const stamp = join(root, 'dist', '.built');

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) time = Math.max(time, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return time;
}

function isStale() {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  const sources = ['src', 'web'].filter((folder) => existsSync(join(root, folder)));
  const files = [
    'package.json',
    'tsconfig.build.json',
    'tsconfig.build-dom.json',
    'tsconfig.base.json',
  ];
  return (
    sources.some((folder) => newest(join(root, folder)) > built) ||
    files.some((file) => statSync(join(root, file)).mtimeMs > built)
  );
}

if (!process.argv.includes('--if-stale') || isStale()) {
  console.error('building …');
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run('tsc', ['-p', 'tsconfig.build.json']);
  run('tsc', ['-p', 'tsconfig.build-dom.json']);
  if (existsSync(join(root, 'web', 'vite.config.ts'))) {
    run('vite', ['build', '--config', 'web/vite.config.ts', '--logLevel', 'warn']);
  }
  const main = join(root, 'dist', 'cli', 'main.js');
  if (existsSync(main)) chmodSync(main, 0o755);
  writeFileSync(stamp, '');
}
