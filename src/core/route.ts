import type { Message } from './wire.js';

/**
 * Which nodes a message is for: all, one of them, or those that take part in a shard. A medium may
 * deliver it to more: every node drops what is not for it.
 */
export type Route = 'all' | { readonly nodeId: string } | { readonly shard: number };

/** Messages that others answer, or answer by what they send from then on. */
const ASKING: ReadonlySet<Message['kind']> = new Set([
  'hello',
  'pull',
  'ask',
  'call',
  'inspect',
  'survey',
  'evict',
]);

/** Whether who sends this must be able to hear before it goes out. */
export function asks({ kind }: Message): boolean {
  return ASKING.has(kind);
}

/** Where a message goes that says itself for whom it is. */
export function routeOf(message: Message): Route {
  return 'to' in message && message.to !== undefined ? { nodeId: message.to } : 'all';
}

export function keyOf(route: Route): string {
  if (route === 'all') return route;
  return 'shard' in route ? `shard ${route.shard}` : `node ${route.nodeId}`;
}
