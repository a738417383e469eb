import { share } from './share.js';
import type { DevicePatch, SelfPresence, UpdateResult } from './types.js';

/**
 * What this device says of itself: what the server has accepted, and on top of it what it has not
 * answered yet. A refusal takes back that one change and no other.
 */
export interface OwnDevice {
  /** Accepted and not yet answered changes together. */
  readonly getSelf: () => SelfPresence;
  /** Who this device is, and what the server holds of it that was not set here. */
  readonly name: (facts: Partial<SelfPresence>) => void;
  readonly change: (patch: DevicePatch) => Promise<UpdateResult>;
  /** Sends everything again: the connection is another one. */
  readonly connected: () => void;
}

interface Pending {
  readonly patch: DevicePatch;
  readonly resolve: (result: UpdateResult) => void;
  isSent?: boolean;
}

export interface OwnDeviceHost {
  readonly initial: Omit<SelfPresence, 'boardId' | 'meta'>;
  /** Sends a change, where there is a connection. Calls back, unless that is lost first. */
  readonly send: (patch: DevicePatch, done: (result: UpdateResult) => void) => boolean;
  /** Called after each change of what `getSelf` gives. */
  readonly onChange: (self: SelfPresence) => void;
}

export function createOwnDevice({ initial, send, onChange }: OwnDeviceHost): OwnDevice {
  let named: Partial<SelfPresence> = initial;
  /** What the server has accepted: the fields that were ever set. A status to start with is set, too. */
  let accepted: DevicePatch = initial.status === 'active' ? {} : { status: initial.status };
  let pending: Pending[] = [];
  let self = initial as SelfPresence;

  const recompute = (): void => {
    const patches = pending.map(({ patch }) => patch);
    const set = Object.assign({}, named, accepted, ...patches);
    self = share(self, { ...set, boardId: set.boardId ?? undefined, meta: set.meta ?? undefined });
    onChange(self);
  };
  const submit = (change: Pending): void => {
    const { patch, resolve } = change;
    change.isSent = send(patch, (result) => {
      pending = pending.filter((each) => each !== change);
      if (result.ok) accepted = { ...accepted, ...patch };
      recompute();
      resolve(result);
    });
  };

  return {
    getSelf: () => self,
    name: (facts) => {
      named = { ...named, ...facts };
      recompute();
    },
    change: (patch) =>
      new Promise((resolve) => {
        const change = { patch, resolve };
        // What waits and is overwritten need not be sent any more.
        pending = pending.filter(
          (each) =>
            each.isSent ||
            Object.keys(each.patch).some((key) => !(key in patch)) ||
            each.resolve({ ok: true }),
        );
        pending.push(change);
        recompute();
        submit(change);
      }),
    connected: () => {
      if (Object.keys(accepted)[0]) send(accepted, () => {});
      pending.forEach(submit);
    },
  };
}
