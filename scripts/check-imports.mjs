// Holds the direction of imports: a folder may import only from itself and from those named here.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { root } from './run.mjs';

const MAY_IMPORT = {
  core: [],
  sim: ['core', 'strategy'],
  transport: ['core'],
  strategy: ['core', 'transport'],
  redis: ['core', 'transport', 'strategy'],
  client: [],
  react: ['client'],
  server: ['core', 'transport', 'strategy', 'redis'],
  demo: ['core', 'transport', 'server'],
  testing: [],
  cli: ['core', 'transport', 'strategy', 'redis', 'server', 'demo', 'sim'],
};
/** Folders whose files import no package at all. */
const PURE = new Set(['core', 'sim', 'client']);

/** Imports of every form: from, for the side effect alone, dynamic; in either quote. */
const IMPORT = /\b(?:from|import)\s*\(?\s*['"]([^'"\n]+)['"]/g;

const src = join(root, 'src');
const problems = [];
for (const entry of readdirSync(src, { withFileTypes: true, recursive: true })) {
  if (!entry.isFile() || !/\.tsx?$/.test(entry.name)) continue;
  const file = join(entry.parentPath, entry.name);
  const folder = relative(src, file).split(sep)[0];
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined) {
    problems.push(
      `${relative(root, file)}: the folder ${folder} is not in scripts/check-imports.mjs`,
    );
    continue;
  }
  for (const [, from] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (!from.startsWith('.')) {
      if (PURE.has(folder))
        problems.push(`${relative(root, file)}: ${folder} imports no package, but imports ${from}`);
      continue;
    }
    const target = relative(src, join(dirname(file), from)).split(sep)[0];
    if (target !== folder && !allowed.includes(target)) {
      problems.push(`${relative(root, file)}: ${folder} may not import ${target}`);
    }
  }
}
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
