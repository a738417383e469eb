import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Presence } from '../presence.js';
import { checkAccess, hasKey, type Access } from './access.js';
import { PresenceError } from '../errors.js';
import { failure, isAnswered, refuseMethod, sendJson, sendLater, type Answer } from './json.js';

/**
 * The HTTP API over a node's presence, as a plain Node request handler: health, metrics, and for
 * whoever holds the API key reads of the cluster and the eviction of users.
 */

/** What `createHttpApi` takes. */
export interface HttpApiOptions {
  /** Who may read `/api`: a bearer key, everybody (`open`), or nobody. */
  readonly access: Access;
  /** Answers 503 at `/healthz` while this is true, so that a load balancer looks elsewhere. */
  readonly isDraining?: () => boolean;
}

/** Answers the requests that are for it; gives false for any other, which it leaves alone. */
export type HttpApi = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Makes the HTTP API: `/healthz` and `/metrics` for everybody, `/api` by `access`. Errors are answered as
 * `{ error: { code, message } }`.
 *
 * @throws PresenceError with code INVALID_OPTION when `access` is not what it should be.
 */
export function createHttpApi(presence: Presence, options: HttpApiOptions): HttpApi {
  checkAccess(options.access, ['open', 'closed']);
  return (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] as string;
    if (
      path !== '/healthz' &&
      path !== '/metrics' &&
      path !== '/api' &&
      !path.startsWith('/api/')
    ) {
      return false;
    }
    const isUser = /^\/api\/users\/[^/]+$/.test(path);
    const isEviction = request.method === 'DELETE' && isUser;
    if (request.method !== 'GET' && request.method !== 'HEAD' && !isEviction) {
      refuseMethod(response, isUser ? ['GET', 'HEAD', 'DELETE'] : ['GET', 'HEAD']);
    } else if (path === '/healthz') {
      sendJson(response, health(presence, options.isDraining?.() === true));
    } else if (path === '/metrics') {
      void sendMetrics(presence, response);
    } else {
      const refusal = refuse(request, options);
      if (refusal !== undefined) {
        response.setHeader('WWW-Authenticate', 'Bearer realm="rollcall"');
        sendJson(response, refusal);
      } else {
        const answer = isEviction
          ? evictByUrl(presence, request.url ?? '', '/api/users/')
          : read(presence, path);
        void sendLater(response, answer);
      }
    }
    return true;
  };
}

function health(presence: Presence, draining: boolean): Answer {
  const ready = presence.isReady() && !draining;
  const status = draining ? 'draining' : ready ? 'ready' : 'starting';
  return {
    status: ready ? 200 : 503,
    body: { status, degraded: presence.isDegraded(), nodeId: presence.nodeId },
  };
}

async function sendMetrics({ metrics }: Presence, response: ServerResponse): Promise<void> {
  try {
    const text = await metrics.metrics();
    if (isAnswered(response)) return;
    response.writeHead(200, { 'Content-Type': metrics.contentType });
    response.end(text);
  } catch {
    // Those of rollcall do not throw, but the application may have added some of its own.
    const message =
      'a metric that the application added could not be read: its collect() failed; the log says why';
    await sendLater(response, failure(500, 'UNAVAILABLE', message));
  }
}

/** Refuses before anything is looked up, and compares keys in constant time. */
function refuse(request: IncomingMessage, { access }: HttpApiOptions): Answer | undefined {
  if (access === 'open') {
    // Without a key, a web page that reaches this machine could end users.
    if (request.method !== 'DELETE' || request.headers.origin === undefined) return undefined;
    return failure(403, 'FORBIDDEN', 'web pages may not change anything without an API key');
  }
  if (access === 'closed') {
    return failure(401, 'UNAUTHORIZED', 'this node has no API key; start it with --api-key');
  }
  if (hasKey(request, access.key)) return undefined;
  return failure(401, 'UNAUTHORIZED', 'send the API key as "Authorization: Bearer <key>"');
}

const EVICT_PARAMETERS = ['deviceId', 'communityId', 'reason'] as const;

/** Ends the user whose id follows `before` in the path, with what it is limited to as query parameters. */
export async function evictByUrl(
  presence: Pick<Presence, 'evict'>,
  url: string,
  before: string,
): Promise<Answer> {
  try {
    // Not by URL, which would make another user of `ada#1`, and nobody of `..`.
    const [path] = url.split('?', 1) as [string];
    const target: { -readonly [K in (typeof EVICT_PARAMETERS)[number]]?: string } = {};
    for (const [name, value] of new URLSearchParams(url.slice(path.length))) {
      const known = EVICT_PARAMETERS.find((each) => each === name);
      if (known === undefined || target[known] !== undefined) {
        const most = EVICT_PARAMETERS.join(', ');
        return failure(400, 'INVALID_ARGUMENT', `the parameters are ${most}, each at most once`);
      }
      target[known] = value;
    }
    const userId = decodeURIComponent(path.slice(before.length));
    return { status: 200, body: await presence.evict({ userId, ...target }) };
  } catch (error) {
    return failureOf(error);
  }
}

async function read(presence: Presence, path: string): Promise<Answer> {
  try {
    const [, , kind, rawId, ...rest] = path.split('/');
    if (kind === 'nodes' && rawId === undefined) {
      const nodes = presence.nodes().map((node) => ({
        nodeId: node.nodeId,
        nodeName: node.nodeName ?? null,
        state: node.state === 'self' ? 'alive' : node.state,
        entries: node.entries,
        lastHeardMs: Math.round(node.lastHeardMs),
      }));
      return { status: 200, body: { nodes } };
    }
    if (kind === 'cluster' && rawId === undefined) {
      return { status: 200, body: await presence.fetchReports() };
    }
    if (kind === 'users' && rawId !== undefined && rest.length === 1 && rest[0] === 'explain') {
      return { status: 200, body: await presence.explain(decodeURIComponent(rawId)) };
    }
    if (rawId !== undefined && rawId !== '' && rest.length === 0) {
      const id = decodeURIComponent(rawId);
      if (kind === 'communities') {
        const { users, info } = await presence.fetchCommunity(id);
        return { status: 200, body: { communityId: id, complete: info.complete, users } };
      }
      if (kind === 'users') {
        const { userId, communities, complete } = await presence.fetchUser(id);
        if (communities.length > 0) return { status: 200, body: { userId, communities } };
        const message = complete
          ? 'this user is not online'
          : 'this user is not online on the nodes that answered; not all did';
        return failure(404, 'NOT_FOUND', message);
      }
    }
    return failure(
      404,
      'NOT_FOUND',
      'there is /api/communities/:id, /api/users/:id, /api/users/:id/explain, /api/nodes and /api/cluster',
    );
  } catch (error) {
    return failureOf(error);
  }
}

/** What went wrong, as the HTTP API says it. */
export function failureOf(error: unknown): Answer {
  if (error instanceof PresenceError) {
    const status = error.code === 'UNAVAILABLE' ? 503 : 400;
    return failure(status, error.code, error.message);
  }
  if (error instanceof URIError) {
    return failure(400, 'INVALID_ARGUMENT', 'the id is not valid percent-encoding');
  }
  return failure(500, 'UNAVAILABLE', 'the node could not answer; its log says why');
}
