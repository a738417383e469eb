import { createPresenceClient, createPresenceDevice, type PresenceClient } from 'rollcall/client';
import { io } from 'socket.io-client';
import { afterEach, describe, expect, it } from 'vitest';
import { Application } from '../../support/application.js';
import { waitFor } from '../../support/wait.js';

/** What a page shows of itself, and what others see of it, with a server that is told who it is and no more. */

describe('a page', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  const present = async (): Promise<Application> => {
    const application = await Application.start();
    ends.push(() => application.stop());
    application.present({
      identify: ({ handshake: { auth } }) => ({
        userId: auth['userId'] as string,
        deviceId: auth['deviceId'] as string,
        communities: ['team'],
      }),
    });
    return application;
  };
  const open = (
    { url }: Application,
    userId: string,
    device = createPresenceDevice(),
  ): { client: PresenceClient; end: () => void } => {
    const auth = device.auth(() => ({ userId }));
    const socket = io(url, { transports: ['websocket'], forceNew: true, auth });
    const client = createPresenceClient(socket, { device });
    client.community('team').subscribe(() => {});
    const end = (): void => {
      client.close();
      // Without a goodbye, as when a page goes.
      socket.io.reconnection(false);
      socket.io.engine.close();
    };
    ends.push(end);
    return { client, end };
  };
  const seen = ({ client }: { client: PresenceClient }, userId: string): string => {
    const { status, boardId, meta } = client.user(userId)?.devices[0] ?? {};
    return JSON.stringify([status, boardId, meta]);
  };
  const shows = (
    page: { client: PresenceClient },
    userId: string,
    ...expected: unknown[]
  ): Promise<unknown> =>
    waitFor(
      () => seen(page, userId) === JSON.stringify(expected),
      () => `${JSON.stringify(expected)} of ${userId}; seen: ${seen(page, userId)}`,
    );

  it('that is reloaded shows of itself what the others see', async () => {
    const application = await present();
    const ben = open(application, 'ben');
    const device = createPresenceDevice();
    const before = open(application, 'ada', device);
    await shows(ben, 'ada', 'active', undefined, undefined);
    await before.client.update({ status: 'busy', boardId: 'roadmap', meta: { page: 3 } });
    before.end();
    const ada = open(application, 'ada', device);
    await shows(ada, 'ada', 'busy', 'roadmap', { page: 3 });
    expect(ada.client.getSnapshot().self).toMatchObject({ status: 'busy', boardId: 'roadmap' });
    await shows(ben, 'ada', 'busy', 'roadmap', { page: 3 });
    await ada.client.update({ status: 'active', boardId: null });
    await shows(ben, 'ada', 'active', undefined, { page: 3 });
    expect(seen(ada, 'ada')).toBe(seen(ben, 'ada'));
  });

  it('that begins invisible is so to the others', async () => {
    const application = await present();
    const ben = open(application, 'ben');
    await shows(ben, 'ben', 'active', undefined, undefined);
    const ada = open(application, 'ada', createPresenceDevice({ status: 'invisible' }));
    await shows(ada, 'ada', 'active', undefined, undefined);
    expect(ada.client.getSnapshot().self.status).toBe('invisible');
    // By now ben has been told of ada, and that she has gone.
    expect(await ada.client.setMeta({ page: 1 })).toEqual({ ok: true });
    expect(await ben.client.setMeta({ page: 1 })).toEqual({ ok: true });
    await waitFor(
      () => ben.client.user('ada') === undefined,
      () => `ada to be unseen: ${seen(ben, 'ada')}`,
    );
  });
});
