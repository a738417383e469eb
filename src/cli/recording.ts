import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { Logger } from 'pino';
import { FaultError } from './errors.js';

/** A file of what the core is given, one line each. */
export interface Recording {
  readonly write: (line: string) => void;
  readonly close: () => Promise<void>;
}

/** More than this waiting for a slow disk is not kept: the recording ends there. */
const MOST_BUFFERED_BYTES = 64 * 1024 * 1024;

export async function openRecording(path: string, logger: Logger): Promise<Recording> {
  const file = createWriteStream(path, { mode: 0o600 });
  try {
    await once(file, 'open');
  } catch (error) {
    throw new FaultError(`--record: ${path} cannot be written (${(error as Error).message})`);
  }
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    logger.warn({ event: 'recording-ended', path, reason }, 'the recording ends here');
  };
  file.on('error', (error) => end(error.message));
  logger.info({ event: 'recording', path }, 'recording what the core is given; it holds user ids');
  return {
    write: (line) => {
      if (ended) return;
      file.write(`${line}\n`);
      if (file.writableLength > MOST_BUFFERED_BYTES) end('the disk is too slow');
    },
    close: async () => {
      if (file.destroyed) return;
      file.end();
      await once(file, 'close');
    },
  };
}
