import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** The page of `rollcall demo`; run from the project's folder. */
export default defineConfig({
  root: 'web',
  plugins: [react()],
  build: { outDir: '../dist/web', emptyOutDir: true },
});
