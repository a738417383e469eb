import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Effect, Instant, PresenceNode } from '../core/index.js';
import { RecordingError, replay, type Step } from '../strategy/index.js';
import { FaultError } from './errors.js';

export interface ReplayOptions {
  /** Seconds since the start of the recording: stops there and shows what the node believed. */
  readonly until?: number;
  /** Shows messages and ticks, too. */
  readonly verbose?: boolean;
}

/** Steps a node through what `rollcall serve --record` wrote and tells what it believed. */
export async function replayFile(file: string, options: ReplayOptions): Promise<void> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  let first: Instant | undefined;
  let last: Instant | undefined;
  let node: PresenceNode | undefined;
  let steps = 0;
  try {
    for await (const step of replay(lines)) {
      const { at } = step;
      first ??= at;
      if (at !== undefined && first !== undefined) {
        if (options.until !== undefined && at.now - first.now > options.until * 1000) break;
        last = at;
      }
      node = step.node;
      steps++;
      tell(step, seconds(first, last), options.verbose === true);
    }
  } catch (error) {
    if (error instanceof RecordingError) {
      throw new FaultError(`${file} cannot be replayed: ${error.message}`);
    }
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new FaultError(code === 'ENOENT' ? `there is no file ${file}` : message);
  }
  if (node === undefined || last === undefined) return;
  print(
    `\nafter ${steps} steps, at ${seconds(first, last)} s (${new Date(last.wall).toISOString()}):`,
  );
  believe(node, last.now);
}

function seconds(first: Instant | undefined, at: Instant | undefined): string {
  return (((at?.now ?? 0) - (first?.now ?? 0)) / 1000).toFixed(3);
}

function tell({ input, args, effects }: Step, at: string, verbose: boolean): void {
  const line = describeInput(input, args, verbose);
  if (line !== undefined) print(`${at.padStart(10)} s  ▸ ${line}`);
  for (const effect of effects) {
    const text = describeEffect(effect, verbose);
    if (text !== undefined) print(`${at.padStart(10)} s    ${text}`);
  }
}

function describeInput(
  input: string,
  args: readonly unknown[],
  verbose: boolean,
): string | undefined {
  switch (input) {
    case 'tick':
      return undefined;
    case 'receive':
      return verbose ? `receives ${String(args[0]).slice(0, 160)}` : undefined;
    case 'probed':
      return args[1] === true && !verbose
        ? undefined
        : `probe ${args[1] === true ? 'ok' : 'failed'}`;
    case 'strained':
      return 'the event loop lags';
    default:
      return `${input} ${args
        .slice(0, -1)
        .map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg)))
        .join(' ')}`;
  }
}

function describeEffect(effect: Effect, verbose: boolean): string | undefined {
  switch (effect.kind) {
    case 'event': {
      const { type, userId, communityId } = effect.event;
      const reason = 'reason' in effect.event ? ` (${effect.event.reason})` : '';
      return `tells ${effect.audience}: ${type} ${userId} in ${communityId}${reason}`;
    }
    case 'list':
      return `lists ${effect.communityId} to ${effect.to.length} socket(s)`;
    case 'nodeUp':
      return `node ${effect.nodeId} is up`;
    case 'nodeDown':
      return `node ${effect.nodeId} is down (${effect.reason})`;
    case 'degraded':
      return effect.degraded ? 'cut off from the medium' : 'the medium is back';
    case 'ready':
      return `ready${effect.complete ? '' : ', not complete'}`;
    case 'strategyConflict':
      return `node ${effect.nodeId} keeps presence elsewhere`;
    case 'nameConflict':
      return `two living nodes are named ${effect.nodeName}`;
    case 'send':
      return verbose ? `sends ${effect.data.slice(0, 160)}` : undefined;
    default:
      return undefined;
  }
}

/** What the node believed at the end. */
function believe(node: PresenceNode, now: number): void {
  for (const { nodeId, nodeName, state, entries, lastHeardMs } of node.nodes(now)) {
    const name = nodeName === undefined ? '' : ` (${nodeName})`;
    const heard = state === 'self' ? '' : `, heard ${Math.round(lastHeardMs)} ms ago`;
    print(`  node ${nodeId}${name}: ${state}, ${entries} entries${heard}`);
  }
  const { health, lagMs, shards } = node.gauges(now);
  const medium = node.isDegraded ? 'cut off' : 'reachable';
  print(`  medium ${medium}, health ${health}, lag ${Math.round(lagMs)} ms, ${shards} shards`);
  for (const { id, sockets } of node.inspect().view.communities) {
    const users = node.onlineUsers(id).map(({ userId, devices }) => `${userId}×${devices.length}`);
    const complete = node.info(id).complete ? 'complete' : 'not complete';
    print(
      `  ${id}: ${users.length} online, ${complete}, ${sockets.size} sockets here: ${users.join(' ')}`,
    );
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
