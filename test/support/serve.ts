import { fileURLToPath } from 'node:url';
import { TestNode } from './node.js';
import { NodeProcess } from './process.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A `rollcall serve` in a process of its own. */
export class ServeProcess extends TestNode {
  readonly process: NodeProcess;

  private constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    super();
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_')),
    );
    this.process = new NodeProcess(MAIN, args, { ...clean, ...env });
  }

  /** Runs `rollcall` with any arguments, without waiting for it to serve. */
  static spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): ServeProcess {
    return new ServeProcess(args, env);
  }

  /** Runs `rollcall serve` on a free port, trusting handshakes, and waits until it serves. */
  static async start(
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<ServeProcess> {
    const auth = args.includes('--auth') ? [] : ['--auth', 'insecure'];
    const port = args.includes('--port') ? [] : ['--port', '0'];
    const started = ServeProcess.spawn(['serve', ...port, ...auth, ...args], env);
    await started.serving();
    return started;
  }

  async serving(): Promise<void> {
    const line = await this.process.firstLine<{ url: string; nodeId: string }>();
    if (this.process.hasExited) throw new Error(`the node ended: ${this.process.stderr}`);
    this.url = line.url;
    this.nodeId = line.nodeId;
  }

  /** What it has logged, line by line. */
  get log(): Record<string, unknown>[] {
    const lines = this.process.stderr.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  signal(name: NodeJS.Signals): void {
    this.process.signal(name);
  }

  stop(signal?: NodeJS.Signals): Promise<number | null> {
    return this.process.stop(signal);
  }
}
