// npm run check: everything that must hold before a change lands.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, tryRun } from './run.mjs';

const node =
  (script, ...args) =>
  () =>
    spawnSync(process.execPath, [join(root, 'scripts', script), ...args], { stdio: 'inherit' })
      .status ?? 1;
const bin =
  (program, ...args) =>
  () =>
    tryRun(program, args);

const STEPS = [
  ['format', bin('oxfmt', '--check', '.')],
  ['lint', bin('oxlint', '.')],
  ['imports', node('check-imports.mjs')],
  ['types', bin('tsc', '-p', 'tsconfig.json')],
  ['types of the core, without DOM and Node', bin('tsc', '-p', 'src/core/tsconfig.json')],
  ['types of client and hooks', bin('tsc', '-p', 'tsconfig.dom.json')],
  ['types of the page', bin('tsc', '-p', 'web/tsconfig.json')],
  ['build', node('build.mjs')],
  ['API reference', node('api-docs.mjs', '--check')],
  ['size of the client', node('check-size.mjs')],
  ['packaging: publint', bin('publint')],
  ['packaging: types', bin('attw', '--pack', '.', '--profile', 'esm-only', '--quiet')],
  ['unused files and exports', bin('knip')],
  ['tests', node('test.mjs')],
];

const quick = process.argv.includes('--quick');
for (const [name, step] of STEPS) {
  if (quick && name === 'tests') continue;
  console.error(`— ${name}`);
  const code = step();
  if (code !== 0) {
    console.error(`check failed: ${name}`);
    process.exit(code);
  }
}
