import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { NodeProcess, tied } from './process.js';
import { waitFor } from './wait.js';

/** A server of examples/, run as its first lines say, on a free port. */
export class ExampleServer extends NodeProcess {
  url = '';

  static async start(path: string, env: NodeJS.ProcessEnv = {}): Promise<ExampleServer> {
    const script = fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
    const server = new ExampleServer(script, [], { ...process.env, PORT: '0', ...env });
    await waitFor(
      () => server.stdout.includes('ready ') || server.hasExited,
      () => `${path} to serve; it said: ${server.stdout}${server.stderr}`,
    );
    const found = /^ready (\S+)$/m.exec(server.stdout);
    if (found === null) throw new Error(`${path} does not serve: ${server.stderr}`);
    server.url = found[1] as string;
    return server;
  }
}

/** Compiles an example in TypeScript, as its first lines say. */
export async function compile(folder: string): Promise<void> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const tsc = tied(
    spawn(`${root}node_modules/.bin/tsc`, ['-p', `examples/${folder}`], { cwd: root }),
  );
  let said = '';
  tsc.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(tsc, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`examples/${folder} does not compile: ${said}`);
}

/**
 * Makes one minified file of an example and what it imports, as some do to deploy: classes have other names there.
 * The dashboard is files, so rollcall stays out of it.
 */
export async function bundle(folder: string): Promise<void> {
  await build({
    root: fileURLToPath(new URL(`../../examples/${folder}`, import.meta.url)),
    configFile: false,
    logLevel: 'error',
    ssr: { noExternal: true, external: ['rollcall'] },
    build: { ssr: 'server.mjs', minify: true },
  });
}
