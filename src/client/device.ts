import type { SettableStatus } from './types.js';

/** What `createPresenceDevice` takes. */
export interface PresenceDeviceOptions {
  /** Name under which the tab remembers its device and status. Default `rollcall`. */
  readonly key?: string;
  /** Status to start with, where the application remembers one. Default: that before a reload, else `active`. */
  readonly status?: SettableStatus;
}

/** What this tab is to the server: one device, the same over reconnects and reloads. */
export interface PresenceDevice {
  /** Final once `ready` has resolved. */
  readonly deviceId: string;
  /** Goes into the next handshake, so that somebody invisible does not flash up on reconnecting. */
  status: SettableStatus;
  /** Resolves when it is sure that no other tab is this device. At most half a second. */
  readonly ready: Promise<void>;
  /**
   * For the option `auth` of socket.io-client: adds `deviceId`, `session` (which counts this device's
   * connections) and `status` to what the application sends. Should `own` reject, nothing is sent.
   */
  readonly auth: (own?: () => object | Promise<object>) => (send: (auth: object) => void) => void;
}

/** How long a tab that reloads may take to let go of its device. */
const HANDOVER_MS = 500;

/** What this page holds: made again under the same key, the device is the same. */
const claimed = new Set<string>();

/**
 * The device of this tab. It is kept in the tab's session storage, with its status, which a duplicated
 * tab copies; a Web Lock tells the two apart, and the duplicate becomes a device of its own. Where there
 * is no storage (outside browsers) the device lives as long as the object; where there are no locks
 * (pages that are not secure) a duplicated tab counts as the same device.
 */
export function createPresenceDevice(options: PresenceDeviceOptions = {}): PresenceDevice {
  const { key = 'rollcall' } = options;
  let memory: Storage | undefined;
  /** Anything at all, if somebody else keeps it there. */
  let remembered!: [deviceId: string, session: number, status?: SettableStatus];
  try {
    memory = sessionStorage;
    remembered = JSON.parse(memory.getItem(key) as string);
  } catch {
    // There is none, the browser forbids it, or the key is somebody else's.
  }
  let [deviceId, session, status = 'active'] = remembered?.[1] >= 0 ? remembered : [randomId(), 0];
  status = options.status ?? status;
  const remember = (): void => {
    try {
      memory?.setItem(key, JSON.stringify([deviceId, session, status]));
    } catch {
      // It is full.
    }
  };
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  /** Holds the device until the page ends. */
  const claim = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const name = `${key} ${deviceId}`;
      if (claimed.has(name)) resolve();
      else {
        locks
          ?.request(name, { signal: AbortSignal.timeout(HANDOVER_MS) }, () => {
            claimed.add(name);
            resolve();
            return new Promise(() => {});
          })
          .catch(reject);
      }
    });
  const ready = (memory && locks ? claim() : Promise.resolve())
    .catch(() => {
      deviceId = randomId();
      session = 0;
      return claim();
    })
    .then(remember, remember);

  return {
    get deviceId() {
      return deviceId;
    },
    get status() {
      return status;
    },
    set status(next) {
      if (status === next) return;
      status = next;
      remember();
    },
    ready,
    auth: (own) => (send) =>
      void ready
        .then(() => own?.())
        .then((given) => {
          session++;
          remember();
          send({ ...given, deviceId, session, status });
        }),
  };
}

/** Enough chance that no two devices of a user share it, on insecure pages, too. */
function randomId(): string {
  return Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2);
}
