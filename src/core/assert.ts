/** Thrown when the core finds itself in a state that its design rules out. Always a defect of rollcall. */
export class InvariantError extends Error {
  readonly code = 'INVARIANT';
  override readonly name = 'InvariantError';
}

/** Cheap checks stay on in production: a wrong roster is worse than a counted error. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Makes a switch exhaustive: a missing case does not compile. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected ${String(value)}`);
}
