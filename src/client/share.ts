/**
 * Gives `old` where `next` says the same, else `next` with every part that is unchanged taken from
 * `old`. What has not changed keeps its identity, so that whoever compares by it does no work. Changes
 * neither: what the server said is given to listeners of the application, too, who may have frozen it.
 */
export function share<T>(old: unknown, next: T): T {
  if (old === next) return next;
  if (!isObject(old) || !isObject(next) || Array.isArray(old) !== Array.isArray(next)) return next;
  const shared = (Array.isArray(next) ? [...next] : { ...next }) as Record<string, unknown>;
  const keys = Object.keys(next);
  let isSame = keys.length === Object.keys(old).length;
  for (const key of keys) {
    const before = old[key];
    const now = share(before, next[key]);
    shared[key] = now;
    if (now !== before) isSame = false;
  }
  return (isSame ? old : shared) as T;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
