import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** What is published, taken from dist by its name, as programs take it. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const { exports, dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(
  readFileSync(`${root}package.json`, 'utf8'),
) as Record<
  'exports' | 'dependencies' | 'peerDependencies' | 'peerDependenciesMeta',
  Record<string, unknown>
>;
const entries = Object.keys(exports).filter((name) => !name.endsWith('.json'));

it.each(entries.map((name) => name.replace('.', 'rollcall')))(
  '%s is to CommonJS what it is to ES modules',
  async (name) => {
    const script = `
      const required = require('${name}');
      import('${name}').then((imported) => {
        const names = Object.keys(imported);
        console.log(JSON.stringify([names, names.filter((each) => required[each] === imported[each])]));
      });`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=commonjs', '--eval', script],
      { cwd: root },
    );
    const [names, same] = JSON.parse(stdout) as [string[], string[]];
    expect(names).not.toEqual([]);
    expect(same).toEqual(names);
  },
);

/** Packages that a file of dist imports before it does anything, itself or by what it imports. */
function packagesOf(file: URL, seen = new Set<string>()): string[] {
  if (seen.has(file.href)) return [];
  seen.add(file.href);
  const imports = readFileSync(file, 'utf8').matchAll(/^(?:import|export) (?:.* from )?'(.+)';$/gm);
  return [...imports].flatMap(([, name = '']) => {
    if (name.startsWith('.')) return packagesOf(new URL(name, file), seen);
    return name.startsWith('node:') ? [] : [/^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name];
  });
}

it('the command line needs nothing that is not installed with it', () => {
  const files = ['cli', 'demo'].flatMap((folder) =>
    readdirSync(`${root}dist/${folder}`)
      .filter((name) => name.endsWith('.js'))
      .map((name) => pathToFileURL(`${root}dist/${folder}/${name}`)),
  );
  const needed = new Set(files.flatMap((file) => packagesOf(file)));
  expect(needed).toContain('commander');
  const peers = Object.keys(peerDependencies).filter((name) => !(name in peerDependenciesMeta));
  const installed = new Set([...Object.keys(dependencies), ...peers]);
  expect([...needed].filter((name) => !installed.has(name))).toEqual([]);
});

it('source maps hold the sources, which are not published', () => {
  const files = readdirSync(`${root}dist`, { recursive: true, encoding: 'utf8' });
  const maps = files.filter((name) => name.endsWith('.map'));
  expect(maps).toContain('client/index.js.map');
  const empty = maps.filter((name) => {
    const map = JSON.parse(readFileSync(`${root}dist/${name}`, 'utf8')) as {
      sources: string[];
      sourcesContent?: (string | null)[];
    };
    return map.sources.some((_, i) => !map.sourcesContent?.[i]);
  });
  expect(empty).toEqual([]);
});
