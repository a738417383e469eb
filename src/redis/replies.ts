import type {
  Contents,
  IndexedEntry,
  Publication,
  Renewal,
  StoreOutcome,
} from '../strategy/index.js';

/** What the scripts answer and publish, read as untrusted input. */

function list(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError('a script answered something else');
  return reply;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

export function readChanged(reply: unknown): StoreOutcome {
  const [done, epoch, version, ...offline] = list(reply);
  if (Number(done) === 0) return { kind: 'refused' };
  const standing = { epoch: text(epoch), version: Number(version) };
  return { kind: 'changed', standing, offline: offline.map(text) };
}

export function readContents(reply: unknown): Contents {
  const [epoch, version, mark, ...rest] = list(reply).map(text);
  const end = rest.indexOf('');
  const counted = new Set(rest.slice(0, end));
  const entries: IndexedEntry[] = [];
  const orphans: IndexedEntry[] = [];
  for (let i = end + 1; i + 1 < rest.length; i += 2) {
    const nodeId = (rest[i] as string).split('\0', 1)[0] as string;
    const found = { nodeId, entry: rest[i + 1] as string };
    (counted.has(nodeId) ? entries : orphans).push(found);
  }
  return {
    epoch: epoch ?? '',
    version: Number(version),
    mark: mark ?? '',
    nodes: counted.size,
    entries,
    orphans,
  };
}

export function readRenewal(communityId: string, reply: unknown): Renewal {
  const [held, epoch, version, ...living] = list(reply).map(text);
  return {
    communityId,
    isHeld: held === '1',
    epoch: epoch ?? '',
    version: Number(version),
    living,
  };
}

/** Undefined where it is not one of ours: anybody may publish on a channel. */
export function readPublication(message: string): Publication | undefined {
  const [head, ...lines] = message.split('\n');
  const match = /^(\S+) (\d+) (\S*) (\S*) (\S+)$/.exec(head ?? '');
  if (match === null) return undefined;
  const changes: { nodeId: string; op: string }[] = [];
  for (const line of lines) {
    const found = /^[-+=] (\S+) (.*)$/s.exec(line);
    if (found === null) return undefined;
    changes.push({ nodeId: found[1] as string, op: found[2] as string });
  }
  return {
    epoch: match[1] as string,
    version: Number(match[2]),
    author: match[3] as string,
    previous: match[4] as string,
    mark: match[5] as string,
    changes,
  };
}
