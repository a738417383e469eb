import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { PresenceError } from '../errors.js';

/** Who may ask: whoever has the bearer key, everybody (`open`), or nobody. */
export type Access = { readonly key: string } | 'open' | 'closed';

/**
 * Refuses an access that is none of these words and has no key: an empty one would open everything, and
 * no request could carry the line break that a key has from its file.
 */
export function checkAccess(access: Access, words: readonly string[]): void {
  if (typeof access === 'string' && words.includes(access)) return;
  const key: unknown = typeof access === 'object' ? access?.key : undefined;
  if (typeof key === 'string' && key !== '' && key === key.trim()) return;
  const accepted = [
    '{ key } with a key without white space around it',
    ...words.map((word) => `'${word}'`),
  ];
  throw new PresenceError('INVALID_OPTION', `access must be ${accepted.join(' or ')}`);
}

/** Whether the request carries the key; keys are compared in constant time. */
export function hasKey(request: IncomingMessage, key: string): boolean {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (given === undefined) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(key));
}
