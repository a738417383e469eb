import { DemoFault, startDemo } from '../demo/index.js';
import { FaultError } from './errors.js';

/** Runs the demo until it is told to stop. */
export async function demo(options: {
  readonly port?: number;
  readonly redis?: string;
}): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  let running: Awaited<ReturnType<typeof startDemo>>;
  try {
    running = await startDemo({ ...options, log: say });
  } catch (error) {
    if (error instanceof DemoFault) throw new FaultError(error.message);
    throw error;
  }
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await running.stop();
    process.exit(0);
  };
  process.on('SIGINT', () => void stop());
  process.on('SIGTERM', () => void stop());
  say(`rollcall demo: three nodes on this machine, no Redis\n`);
  say(`  open   ${running.url}\n`);
  for (const { name, url } of running.nodes) say(`  node ${name} ${url}`);
  say(`\nCtrl-C ends it.`);
}
