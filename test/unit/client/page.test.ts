// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPresenceClient, createPresenceDevice, type PresenceClient } from 'rollcall/client';
import { person, ScriptedSocket } from './scripted-socket.js';

/** What only a page has: input, visibility, the tab's storage. Locks between tabs are tested in a browser. */

describe('idle', () => {
  let socket: ScriptedSocket;
  let client: PresenceClient;
  const said = () => socket.of('presenceUpdate').map(({ argument }) => argument);
  const use = (): boolean => document.dispatchEvent(new Event('pointerdown'));
  const show = (visible: boolean): void => {
    Object.defineProperty(document, 'hidden', { value: !visible, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  };

  beforeEach(() => {
    vi.useFakeTimers();
    socket = new ScriptedSocket();
    client = createPresenceClient(socket, { idleAfterMs: 60_000 });
    socket.connect();
  });
  afterEach(() => {
    client.close();
    show(true);
    vi.useRealTimers();
  });

  it('is said after a time without input, and taken back by the next', () => {
    vi.advanceTimersByTime(50_000);
    use();
    vi.advanceTimersByTime(59_999);
    expect(said()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(said()).toEqual([{ status: 'idle' }]);
    expect(client.getSnapshot().self.status).toBe('idle');
    use();
    use();
    expect(said()).toEqual([{ status: 'idle' }, { status: 'active' }]);
    vi.advanceTimersByTime(60_000);
    expect(said()).toHaveLength(3);
  });

  it('follows a page that is not shown, and ends when it is shown again', () => {
    show(false);
    vi.advanceTimersByTime(60_000);
    expect(said()).toEqual([{ status: 'idle' }]);
    use();
    expect(said()).toHaveLength(1);
    show(true);
    expect(said()).toEqual([{ status: 'idle' }, { status: 'active' }]);
  });

  it('does not touch a status that somebody chose', () => {
    void client.setStatus('busy');
    vi.advanceTimersByTime(60_000);
    use();
    void client.setStatus('idle');
    vi.advanceTimersByTime(60_000);
    use();
    expect(said()).toEqual([{ status: 'busy' }, { status: 'idle' }]);
    // Chosen while nobody used the page: use does not undo it.
    void client.setStatus('active');
    vi.advanceTimersByTime(60_000);
    void client.setStatus('idle');
    use();
    expect(client.getSnapshot().self.status).toBe('idle');
  });

  it('ends for a page that was reloaded while nobody used it', () => {
    const { deviceId } = client.getSnapshot().self;
    use();
    client.community('team').subscribe(() => {});
    socket.list([person('ada', { deviceId: deviceId as string, status: 'idle' })]);
    vi.advanceTimersByTime(20);
    expect(client.getSnapshot().self.status).toBe('idle');
    use();
    expect(said()).toEqual([{ status: 'active' }]);
    expect(client.community('team').user('ada')?.status).toBe('active');
  });

  it('ends for a page that remembers it', () => {
    const device = {
      deviceId: 'ada-1',
      status: 'idle' as const,
      ready: Promise.resolve(),
      auth: () => () => {},
    };
    const reloaded = new ScriptedSocket();
    client.close();
    client = createPresenceClient(reloaded, { device });
    reloaded.connect();
    use();
    expect(reloaded.of('presenceUpdate').map(({ argument }) => argument)).toEqual([
      { status: 'idle' },
      { status: 'active' },
    ]);
  });

  it('leaves no listener on the page', () => {
    client.close();
    vi.advanceTimersByTime(120_000);
    use();
    expect(said()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the device of a tab', () => {
  const auth = (device: ReturnType<typeof createPresenceDevice>, own?: () => object) =>
    new Promise<Record<string, unknown>>((resolve) =>
      device.auth(own)((sent) => resolve(sent as Record<string, unknown>)),
    );
  beforeEach(() => sessionStorage.clear());

  it('is the same over reloads, and counts its connections', async () => {
    const first = createPresenceDevice();
    const sent = await auth(first, () => ({ token: 't' }));
    expect(sent).toEqual({ token: 't', deviceId: first.deviceId, session: 1, status: 'active' });
    expect(await auth(first)).toMatchObject({ session: 2 });
    const reloaded = createPresenceDevice();
    expect(await auth(reloaded)).toMatchObject({ deviceId: first.deviceId, session: 3 });
    const other = createPresenceDevice({ key: 'other' });
    expect(await auth(other)).toMatchObject({ session: 1 });
    expect(other.deviceId).not.toBe(first.deviceId);
  });

  it('has the status over a reload, unless the application remembers one', async () => {
    const device = createPresenceDevice();
    device.status = 'invisible';
    const reloaded = createPresenceDevice();
    expect(reloaded.status).toBe('invisible');
    expect(await auth(reloaded)).toMatchObject({ status: 'invisible' });
    expect(createPresenceDevice({ status: 'busy' }).status).toBe('busy');
    expect(createPresenceDevice({ key: 'other' }).status).toBe('active');
  });

  it('waits for what the application sends, and tells the status of the moment', async () => {
    const device = createPresenceDevice({ status: 'invisible' });
    expect(await auth(device, async () => ({ token: 'later' }))).toMatchObject({
      token: 'later',
      status: 'invisible',
    });
    const socket = new ScriptedSocket();
    const client = createPresenceClient(socket, { device });
    expect(client.getSnapshot().self.status).toBe('invisible');
    void client.setStatus('busy');
    expect(await auth(device)).toMatchObject({ status: 'busy' });
    client.close();
  });

  it('does without what somebody else stored under its key', async () => {
    for (const text of ['not ours', '{"theme":"dark"}', '5', 'true', '"text"', '[]', 'null']) {
      sessionStorage.setItem('rollcall', text);
      const device = createPresenceDevice();
      expect(device.deviceId.length).toBeGreaterThan(8);
      expect(await auth(device)).toMatchObject({ deviceId: device.deviceId, session: 1 });
    }
  });

  it('does without a storage that is full', async () => {
    const full = vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    try {
      const device = createPresenceDevice({ key: 'full' });
      await device.ready;
      expect(await auth(device)).toMatchObject({ deviceId: device.deviceId, session: 1 });
    } finally {
      full.mockRestore();
    }
  });
});
