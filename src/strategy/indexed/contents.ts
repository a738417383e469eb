import type { Entry, UserPresence } from '../../core/index.js';
import { decodeEntries } from '../../core/entry.js';
import { Owner } from '../../core/roster.js';
import { fold, type OwnedEntry } from '../../core/user-queries.js';
import type { Contents } from './commands.js';

/**
 * Who is online in a community, from what the index has of it. What cannot be read is left out. A node's
 * own entries count as they are, written yet or not.
 */
export function usersIn(
  communityId: string,
  { entries }: Contents,
  own?: { readonly owner: Owner; readonly entries: Iterable<Entry> },
): UserPresence[] {
  const owners = new Map<string, Owner>();
  const owned: OwnedEntry[] = [];
  if (own !== undefined) {
    for (const entry of own.entries) owned.push({ entry, owner: own.owner });
  }
  for (const { nodeId, entry: text } of entries) {
    if (nodeId === own?.owner.nodeId) continue;
    let owner = owners.get(nodeId);
    if (owner === undefined) owners.set(nodeId, (owner = new Owner(nodeId)));
    for (const entry of decodeEntries(`[${text}]`) ?? []) {
      if (entry.communityId === communityId) owned.push({ entry, owner });
    }
  }
  return fold(owned);
}
