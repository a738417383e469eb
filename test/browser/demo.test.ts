import type { WebSocketRoute } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasChromium } from '../support/browser.js';
import { TestClient } from '../support/client.js';
import { accessibilityFaults, DemoPage } from '../support/demo-page.js';
import { waitFor } from '../support/wait.js';

describe.runIf(hasChromium)('the page of rollcall demo', () => {
  const at = new DemoPage();
  const column = (node: string) => at.column(node);
  const button = (node: string, name: string) => at.button(node, name);
  const shows = (node: string, userIds: string) => at.shows(node, userIds);
  /** Those that the map shows wrongly, and how. */
  const faults = async (node: string): Promise<string> =>
    (await column(node).locator('.fault').allInnerTexts())
      .map((text) => text.replace(/\s+/g, ' ').trim())
      .join(', ');

  const becomes = (node: string, user: string, text: string): Promise<void> =>
    column(node).locator(`.cure [data-user="${user}"]`, { hasText: text }).waitFor();

  it('shows at once what the map misses: whoever joined before, on another node', async () => {
    await waitFor(
      async () => (await faults('C')) === 'A Ada missing, B Ben missing',
      'the map of C to miss Ada and Ben',
    );
    expect(await faults('B')).toBe('A Ada missing');
    expect(await faults('A')).toBe('');
  });

  it('shows status, board, typing and invisibility on the other nodes', async () => {
    await column('A').getByLabel('Status').selectOption('busy');
    await becomes('B', 'ada', 'busy');
    await column('A').getByLabel('Board').selectOption('Roadmap');
    await becomes('C', 'ada', 'Roadmap');
    await column('A').getByLabel('Message').fill('Hello');
    await becomes('B', 'ada', 'typing');
    // Typing ends by itself.
    await becomes('B', 'ada', 'busy');
    await column('A').getByLabel('Status').selectOption('invisible');
    await shows('B', 'ben cleo');
    await shows('A', 'ada ben cleo');
  });

  it('keeps somebody online while one of two devices is there; the map does not', async () => {
    await button('A', '+ Phone on node B').click();
    await becomes('C', 'ada', '2 devices');
    await button('A', 'Close the phone').click();
    await becomes('C', 'ada', '1 device');
    await waitFor(
      async () => (await faults('A')) === 'A Ada (you) missing',
      'the map of A to lose Ada, whose laptop is there',
    );
    await shows('C', 'ada ben cleo');
    // The other way round: the phone remains.
    await button('A', '+ Phone on node B').click();
    await becomes('C', 'ada', '2 devices');
    await button('A', 'Close the laptop').click();
    await becomes('C', 'ada', '1 device');
    await button('A', 'Leave').click();
    await shows('C', 'ben cleo');
    await button('A', 'Join on node A').click();
    await shows('C', 'ada ben cleo');
    await shows('A', 'ada ben cleo');
  });

  it('does not tell a reload; the map does', async () => {
    await button('A', 'Reload').click();
    const told = (text: string): Promise<void> =>
      column('C').locator('.log li', { hasText: text }).first().waitFor();
    await told('map Ada is offline');
    await column('A').getByText('live, complete: yes').waitFor();
    await told('map Ada is online');
    expect(await column('C').locator('.log').innerText()).not.toMatch(
      /rollcall Ada is o(n|ff)line/,
    );
  });

  it('drops the users of a killed node and has them back after its restart; the map keeps a ghost', async () => {
    await button('B', 'Kill node B').click();
    await column('B').getByText('disconnected, last list stays').waitFor();
    await shows('A', 'ada cleo');
    await shows('C', 'ada cleo');
    await waitFor(
      async () => (await faults('A')) === 'B Ben still shown',
      'the map of A to keep the ghost of Ben',
    );
    // Those on the other nodes did not notice anything else.
    await column('A').getByText('live, complete: yes').waitFor();
    await button('B', 'Start node B').click();
    for (const name of ['A', 'B', 'C']) await shows(name, 'ada ben cleo');
    await column('B').getByText('live, complete: yes').waitFor();
  });

  describe('for somebody who looks on', () => {
    let zoe: TestClient;
    beforeEach(async () => {
      const node = (await at.demo.nodes()).find(({ name }) => name === 'C');
      zoe = await TestClient.join(node?.url as string, { userId: 'zoe', communities: ['team'] });
      await zoe.sees('team', ['ada', 'ben', 'cleo', 'zoe']);
    });
    afterEach(() => zoe.close());
    const devicesOf = (userId: string): string[] =>
      (zoe.model.rosters.get('team')?.get(userId)?.devices ?? []).map(({ deviceId }) => deviceId);

    it('a page that reloads is the same devices, and nobody goes or comes', async () => {
      const before = devicesOf('ada');
      expect(before).toHaveLength(1);
      const edges = zoe.model.told.length;
      await at.page.reload();
      for (const name of ['A', 'B', 'C']) await shows(name, 'ada ben cleo zoe');
      await column('A').getByLabel('Status').selectOption('busy');
      await waitFor(
        () => zoe.model.rosters.get('team')?.get('ada')?.status === 'busy',
        'what the reloaded page says',
      );
      expect(devicesOf('ada')).toEqual(before);
      const since = zoe.model.told.slice(edges).map(({ event }) => event);
      expect(since.filter((event) => event !== 'userUpdated')).toEqual([]);
      expect(zoe.violations).toEqual([]);
    });

    it('somebody invisible stays so over a reload', async () => {
      await column('A').getByLabel('Status').selectOption('invisible');
      await zoe.sees('team', ['ben', 'cleo', 'zoe']);
      const before = zoe.model.told.length;
      await at.page.reload();
      await shows('C', 'ben cleo zoe');
      await shows('A', 'ada ben cleo zoe');
      expect(await column('A').getByLabel('Status').inputValue()).toBe('invisible');
      await column('A').getByLabel('Status').selectOption('busy');
      await zoe.sees('team', ['ada', 'ben', 'cleo', 'zoe']);
      const since = zoe.model.told.slice(before).filter(({ userId }) => userId === 'ada');
      expect(since.map(({ event }) => event)).toEqual(['userOnline']);
      expect(zoe.model.user('team', 'ada')?.status).toBe('busy');
    });

    it('somebody who leaves and joins again in the same page is the same device', async () => {
      const before = devicesOf('ada');
      await button('A', 'Leave').click();
      await zoe.sees('team', ['ben', 'cleo', 'zoe']);
      await button('A', 'Join on node A').click();
      await zoe.sees('team', ['ada', 'ben', 'cleo', 'zoe']);
      expect(devicesOf('ada')).toEqual(before);
    });

    it('a duplicated tab is a device of its own', async () => {
      await at.page.evaluate('sessionStorage.setItem("copied", "yes")');
      const [before] = devicesOf('ada');
      const [copy] = await Promise.all([
        at.page.waitForEvent('popup'),
        at.page.evaluate('void window.open(location.href)'),
      ]);
      // The browser has copied what the tab remembers, its device among it.
      expect(await copy.evaluate('sessionStorage.getItem("copied")')).toBe('yes');
      await waitFor(() => devicesOf('ada').length === 2, 'the second device of Ada');
      expect(devicesOf('ada')).toContain(before);
      await copy.close();
      await waitFor(() => devicesOf('ada').length === 1, 'the second device to go');
      expect(devicesOf('ada')).toEqual([before]);
      await shows('A', 'ada ben cleo zoe');
    });
  });

  it('lets one user be in two columns', async () => {
    await button('C', 'Leave').click();
    await shows('A', 'ada ben');
    await column('C').getByLabel('Name').fill('Ada');
    await column('C').getByLabel('Name').press('Enter');
    await becomes('B', 'ada', '2 devices');
    await shows('C', 'ada ben');
  });

  it('shows two browsers on two nodes each other', async () => {
    await at.elsewhere({}, async (other) => {
      const there = other.getByRole('region', { name: 'Node C' });
      await there.getByText('live, complete: yes').waitFor();
      await there.getByRole('button', { name: 'Leave' }).click();
      await there.getByLabel('Name').fill('Dora');
      await there.getByLabel('Name').press('Enter');
      await shows('A', 'ada ben cleo dora');
      await there.locator('[data-user="ada"]', { hasText: 'active' }).first().waitFor();
      await column('A').getByLabel('Status').selectOption('busy');
      await there.locator('.cure [data-user="ada"]', { hasText: 'busy' }).waitFor();
      await there.getByLabel('Board').selectOption('Roadmap');
      await becomes('A', 'dora', 'Roadmap');
    });
    // The other browser was closed without a word.
    await shows('A', 'ada ben cleo');
  });

  it('keeps the last list while the network is gone, and is whole again when it is back', async () => {
    // Chromium's own switch lets connections to this machine through.
    let isOffline = false;
    const connections = new Set<WebSocketRoute>();
    await at.page.routeWebSocket(/socket\.io/, async (connection) => {
      if (isOffline) return connection.close();
      connections.add(connection);
      connection.connectToServer();
    });
    await at.page.reload();
    const node = (await at.demo.nodes()).find(({ name }) => name === 'C');
    const zoe = await TestClient.join(node?.url as string, {
      userId: 'zoe',
      communities: ['team'],
    });
    try {
      await shows('A', 'ada ben cleo zoe');
      isOffline = true;
      for (const connection of connections) await connection.close();
      await column('A').getByText('disconnected, last list stays').waitFor();
      // The linger is over; the page could not come back meanwhile, and does not forget anybody.
      await zoe.sees('team', ['zoe']);
      await column('A').getByText('disconnected, last list stays').waitFor();
      await shows('A', 'ada ben cleo zoe');
      isOffline = false;
      await column('A').getByText('live, complete: yes').waitFor();
      await zoe.sees('team', ['ada', 'ben', 'cleo', 'zoe']);
      for (const name of ['A', 'B', 'C']) await shows(name, 'ada ben cleo zoe');
    } finally {
      zoe.close();
    }
  });

  it('explains and evicts, by keyboard alone, and whoever was evicted may come back', async () => {
    const { keyboard } = at.page;
    const press = async (name: string): Promise<void> => {
      await at.page.getByRole('button', { name, exact: true }).press('Enter');
    };
    const dialog = at.page.getByRole('dialog', { name: 'End ada on every node?' });
    await at.page.getByLabel('User id').press('Tab');
    await at.page.getByLabel('User id').fill('ada');
    await at.page.getByLabel('User id').press('Enter');
    await at.page.getByText('ada is online in').waitFor();
    // No is what Enter and Escape say first.
    await press('Evict ada everywhere …');
    await dialog.waitFor();
    await keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await press('Evict ada everywhere …');
    await keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    await shows('B', 'ada ben cleo');
    await press('Evict ada everywhere …');
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await at.page.getByText('Ended 1 device, 1 connection.').waitFor();
    await at.page.getByText('ada is not online to others.').waitFor();
    expect(await at.page.locator(':focus').getAttribute('maxlength')).toBe('128');
    await shows('B', 'ben cleo');
    await column('A').getByText('evicted; reload to come back').waitFor();
    await button('A', 'Reload').click();
    await shows('B', 'ada ben cleo');
    await column('A').getByText('live, complete: yes').waitFor();
    // One device of two.
    await button('A', '+ Phone on node B').click();
    await becomes('C', 'ada', '2 devices');
    await at.page.getByLabel('User id').press('Enter');
    await at.page
      .getByRole('button', { name: /^Evict (?!ada)/ })
      .nth(1)
      .click();
    await at.page.getByRole('dialog').getByRole('button', { name: 'Evict' }).click();
    await at.page.getByText('Ended 1 device, 1 connection.').waitFor();
    await becomes('C', 'ada', '1 device');
  });

  it.each(['light', 'dark'] as const)(
    'has no accessibility faults that axe finds, %s',
    async (colorScheme) => {
      await at.elsewhere({ colorScheme, bypassCSP: true }, async (page) => {
        await page.getByText('2 wrong').waitFor();
        await page.getByRole('button', { name: 'Leave' }).last().click();
        await page.getByLabel('User id').fill('ada');
        await page.getByRole('button', { name: 'Explain' }).click();
        await page.getByRole('button', { name: 'Evict ada everywhere' }).waitFor();
        expect(await accessibilityFaults(page)).toEqual([]);
      });
    },
  );

  it('shows one column at a time on a phone, without sideways scrolling', async () => {
    await at.page.setViewportSize({ width: 390, height: 800 });
    expect(await column('A').isVisible()).toBe(true);
    expect(await column('C').isVisible()).toBe(false);
    await at.page.getByRole('navigation').getByRole('button', { name: 'Node C' }).click();
    await column('C').waitFor();
    expect(await column('A').isVisible()).toBe(false);
    const width = await at.page.locator('html').evaluate((html) => html.scrollWidth);
    expect(width).toBeLessThanOrEqual(390);
  });
});
