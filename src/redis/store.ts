import { randomBytes } from 'node:crypto';
import type {
  IndexedNode,
  Known,
  Store,
  StoreCommand,
  StoreHost,
  StoreOutcome,
} from '../strategy/index.js';
import type { Keys } from './keys.js';
import { Lane } from './lane.js';
import { RedisLastSeen } from './last-seen.js';
import { answered, type RedisLink } from './link.js';
import { readChanged, readContents, readPublication, readRenewal } from './replies.js';
import { READ, RENEW, RETIRE, SWEEP, WRITE, type Script } from './scripts.js';

/** So long a first connection may take before what was to be done counts as failed. */
const FIRST_CONNECT_MS = 500;
/** So many commands are on their way at once: of more, the last would not be answered in time for the others. */
const MOST_AT_ONCE = 200;
/** Keys of a community that nobody writes or renews go after this many leases, at least after a minute. */
const LEASES_KEPT = 4;
const LEAST_KEPT_MS = 60_000;

/** The index in Redis. Performs one engine's commands; every outcome, failure included, is its input. */
export class RedisStore implements Store {
  readonly #link: RedisLink;
  readonly #keys: Keys;
  readonly #node: IndexedNode;
  readonly #input: StoreHost['input'];
  readonly #onFault: StoreHost['onFault'];
  /** What has failed last and has not worked since. */
  #fault: { readonly kind: StoreCommand['kind']; readonly reason: string } | undefined;
  readonly #seen: RedisLastSeen;
  readonly #name = randomBytes(9).toString('base64url');
  #names = 0;
  readonly #running = new Set<Promise<void>>();
  readonly #lane = new Lane(MOST_AT_ONCE);
  /** Settles with the first connection, where that does not take long. */
  readonly #isBegun: Promise<void>;
  #begin = (): void => {};

  constructor(
    link: RedisLink,
    keys: Keys,
    node: IndexedNode,
    { input, onFault }: StoreHost,
    seenForMs: number | undefined,
  ) {
    this.#link = link;
    this.#keys = keys;
    this.#node = node;
    this.#input = input;
    this.#onFault = onFault;
    this.#seen = new RedisLastSeen(link, keys, seenForMs);
    this.#isBegun = new Promise((resolve) => (this.#begin = resolve));
  }

  start(): void {
    this.#link.start((isReady) => {
      if (isReady) this.#begin();
      this.#input((t) => this.#node.connected(isReady, t));
    });
    if (this.#link.isReady) this.#begin();
    else setTimeout(this.#begin, FIRST_CONNECT_MS).unref();
  }

  perform({ id, command }: { readonly id: number; readonly command: StoreCommand }): void {
    const running = this.#perform(command)
      .catch((error: unknown): StoreOutcome => {
        this.#report(command.kind, error instanceof Error ? error.message : String(error));
        return { kind: 'failed' };
      })
      .then((outcome) => {
        this.#running.delete(running);
        if (outcome.kind !== 'failed' && command.kind === this.#fault?.kind)
          this.#fault = undefined;
        this.#input((t) => this.#node.stored(id, outcome, t));
      });
    this.#running.add(running);
  }

  /** Once per reason, not once per command, until it works again. */
  #report(kind: StoreCommand['kind'], reason: string): void {
    if (reason === this.#fault?.reason) return;
    this.#fault = { kind, reason };
    this.#onFault(reason);
  }

  async #perform(command: StoreCommand): Promise<StoreOutcome> {
    // A connection that is just being made is no fault.
    await this.#isBegun;
    // A node whose renewals wait for all the rest would be taken for dead.
    return command.kind === 'renew'
      ? this.#renew(command)
      : this.#lane.run(() => this.#run(command));
  }

  async #run(command: Exclude<StoreCommand, { kind: 'renew' }>): Promise<StoreOutcome> {
    this.#checkLink();
    switch (command.kind) {
      case 'watch':
        await answered(this.#watch(command.communityId));
        return { kind: 'done' };
      case 'unwatch':
        await answered(this.#link.unsubscribe(this.#keys.channel(command.communityId)));
        return { kind: 'done' };
      case 'read': {
        const reply = await this.#script(READ, command.communityId, [String(command.lateMs)]);
        return { kind: 'contents', contents: readContents(reply) };
      }
      case 'write':
        return readChanged(await this.#write(command));
      case 'sweep':
        return readChanged(await this.#sweep(command));
      case 'retire': {
        const args = [this.#node.nodeId, String(command.afterMs)];
        await inParts(command.communityIds, (id) => this.#script(RETIRE, id, args));
        return { kind: 'done' };
      }
      case 'seen':
        await inParts(command.users, ({ userId, at }) => this.#seen.record(userId, at));
        return { kind: 'done' };
    }
  }

  /** What a client queues while it is not connected would be done at an unknown time. */
  #checkLink(): void {
    if (!this.#link.isReady) throw new Error('Redis is not connected');
  }

  #script(script: Script, communityId: string, args: readonly string[]): Promise<unknown> {
    return answered(this.#link.run(script, this.#keys.all(communityId), args));
  }

  #watch(communityId: string): Promise<unknown> {
    return this.#link.subscribe(this.#keys.channel(communityId), (message) => {
      const publication = readPublication(message);
      if (publication === undefined) return;
      this.#input((t) => this.#node.published(communityId, publication, t));
    });
  }

  /** Names a change, or a history that begins: each time another. */
  #newName(): string {
    return `${this.#name}.${(this.#names++).toString(36)}`;
  }

  #write(command: Extract<StoreCommand, { kind: 'write' }>): Promise<unknown> {
    const { communityId, known, claim, leaseMs, changes } = command;
    const args = [
      this.#node.nodeId,
      claim ? '1' : '0',
      String(leaseMs),
      String(keptMs(leaseMs)),
      this.#newName(),
      this.#keys.channel(communityId),
      ...argsOf(known),
    ];
    for (const { userId, deviceId, entry, isVisible, op } of changes) {
      args.push(userId, deviceId, entry ?? '', isVisible ? '1' : '0', op);
    }
    return this.#script(WRITE, communityId, args);
  }

  #sweep(command: Extract<StoreCommand, { kind: 'sweep' }>): Promise<unknown> {
    const { communityId, nodeId, changes, isAll, hasLeft } = command;
    const channel = this.#keys.channel(communityId);
    const which = hasLeft ? 'left' : isAll ? 'all' : 'some';
    const args = [nodeId, which, String(LEAST_KEPT_MS), this.#newName(), channel];
    for (const { userId, deviceId, op } of changes) args.push(userId, deviceId, op);
    return this.#script(SWEEP, communityId, args);
  }

  async #renew(command: Extract<StoreCommand, { kind: 'renew' }>): Promise<StoreOutcome> {
    const { communities, leaseMs } = command;
    const args = [this.#node.nodeId, String(leaseMs), String(keptMs(leaseMs)), this.#newName()];
    this.#checkLink();
    // With nothing to renew it is still to be seen whether Redis answers.
    if (communities.length === 0) await answered(this.#link.get(this.#keys.seen('')));
    const renewals = await inParts(communities, async ({ communityId, known }) => {
      const reply = await this.#script(RENEW, communityId, [...args, ...argsOf(known)]);
      return readRenewal(communityId, reply);
    });
    return { kind: 'renewed', renewals };
  }

  lastSeen(userId: string): Promise<number | undefined> {
    return this.#seen.read(userId);
  }

  async close(): Promise<void> {
    this.#begin();
    await Promise.all(this.#running);
    this.#link.close();
  }
}

/** Asks for some, and then for the next: each answer has a time of its own. */
async function inParts<T, R>(all: readonly T[], ask: (one: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  for (let i = 0; i < all.length; i += MOST_AT_ONCE) {
    answers.push(...(await Promise.all(all.slice(i, i + MOST_AT_ONCE).map(ask))));
  }
  return answers;
}

function argsOf({ epoch, version, mark }: Known): string[] {
  return [epoch, String(version), mark];
}

function keptMs(leaseMs: number): number {
  return Math.max(LEAST_KEPT_MS, LEASES_KEPT * leaseMs);
}
