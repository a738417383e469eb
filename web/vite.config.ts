import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const page = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The page of `rollcall demo`, and the dashboard; run from the project's folder. */
export default defineConfig({
  root: 'web',
  // The dashboard is served at any path.
  base: './',
  plugins: [react()],
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    // A dashboard without inline scripts or styles needs no exception from its content policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: [page('index.html'), page('dashboard.html')] },
  },
});
