/** What an error is about, for programs. The message says it for people. */
export type PresenceErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_OPTION'
  | 'LIMIT_EXCEEDED'
  | 'NOT_AUTHORIZED'
  | 'NOT_IDENTIFIED'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE';

/** What rollcall throws, and refuses clients with: the code is for programs, the message for people. */
export class PresenceError extends Error {
  override readonly name = 'PresenceError';
  readonly code: PresenceErrorCode;

  constructor(code: PresenceErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** How an error is told to a client. Unexpected ones keep their details to the log. */
export function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof PresenceError) return { code: error.code, message: error.message };
  return { code: 'UNAVAILABLE', message: 'the server could not do this; its log says why' };
}
