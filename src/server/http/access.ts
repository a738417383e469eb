import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Who may ask: whoever has the bearer key, everybody (`open`), or nobody. */
export type Access = { readonly key: string } | 'open' | 'closed';

/** Whether the request carries the key; keys are compared in constant time. */
export function hasKey(request: IncomingMessage, key: string): boolean {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(key));
}
