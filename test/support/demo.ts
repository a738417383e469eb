import { fileURLToPath } from 'node:url';
import { NodeProcess } from './process.js';
import { waitFor } from './wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A node as the demo tells the page. */
export interface DemoNode {
  readonly name: string;
  readonly state: 'starting' | 'up' | 'paused' | 'down';
  readonly url?: string;
  readonly pid?: number;
}

/** A `rollcall demo` in a process of its own. */
export class DemoProcess extends NodeProcess {
  url = '';

  static spawn(args: readonly string[]): DemoProcess {
    return new DemoProcess(MAIN, ['demo', ...args]);
  }

  /** Starts it on a free port and waits until it has printed its address. */
  static async start(args: readonly string[] = []): Promise<DemoProcess> {
    const demo = DemoProcess.spawn(['--port', '0', ...args]);
    await waitFor(
      () => demo.stdout.includes('Ctrl-C') || demo.hasExited,
      () => `the demo to print its address; it printed: ${demo.stdout}${demo.stderr}`,
    );
    const found = /open\s+(http:\/\/\S+)/.exec(demo.stdout);
    if (found === null) throw new Error(`the demo gave no address: ${demo.stdout}${demo.stderr}`);
    demo.url = found[1] as string;
    return demo;
  }

  /** The nodes as the page is told of them. */
  async nodes(): Promise<readonly DemoNode[]> {
    const stop = new AbortController();
    try {
      const { body } = await fetch(`${this.url}/nodes`, { signal: stop.signal });
      let text = '';
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
        text += new TextDecoder().decode(chunk);
        const line = /^data: (.*)\n\n/.exec(text)?.[1];
        if (line !== undefined) return JSON.parse(line) as DemoNode[];
      }
      throw new Error('the stream of the nodes ended');
    } finally {
      stop.abort();
    }
  }

  async command(
    name: string,
    verb: 'kill' | 'start' | 'pause' | 'resume' | 'cut' | 'heal',
  ): Promise<void> {
    await fetch(`${this.url}/nodes/${name}/${verb}`, { method: 'POST' });
  }
}
