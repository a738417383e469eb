import type { Eviction, UserExplanation } from '../../../src/core/index.js';

/** What operators ask of a node: an answer, or why there is none. */
export interface Operator {
  readonly explain: (userId: string) => Promise<UserExplanation | string>;
  /** Ends a user, or one device, on every node. Undefined where the page may only show. */
  readonly evict?: ((userId: string, deviceId?: string) => Promise<Eviction | string>) | undefined;
}

/** A node that hangs takes the question and says nothing. One that runs has asked the others long before. */
export const ANSWER_MS = 5000;

/** Asks by HTTP, and gives the body of the answer, or its error in words. */
export async function askNode<T extends object>(
  path: string,
  request: RequestInit = {},
): Promise<T | string> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await fetch(path, { ...request, signal });
    const body = (await response.json()) as T & { error?: { message: string } };
    return body.error === undefined ? body : body.error.message;
  } catch {
    return 'The node that serves this page cannot be reached.';
  }
}

/** The path of an eviction, below where users are. */
export function evictionPath(userId: string, deviceId?: string): string {
  const device = deviceId === undefined ? '' : `?deviceId=${encodeURIComponent(deviceId)}`;
  return `${encodeURIComponent(userId)}${device}`;
}
