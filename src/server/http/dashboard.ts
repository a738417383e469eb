import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Presence } from '../presence.js';
import { checkAccess, hasKey, type Access } from './access.js';
import { PresenceError } from '../errors.js';
import { evictByUrl, failureOf } from './api.js';
import { failure, refuseMethod, sendJson, sendLater, type Answer } from './json.js';
import { readPage } from './page-files.js';

/**
 * The live view of the cluster as a request handler: without cookies, behind a key, and read-only
 * unless the application lets it end users.
 */

/** Who may see the dashboard, and where it is. */
export interface DashboardOptions {
  /** Who may see it: a bearer key, which the page asks for, or everybody (`open`). */
  readonly access: Exclude<Access, 'closed'>;
  /** Where it is. Default `/dashboard`. */
  readonly path?: string;
  /**
   * Whoever may see it may also evict users and devices. With `access: 'open'` only its own page may,
   * by the browser's word. Default false: it only shows.
   */
  readonly canEvict?: boolean;
}

/**
 * Answers what is below the dashboard's path. Gives false for any other request, which it leaves
 * alone, or calls `next` where that is given, as frameworks do.
 */
export type Dashboard = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: () => void,
) => boolean;

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

export function createDashboard(
  presence: Pick<Presence, 'fetchReports' | 'explain' | 'evict'>,
  options: DashboardOptions,
): Dashboard {
  const { access, path = '/dashboard', canEvict = false } = options;
  if (!/^(\/[\w.-]+)+$/.test(path)) {
    throw new PresenceError(
      'INVALID_OPTION',
      'path must be like /dashboard, without a slash at the end',
    );
  }
  checkAccess(access, ['open']);
  const files = readFiles();

  const read = async (below: string): Promise<Answer> => {
    try {
      const body =
        below === '/cluster'
          ? { ...(await presence.fetchReports()), canEvict }
          : await presence.explain(decodeURIComponent(below.slice('/explain/'.length)));
      return { status: 200, body };
    } catch (error) {
      return failureOf(error);
    }
  };

  const end = async (request: IncomingMessage): Promise<Answer> => {
    const refusal = refuseEviction(request, access);
    return refusal ?? evictByUrl(presence, request.url ?? '', `${path}/users/`);
  };

  const answer = (below: string, request: IncomingMessage, response: ServerResponse): void => {
    const isEviction = canEvict && /^\/users\/[^/]+$/.test(below);
    if (isEviction && request.method === 'DELETE') {
      void sendLater(response, end(request));
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      refuseMethod(response, isEviction ? ['DELETE'] : ['GET', 'HEAD']);
    } else if (below === '') {
      // The page names its files relative to the folder.
      response.writeHead(308, {
        ...HEADERS,
        Location: `${path.slice(path.lastIndexOf('/') + 1)}/`,
      });
      response.end();
    } else if (below === '/cluster' || below.startsWith('/explain/')) {
      if (access !== 'open' && !hasKey(request, access.key)) {
        sendJson(response, failure(401, 'UNAUTHORIZED', 'the API key is missing or wrong'));
        return;
      }
      void sendLater(response, read(below));
    } else {
      const file = files.get(below === '/' ? '/dashboard.html' : below);
      if (file === undefined) {
        sendJson(response, failure(404, 'NOT_FOUND', 'there is nothing here'));
        return;
      }
      response.writeHead(200, { ...HEADERS, 'Content-Type': file.type });
      response.end(request.method === 'HEAD' ? undefined : file.body);
    }
  };

  return (request, response, next) => {
    const asked = (request.url ?? '/').split('?', 1)[0] as string;
    if (asked !== path && !asked.startsWith(`${path}/`)) {
      next?.();
      return false;
    }
    answer(asked.slice(path.length), request, response);
    return true;
  };
}

/** Without a key it is only the page itself that may: other pages could reach this machine, too. */
function refuseEviction(
  request: IncomingMessage,
  access: DashboardOptions['access'],
): Answer | undefined {
  if (access !== 'open') {
    if (hasKey(request, access.key)) return undefined;
    return failure(401, 'UNAUTHORIZED', 'the API key is missing or wrong');
  }
  if (request.headers['sec-fetch-site'] === 'same-origin') return undefined;
  return failure(403, 'FORBIDDEN', 'without an API key only the dashboard may end users');
}

function readFiles(): ReturnType<typeof readPage> {
  try {
    return readPage();
  } catch {
    throw new PresenceError(
      'UNAVAILABLE',
      'the pages of the dashboard are not beside its code: where the server is bundled, keep rollcall out of ' +
        'the bundle (an external package); in a clone of rollcall, run "npm run build"',
    );
  }
}
