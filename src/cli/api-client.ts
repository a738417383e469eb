import { InvalidArgumentError } from 'commander';
import { FaultError } from './errors.js';

/** Where the HTTP API of a node is, and the key to it. */
export interface ApiOptions {
  readonly url: string;
  readonly apiKey?: string;
}

const TIMEOUT_MS = 10_000;

/** Asks a node's HTTP API. Throws a FaultError that says what is wrong and what to do. */
export async function callApi<T>(
  { url, apiKey }: ApiOptions,
  path: string,
  method: 'GET' | 'DELETE' = 'GET',
): Promise<T> {
  let response: Response;
  let body: { readonly error?: { readonly message?: string } };
  try {
    response = await fetch(new URL(path.replace(/^\//, ''), url.replace(/\/*$/, '/')), {
      method,
      headers: apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    body = JSON.parse(text) as typeof body;
  } catch (error) {
    const { name, message, cause } = error as Error & { cause?: { code?: string } };
    if (name === 'SyntaxError') {
      throw new FaultError(`${url} answers, but not as rollcall does; check --url`);
    }
    const why = name === 'TimeoutError' ? 'no answer in time' : (cause?.code ?? message);
    throw new FaultError(`no node of rollcall can be reached at ${url} (${why})`);
  }
  if (response.status === 401) {
    const what = apiKey === undefined ? 'needs --api-key' : 'does not accept this --api-key';
    throw new FaultError(`the node at ${url} ${what}`);
  }
  if (!response.ok) {
    throw new FaultError(body.error?.message ?? `the node answered with ${response.status}`);
  }
  return body as T;
}

export function httpUrl(value: string): string {
  try {
    const { protocol, href } = new URL(value);
    if (protocol === 'http:' || protocol === 'https:') return href;
  } catch {
    // Falls through.
  }
  throw new InvalidArgumentError('It must be a URL such as http://127.0.0.1:3001.');
}
