/** The command line was wrong: one sentence, exit code 2. */
export class UsageError extends Error {
  readonly exitCode = 2;
}

/** Something outside failed: one sentence, exit code 1. */
export class FaultError extends Error {
  readonly exitCode = 1;
}
