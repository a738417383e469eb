import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isLoopbackHost, isLoopbackOrigin } from './loopback.js';
import type { NodeKeeper } from './node-keeper.js';

/**
 * Serves the page and what it needs of the primary: `GET /nodes` streams the state of the nodes
 * (server-sent events), `POST /nodes/<name>/kill` and `/start` do what they say.
 */

export interface PageServer {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Ends the streams. */
  readonly close: () => void;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy':
    "default-src 'self'; connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*; img-src 'self' data:",
};

/** @throws when the page has not been built. */
export function handlePage(keeper: NodeKeeper): PageServer {
  const files = readPage();
  const streams = new Set<ServerResponse>();
  const state = (): string => `data: ${JSON.stringify(keeper.nodes)}\n\n`;
  const unwatch = keeper.watch(() => {
    for (const stream of streams) stream.write(state());
  });

  const stream = (response: ServerResponse): void => {
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' });
    response.write(state());
    streams.add(response);
    response.once('close', () => streams.delete(response));
  };

  const command = (name: string, verb: string, response: ServerResponse): void => {
    if (verb === 'kill') keeper.kill(name);
    // The keeper reports a failed start itself, and the node stays down.
    else keeper.startNode(name).catch(() => {});
    response.writeHead(202, HEADERS).end();
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (!isLoopbackHost(host) || !isLoopbackOrigin(request.headers.origin)) {
      response.writeHead(403, HEADERS).end('this page is for this machine only\n');
      return;
    }
    const [, name, verb] = /^\/nodes\/([^/]+)\/(kill|start)$/.exec(path) ?? [];
    if (name !== undefined && verb !== undefined && keeper.has(name)) {
      if (request.method === 'POST') command(name, verb, response);
      else response.writeHead(405, { ...HEADERS, Allow: 'POST' }).end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { ...HEADERS, Allow: 'GET, HEAD' }).end();
      return;
    }
    if (path === '/nodes') {
      stream(response);
      return;
    }
    const file = files.get(path === '/' ? '/index.html' : path);
    if (file === undefined) {
      response.writeHead(404, HEADERS).end('there is nothing here\n');
      return;
    }
    response.writeHead(200, { ...HEADERS, 'Content-Type': file.type });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  };

  return {
    handle,
    close: () => {
      unwatch();
      for (const response of streams) response.end();
    },
  };
}

/** The built page, whole in memory: it is small, and nothing but these files can be asked for. */
function readPage(): Map<string, { readonly type: string; readonly body: Buffer }> {
  const folder = fileURLToPath(new URL('../web/', import.meta.url));
  const files = new Map<string, { type: string; body: Buffer }>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = '/' + relative(folder, file).split(sep).join('/');
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    files.set(path, { type, body: readFileSync(file) });
  }
  if (!files.has('/index.html')) throw new Error('no index.html');
  return files;
}
