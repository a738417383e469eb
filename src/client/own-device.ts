import type { DevicePatch, SelfPresence, UpdateResult } from './types.js';

/**
 * What this device says of itself: what the server has accepted, and on top of it what it has not
 * answered yet. A refusal takes back that one change and no other.
 */
export interface OwnDevice {
  /** Accepted and not yet answered changes together. */
  readonly getSelf: () => SelfPresence;
  /** Names the device, where that is found out later. */
  readonly name: (userId: string | undefined, deviceId: string | undefined) => void;
  readonly change: (patch: DevicePatch) => Promise<UpdateResult>;
  /** Sends everything again: the connection is another one. */
  readonly connected: () => void;
}

interface Pending {
  readonly patch: DevicePatch;
  readonly resolve: (result: UpdateResult) => void;
}

export interface OwnDeviceHost {
  readonly initial: Omit<SelfPresence, 'boardId' | 'meta'>;
  /** Sends a change, where there is a connection. Calls back, unless the connection is lost first. */
  readonly send: (patch: DevicePatch, done: (result: UpdateResult) => void) => void;
  /** Called after each change of what `getSelf` gives. */
  readonly onChange: (self: SelfPresence) => void;
}

export function createOwnDevice({ initial, send, onChange }: OwnDeviceHost): OwnDevice {
  let named = initial;
  /** What the server has accepted: the fields that were ever set. */
  let accepted: DevicePatch = {};
  let pending: Pending[] = [];
  let self = initial as SelfPresence;

  const recompute = (): void => {
    const patches = pending.map(({ patch }) => patch);
    const set = Object.assign({}, named, accepted, ...patches);
    self = { ...set, boardId: set.boardId ?? undefined, meta: set.meta ?? undefined };
    onChange(self);
  };
  const submit = (changes: readonly Pending[]): void => {
    const patch: DevicePatch = Object.assign({}, ...changes.map((change) => change.patch));
    send(patch, (result) => {
      pending = pending.filter((change) => !changes.includes(change));
      if (result.ok) accepted = { ...accepted, ...patch };
      recompute();
      changes.forEach(({ resolve }) => resolve(result));
    });
  };

  return {
    getSelf: () => self,
    name: (userId, deviceId) => {
      named = { ...named, userId, deviceId };
      recompute();
    },
    change: (patch) =>
      new Promise((resolve) => {
        const change = { patch, resolve };
        pending.push(change);
        recompute();
        submit([change]);
      }),
    connected: () => {
      if (Object.keys(accepted)[0]) send(accepted, () => {});
      if (pending[0]) submit([...pending]);
    },
  };
}
