import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * The built pages by path, whole in memory: they are small, and nothing but these files can be asked
 * for.
 *
 * @throws when the pages have not been built.
 */
export function readPage(): Map<string, PageFile> {
  const folder = fileURLToPath(new URL('../../web/', import.meta.url));
  const files = new Map<string, PageFile>();
  for (const file of filesIn(folder)) {
    const path = '/' + relative(folder, file).split(sep).join('/');
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    files.set(path, { type, body: readFileSync(file) });
  }
  if (!files.has('/index.html')) throw new Error('no index.html');
  return files;
}

/** Not by the option `recursive`, of which the first releases of Node 20 know nothing, or only half. */
function* filesIn(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesIn(path);
    else yield path;
  }
}
