import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (folder: string): string =>
  fileURLToPath(new URL(`./src/${folder}/index.ts`, import.meta.url));

/** Suites by what they need: nothing, real servers and processes, a real browser. */
export default defineConfig({
  resolve: {
    // Tests name the package as its users do, and run against the source.
    alias: [
      { find: /^rollcall$/, replacement: source('server') },
      { find: /^rollcall\/client$/, replacement: source('client') },
      { find: /^rollcall\/client\/window$/, replacement: source('client/window') },
      { find: /^rollcall\/react$/, replacement: source('react') },
      { find: /^rollcall\/core$/, replacement: source('core') },
      { find: /^rollcall\/redis$/, replacement: source('redis') },
      { find: /^rollcall\/testing$/, replacement: source('testing') },
    ],
  },
  test: {
    // Tests on real processes get a second try, which the report shows; the simulator's get none.
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.{ts,tsx}'], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          retry: 1,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'chaos',
          include: ['test/chaos/**/*.test.ts'],
          retry: 1,
          hookTimeout: 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          retry: 1,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
