import type {
  IndexedNode,
  Known,
  Publication,
  StoreCommand,
  StoreOutcome,
} from '../../../src/strategy/index.js';
import type { Engines, SimNode } from './engines.js';

interface SimCommunity {
  epoch: string;
  version: number;
  mark: string;
  readonly entries: Map<
    string,
    { nodeId: string; userId: string; entry: string; isVisible: boolean }
  >;
  /** When each node's lease ends. */
  readonly nodes: Map<string, number>;
  readonly watchers: Set<SimNode>;
}

const NOTHING = { epoch: '', version: 0, mark: '' };

/** The index as the Lua scripts keep it, in virtual time, with faults: away, emptied, cut off, too late. */
export class SimIndex {
  isAway = false;
  /** Share of commands that are done but not answered in time. */
  lateness = 0;
  /** How long a command takes at most, on the way to the index and back. */
  latencyMs = 5;
  /** How much longer a renewal may take: it is of many commands, and others are answered in between. */
  renewalMs = 0;
  #names = 0;
  readonly #engines: Engines;
  readonly #communities = new Map<string, SimCommunity>();
  readonly #lastCommand = new Map<SimNode, number>();
  readonly #lastMail = new Map<SimNode, number>();

  constructor(engines: Engines) {
    this.#engines = engines;
    engines.onStore = (node, id, command) => this.#perform(node, id, command);
  }

  /** What it holds now, for `fallBack`. */
  copy(): Map<string, SimCommunity> {
    const copies = new Map<string, SimCommunity>();
    for (const [id, community] of this.#communities) {
      const { entries, nodes } = community;
      copies.set(id, { ...community, entries: new Map(entries), nodes: new Map(nodes) });
    }
    return copies;
  }

  /** A copy from before takes its place, and nobody is told: what was written since is lost. */
  fallBack(copies: ReadonlyMap<string, SimCommunity>): void {
    for (const [id, { watchers }] of this.#communities) {
      const copy = copies.get(id);
      if (copy === undefined) {
        this.#communities.set(id, { ...NOTHING, entries: new Map(), nodes: new Map(), watchers });
        continue;
      }
      const { entries, nodes } = copy;
      this.#communities.set(id, {
        ...copy,
        entries: new Map(entries),
        nodes: new Map(nodes),
        watchers,
      });
    }
  }

  /** It starts again with nothing. */
  empty(): void {
    this.#communities.clear();
  }

  /** A node loses its connections, and what is published meanwhile. */
  cut(node: SimNode): void {
    for (const community of this.#communities.values()) community.watchers.delete(node);
    this.#engines.input(node, (t) => engineOf(node).connected(false, t));
    this.#engines.after(300, node, (t) => engineOf(node).connected(true, t));
  }

  #perform(node: SimNode, id: number, command: StoreCommand): void {
    const { random } = this.#engines;
    // One connection asks in order.
    const { now } = this.#engines;
    const at = Math.max(now + random() * this.latencyMs, this.#lastCommand.get(node) ?? 0);
    this.#lastCommand.set(node, at);
    this.#engines.after(at - now, node, () => {
      const outcome: StoreOutcome = this.isAway ? { kind: 'failed' } : this.#do(node, command);
      const isLate = random() < this.lateness;
      const answer = (t: { now: number; wall: number }): void =>
        engineOf(node).stored(id, isLate ? { kind: 'failed' } : outcome, t);
      if (command.kind === 'renew' && this.renewalMs > 0) {
        this.#engines.after(random() * this.renewalMs, node, answer);
        return;
      }
      // One connection answers and publishes in order.
      this.#mail(node, isLate ? 2000 : random() * this.latencyMs, answer);
    });
  }

  #mail(node: SimNode, delayMs: number, give: (t: { now: number; wall: number }) => void): void {
    const at = Math.max(this.#engines.now + delayMs, this.#lastMail.get(node) ?? 0);
    if (delayMs < 1000) this.#lastMail.set(node, at);
    this.#engines.after(at - this.#engines.now, node, give);
  }

  #community(id: string): SimCommunity {
    let community = this.#communities.get(id);
    if (community === undefined) {
      community = { ...NOTHING, entries: new Map(), nodes: new Map(), watchers: new Set() };
      this.#communities.set(id, community);
    }
    return community;
  }

  #do(node: SimNode, command: StoreCommand): StoreOutcome {
    const { now } = this.#engines;
    const { nodeId } = node.engine;
    switch (command.kind) {
      case 'watch':
        this.#community(command.communityId).watchers.add(node);
        return { kind: 'done' };
      case 'unwatch':
        this.#community(command.communityId).watchers.delete(node);
        return { kind: 'done' };
      case 'read': {
        const { epoch, version, mark, entries, nodes } = this.#community(command.communityId);
        const counts = ({ nodeId }: { nodeId: string }): boolean =>
          (nodes.get(nodeId) ?? 0) > now - command.lateMs;
        const all = [...entries.values()];
        const counted = all.filter(counts);
        const orphans = all.filter((entry) => !counts(entry));
        const contents = { epoch, version, mark, nodes: nodes.size, entries: counted, orphans };
        return { kind: 'contents', contents };
      }
      case 'write': {
        const community = this.#community(command.communityId);
        if (!community.nodes.has(nodeId) && !command.claim) return { kind: 'refused' };
        community.nodes.set(nodeId, now + command.leaseMs);
        if (isLost(community, command.known)) community.epoch = this.#newName();
        return this.#change(community, command.communityId, nodeId, nodeId, command.changes);
      }
      case 'sweep': {
        const community = this.#community(command.communityId);
        const isLiving = (community.nodes.get(command.nodeId) ?? 0) > now;
        if (isLiving && !command.hasLeft) return { kind: 'refused' };
        const there = command.changes.filter(({ userId, deviceId }) =>
          community.entries.has(`${command.nodeId} ${userId} ${deviceId}`),
        );
        if (command.isAll) community.nodes.delete(command.nodeId);
        return this.#change(community, command.communityId, command.nodeId, '', there);
      }
      case 'renew':
        return {
          kind: 'renewed',
          renewals: command.communities.map(({ communityId, known }) => {
            const community = this.#community(communityId);
            if (isLost(community, known)) community.epoch = this.#newName();
            const { epoch, version, nodes } = community;
            const isHeld = nodes.has(nodeId);
            if (isHeld) nodes.set(nodeId, now + command.leaseMs);
            const living = [...nodes].filter(([, end]) => end > now).map(([id]) => id);
            return { communityId, epoch, version, isHeld, living };
          }),
        };
      case 'retire':
        for (const id of command.communityIds) {
          const { nodes } = this.#community(id);
          if (nodes.has(nodeId)) nodes.set(nodeId, now + command.afterMs);
        }
        return { kind: 'done' };
      case 'seen':
        return { kind: 'done' };
    }
  }

  #newName(): string {
    return `name${this.#names++}`;
  }

  #change(
    community: SimCommunity,
    communityId: string,
    nodeId: string,
    author: string,
    changes: Extract<StoreCommand, { kind: 'write' }>['changes'],
  ): StoreOutcome {
    if (community.epoch === '') community.epoch = this.#newName();
    const first = community.version + 1;
    for (const { userId, deviceId, entry, isVisible } of changes) {
      const field = `${nodeId} ${userId} ${deviceId}`;
      if (entry === null) community.entries.delete(field);
      else community.entries.set(field, { nodeId, userId, entry, isVisible });
      community.version++;
    }
    const { epoch, version, mark: previous } = community;
    if (changes.length > 0) {
      community.mark = this.#newName();
      const publication: Publication = {
        epoch,
        version: first,
        author,
        previous,
        mark: community.mark,
        changes: changes.map(({ op }) => ({ nodeId, op })),
      };
      for (const watcher of community.watchers) {
        this.#mail(watcher, this.#engines.random() * 5, (t) =>
          engineOf(watcher).published(communityId, publication, t),
        );
      }
    }
    return { kind: 'changed', standing: { epoch, version }, offline: [] };
  }
}

function isLost({ epoch, version, mark }: SimCommunity, known: Known): boolean {
  if (epoch === '' || epoch !== known.epoch) return false;
  return version < known.version || (version === known.version && mark !== known.mark);
}

function engineOf(node: SimNode): IndexedNode {
  return node.engine as IndexedNode;
}
