import { fileURLToPath } from 'node:url';
import { NodeProcess } from './process.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A `rollcall serve` in a process of its own. */
export class ServeProcess extends NodeProcess {
  url = '';
  nodeId = '';

  /** Runs `rollcall` with any arguments, without waiting for it to serve. */
  static spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): ServeProcess {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_')),
    );
    return new ServeProcess(MAIN, args, { ...clean, ...env });
  }

  /** Runs `rollcall serve` on a free port, trusting handshakes, and waits until it serves. */
  static async start(args: readonly string[] = []): Promise<ServeProcess> {
    const auth = args.includes('--auth') ? [] : ['--auth', 'insecure'];
    const port = args.includes('--port') ? [] : ['--port', '0'];
    const started = ServeProcess.spawn(['serve', ...port, ...auth, ...args]);
    await started.serving();
    return started;
  }

  async serving(): Promise<void> {
    const line = await this.firstLine<{ url: string; nodeId: string }>();
    if (this.hasExited) throw new Error(`the node ended: ${this.stderr}`);
    this.url = line.url;
    this.nodeId = line.nodeId;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Reads from the HTTP API. */
  async get(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(this.url + path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** The value of a metric without labels, or the sum over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.url + '/metrics')).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) {
        sum += Number(line.slice(line.lastIndexOf(' ') + 1));
      }
    }
    return sum;
  }
}
