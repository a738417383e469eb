import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { handlePage, type PageServer, type PageSource } from './page-server.js';
import { Crowd, EMPTY_CROWD, type CrowdState } from './crowd.js';
import { NodeKeeper } from './node-keeper.js';

/** Something outside the demo is in its way; the message says what, and what to do. */
export class DemoFault extends Error {
  override readonly name = 'DemoFault';
}

export interface DemoOptions {
  /** Port of the page; 0 takes a free one. Default: 3000, or the next that is free. */
  readonly port?: number;
  /** A Redis, which makes two more strategies possible. */
  readonly redis?: string;
  /** Gets a line for everything that happens to a node. */
  readonly log: (line: string) => void;
}

export interface Demo {
  /** Where the page is. */
  readonly url: string;
  /** The nodes, by name, and where each serves. */
  readonly nodes: readonly { readonly name: string; readonly url: string }[];
  /** Ends the nodes and the page; resolves when every process is gone. */
  readonly stop: () => Promise<void>;
}

const HOST = '127.0.0.1';
const FIRST_PORT = 3000;
const LAST_PORT = 3020;

/**
 * Starts three nodes, each a process with a port of its own, joined by Node's cluster module and its
 * Socket.IO adapter, and the page that shows them. This process is the cluster's primary.
 *
 * @throws DemoFault when the port is in use, the page is not built or a node does not start.
 */
export async function startDemo(options: DemoOptions): Promise<Demo> {
  const keeper = new NodeKeeper(['A', 'B', 'C'], options.redis, options.log);
  let crowdState: CrowdState = EMPTY_CROWD;
  const crowd = new Crowd((state) => {
    crowdState = state;
  }, options.log);
  const page = pageServer({ keeper, crowd, crowdState: () => crowdState });
  const http = createServer(page.handle);
  const stop = async (): Promise<void> => {
    page.close();
    crowd.stop();
    http.close();
    http.closeAllConnections();
    await keeper.stop();
  };
  try {
    await listen(http, options.port);
    await keeper.start();
  } catch (error) {
    await stop();
    throw error instanceof DemoFault ? error : new DemoFault((error as Error).message);
  }
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://${HOST}:${port}`,
    nodes: keeper.nodes.map(({ name, url }) => ({ name, url: url ?? '' })),
    stop,
  };
}

function pageServer(source: PageSource): PageServer {
  try {
    return handlePage(source);
  } catch {
    throw new DemoFault('the page has not been built; run "npm run build" first');
  }
}

async function listen(http: Server, port: number | undefined): Promise<void> {
  let candidate = port ?? FIRST_PORT;
  for (;;) {
    try {
      await listenOn(http, candidate);
      return;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const mayTryNext = port === undefined && code === 'EADDRINUSE';
      if (mayTryNext && candidate < LAST_PORT) candidate++;
      else throw new DemoFault(whyNot(mayTryNext ? undefined : candidate, code, message));
    }
  }
}

function listenOn(http: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, HOST, () => {
      http.off('error', reject);
      resolve();
    });
  });
}

function whyNot(port: number | undefined, code: string | undefined, message: string): string {
  if (port === undefined) {
    return `all ports from ${FIRST_PORT} to ${LAST_PORT} are in use; choose one with --port`;
  }
  if (code === 'EADDRINUSE') return `port ${port} is in use; choose another with --port`;
  if (code === 'EACCES') {
    return `port ${port} may not be opened by this user; choose one above 1023 with --port`;
  }
  return `the page could not be served on ${HOST}:${port} (${message})`;
}
