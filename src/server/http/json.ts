import type { ServerResponse } from 'node:http';

/** What an HTTP request is answered with. */
export interface Answer {
  readonly status: number;
  readonly body: object;
}

/** Answers with JSON that nobody may cache. */
export function sendJson(response: ServerResponse, { status, body }: Answer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}

/** Whether the application has answered meanwhile, by a time-out of its own say, or the client is gone. */
export function isAnswered(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed;
}

/** Answers what takes time, unless that came too late. */
export async function sendLater(
  response: ServerResponse,
  answer: Answer | Promise<Answer>,
): Promise<void> {
  const given = await answer;
  if (!isAnswered(response)) sendJson(response, given);
}

/** An error as the HTTP API answers it: `{ error: { code, message } }`. */
export function failure(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code, message } } };
}

/** Answers that only these methods are allowed. */
export function refuseMethod(response: ServerResponse, allowed: readonly string[]): void {
  const methods = allowed.join(', ');
  response.setHeader('Allow', methods);
  sendJson(response, failure(405, 'METHOD_NOT_ALLOWED', `allowed here: ${methods}`));
}
