// Holds the size of rollcall/client: what an application's bundle grows by, minified and gzipped.
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { root } from './run.mjs';

const MOST_BYTES = 3072;

const { output } = await build({
  root,
  configFile: false,
  logLevel: 'error',
  build: {
    write: false,
    target: 'es2022',
    modulePreload: false,
    rollupOptions: {
      input: join(root, 'dist', 'client', 'index.js'),
      preserveEntrySignatures: 'strict',
    },
  },
});
const bytes = gzipSync(output[0].code, { level: 9 }).length;
console.error(`rollcall/client: ${bytes} bytes of ${MOST_BYTES} (minified, gzip)`);
if (process.argv.includes('--show')) console.log(output[0].code);
if (bytes > MOST_BYTES) process.exit(1);
