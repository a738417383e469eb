import type { DeviceExplanation, Eviction, UserExplanation } from '../server/index.js';
import { callApi, type ApiOptions } from './api-client.js';

/** Why is a user online, and ending one: what an operator asks the cluster, in words. */

export async function explain(userId: string, options: ApiOptions): Promise<void> {
  const path = `/api/users/${encodeURIComponent(userId)}/explain`;
  const explanation = await callApi<UserExplanation>(options, path);
  process.stdout.write(`${describe(explanation)}\n`);
}

export interface EvictOptions extends ApiOptions {
  readonly device?: string;
  readonly community?: string;
  readonly reason?: string;
}

/** Gives the exit code: 1 where a node did not answer. */
export async function evict(userId: string, options: EvictOptions): Promise<number> {
  const query = new URLSearchParams();
  if (options.device !== undefined) query.set('deviceId', options.device);
  if (options.community !== undefined) query.set('communityId', options.community);
  if (options.reason !== undefined) query.set('reason', options.reason);
  const path = `/api/users/${encodeURIComponent(userId)}?${query}`;
  const { devices, sockets, complete, silentNodes } = await callApi<Eviction>(
    options,
    path,
    'DELETE',
  );
  const lines = devices.map(
    ({ communityId, deviceId, nodeId }) =>
      `ended: device ${deviceId} in ${communityId}, on node ${nodeId}`,
  );
  const away = options.community === undefined ? 'disconnected' : `taken out of the community`;
  lines.push(
    devices.length === 0 && sockets === 0
      ? `nothing of ${userId} was there`
      : `${count(sockets, 'socket')} ${away}`,
  );
  if (!complete) {
    lines.push(
      silentNodes.length === 0
        ? 'the node is cut off from the others: try again when it is not'
        : `not answered: ${silentNodes.join(', ')}; what they hold ends when they are taken for dead and the linger is over`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return complete ? 0 : 1;
}

function describe({ userId, devices, nodes, complete }: UserExplanation): string {
  const seen = devices.filter(({ isSeen }) => isSeen);
  const communities = [...new Set(seen.map(({ communityId }) => communityId))];
  const lines = [
    seen.length === 0
      ? `${userId} is not online to others.`
      : `${userId} is online in ${communities.join(', ')}.`,
    ...devices.flatMap(describeDevice),
  ];
  const silent = nodes.filter(({ hasAnswered, state }) => !hasAnswered && state !== 'down');
  for (const { nodeId, nodeName, lastHeardMs } of silent) {
    lines.push('', `node ${nodeName ?? nodeId} did not answer, last heard ${ago(lastHeardMs)}`);
  }
  if (!complete) lines.push('', 'This may not be all: not every node has answered.');
  return lines.join('\n');
}

function describeDevice(device: DeviceExplanation): string[] {
  const { communityId, deviceId, nodeId, nodeName, nodeState, source } = device;
  const { status, isHidden, isSeen, sockets, onlineSince, connectedAt, provenMs } = device;
  const state = nodeState === 'self' ? 'answering' : nodeState;
  const known = source === 'owner' ? 'its node says so' : 'from a copy; its node did not say so';
  const since = connectedAt === 0 ? [] : [`  since      ${time(connectedAt)}`];
  if (onlineSince !== 0 && onlineSince !== connectedAt) {
    since.push(`  user since ${time(onlineSince)}`);
  }
  return [
    '',
    `device ${deviceId} in ${communityId}: ${isSeen ? 'seen by others' : 'not seen by others'}`,
    `  node       ${nodeName ?? nodeId} (${nodeName === null ? '' : `${nodeId}, `}${state})`,
    `  status     ${status}${isHidden ? ', the user is invisible' : ''}`,
    ...since,
    `  sockets    ${source === 'owner' ? sockets : 'unknown'}, last sign of life ${ago(provenMs)}`,
    `  known      ${known}`,
    `  ends when  ${device.endsWhen}`,
  ];
}

function time(at: number): string {
  return new Date(at).toISOString();
}

function ago(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s ago`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
