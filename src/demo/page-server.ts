import type { IncomingMessage, ServerResponse } from 'node:http';
import { readPage } from '../server/http/page-files.js';
import type { Crowd, CrowdState } from './crowd.js';
import { isLoopbackHost, isLoopbackOrigin } from './loopback.js';
import type { NodeKeeper } from './node-keeper.js';

/**
 * Serves the page and what it needs of the primary: `GET /nodes` streams the state of the nodes, and
 * as `live` events what they report (server-sent events). `POST /nodes/<name>/<verb>` and
 * `POST /crowd/<verb>` do what they say; `POST /strategy/<name>` restarts the nodes with it.
 * `GET /users/<id>/explain` and `DELETE /users/<id>` are asked of a node that is well.
 */

export interface PageSource {
  readonly keeper: NodeKeeper;
  readonly crowd: Crowd;
  readonly crowdState: () => CrowdState;
}

export interface PageServer {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Ends the streams. */
  readonly close: () => void;
}

const LIVE_MS = 500;
/** How long a node may take to answer for the others. */
const ASK_MS = 10_000;
/** How many come, and how many in a second. */
const CROWD = { add: [1000, 1000], storm: [300, 6000] } as const;

type NodeVerb = 'kill' | 'start' | 'pause' | 'resume' | 'cut' | 'heal';

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy':
    "default-src 'self'; connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*; img-src 'self' data:",
};

/** @throws when the page has not been built. */
export function handlePage({ keeper, crowd, crowdState }: PageSource): PageServer {
  const files = readPage();
  const streams = new Set<ServerResponse>();
  const state = (): string => `data: ${JSON.stringify(keeper.nodes)}\n\n`;
  const live = (): string => {
    const now = performance.now();
    const reports = keeper.reports.map(({ at, ...kept }) => ({ ...kept, ageMs: now - at }));
    return `event: live\ndata: ${JSON.stringify({
      reports,
      crowd: crowdState(),
      strategy: keeper.strategy,
    })}\n\n`;
  };
  const unwatch = keeper.watch(() => {
    for (const stream of streams) stream.write(state());
  });
  const ticker = setInterval(() => {
    if (streams.size === 0) return;
    const text = live();
    for (const stream of streams) stream.write(text);
  }, LIVE_MS);

  const stream = (response: ServerResponse): void => {
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' });
    response.write(state());
    streams.add(response);
    response.once('close', () => streams.delete(response));
  };

  const command = (name: string, verb: NodeVerb): void => {
    switch (verb) {
      case 'kill':
        return keeper.kill(name);
      case 'start':
        // The keeper reports a failed start itself, and the node stays down.
        return void keeper.startNode(name).catch(() => {});
      case 'pause':
      case 'resume':
        return keeper.pause(name, verb === 'pause');
      case 'cut':
      case 'heal':
        return keeper.cutOff(name, verb === 'cut');
    }
  };

  const orderCrowd = (verb: 'add' | 'storm' | 'clear'): void => {
    if (verb === 'clear') return crowd.clear();
    const urls = keeper.nodes.flatMap(({ url }) => url ?? []);
    const [count, perSecond] = CROWD[verb];
    crowd.add(count, perSecond, urls);
  };

  /** What a POST to this path does, or undefined where it does nothing. */
  const actionOf = (path: string): (() => void) | undefined => {
    const [, name, verb] =
      /^\/nodes\/([^/]+)\/(kill|start|pause|resume|cut|heal)$/.exec(path) ?? [];
    if (name !== undefined && keeper.has(name)) return () => command(name, verb as NodeVerb);
    const [, order] = /^\/crowd\/(add|storm|clear)$/.exec(path) ?? [];
    if (order !== undefined) return () => orderCrowd(order as 'add' | 'storm' | 'clear');
    const [, strategy] = /^\/strategy\/([a-z-]+)$/.exec(path) ?? [];
    const choice = keeper.strategy.choices.find((each) => each === strategy);
    if (choice !== undefined) return () => void keeper.setStrategy(choice).catch(() => {});
    return undefined;
  };

  const ask = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const node = keeper.nodes.find(({ state, isCutOff }) => state === 'up' && !isCutOff);
    const given = await fetch(`${node?.url}/api${request.url}`, {
      method: request.method ?? 'GET',
      signal: AbortSignal.timeout(ASK_MS),
    }).then(
      async (answer) => ({ status: answer.status, body: await answer.text() }),
      () => {
        const error = { code: 'UNAVAILABLE', message: 'no node is well enough to answer' };
        return { status: 503, body: JSON.stringify({ error }) };
      },
    );
    response.writeHead(given.status, { ...HEADERS, 'Content-Type': 'application/json' });
    response.end(given.body);
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (!isLoopbackHost(host) || !isLoopbackOrigin(request.headers.origin)) {
      response.writeHead(403, HEADERS).end('this page is for this machine only\n');
      return;
    }
    const action = actionOf(path);
    if (action !== undefined) {
      if (request.method === 'POST') {
        action();
        response.writeHead(202, HEADERS).end();
      } else {
        response.writeHead(405, { ...HEADERS, Allow: 'POST' }).end();
      }
      return;
    }
    const isExplain = request.method === 'GET' && /^\/users\/[^/]+\/explain$/.test(path);
    if (isExplain || (request.method === 'DELETE' && /^\/users\/[^/]+$/.test(path))) {
      void ask(request, response);
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
      clearInterval(ticker);
      unwatch();
      for (const response of streams) response.end();
    },
  };
}
