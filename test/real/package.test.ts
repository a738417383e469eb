import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** What is published, taken from dist by its name, as programs take it. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  exports: Record<string, unknown>;
};
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
