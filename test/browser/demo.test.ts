import { fileURLToPath } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hasChromium, launchBrowser } from '../support/browser.js';
import { TestClient } from '../support/client.js';
import { DemoProcess } from '../support/demo.js';
import { waitFor } from '../support/wait.js';

describe.runIf(hasChromium)('the page of rollcall demo', () => {
  let browser: Browser;
  let demo: DemoProcess;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    demo = await DemoProcess.start();
    problems.length = 0;
    page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(demo.url);
    // The three browsers have opened, one after the other, and rollcall shows everybody everywhere.
    for (const name of ['A', 'B', 'C']) await shows(rollcall(name), 'ada ben cleo');
  });
  afterEach(async () => {
    await page?.close();
    await demo?.stop();
    expect(problems).toEqual([]);
  });

  const column = (node: string): Locator => page.getByRole('region', { name: `Node ${node}` });
  const rollcall = (node: string): Locator =>
    column(node).getByLabel(`rollcall on node ${node}`).getByRole('listitem');
  const button = (node: string, name: string): Locator =>
    column(node).getByRole('button', { name });
  /** Those that the map shows wrongly, and how. */
  const faults = async (node: string): Promise<string> =>
    (await column(node).locator('.fault').allInnerTexts())
      .map((text) => text.replace(/\s+/g, ' ').trim())
      .join(', ');

  async function shows(list: Locator, userIds: string): Promise<void> {
    let seen: (string | null)[] = [];
    await waitFor(
      async () => {
        seen = await list.evaluateAll((rows) => rows.map((row) => row.getAttribute('data-user')));
        return seen.join(' ') === userIds;
      },
      () => `the list to show ${userIds}; it shows ${seen.join(' ')}`,
    );
  }
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
    await shows(rollcall('B'), 'ben cleo');
    await shows(rollcall('A'), 'ada ben cleo');
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
    await shows(rollcall('C'), 'ada ben cleo');
    // The other way round: the phone remains.
    await button('A', '+ Phone on node B').click();
    await becomes('C', 'ada', '2 devices');
    await button('A', 'Close the laptop').click();
    await becomes('C', 'ada', '1 device');
    await button('A', 'Leave').click();
    await shows(rollcall('C'), 'ben cleo');
    await button('A', 'Join on node A').click();
    await shows(rollcall('C'), 'ada ben cleo');
    await shows(rollcall('A'), 'ada ben cleo');
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
    await shows(rollcall('A'), 'ada cleo');
    await shows(rollcall('C'), 'ada cleo');
    await waitFor(
      async () => (await faults('A')) === 'B Ben still shown',
      'the map of A to keep the ghost of Ben',
    );
    // Those on the other nodes did not notice anything else.
    await column('A').getByText('live, complete: yes').waitFor();
    await button('B', 'Start node B').click();
    for (const name of ['A', 'B', 'C']) await shows(rollcall(name), 'ada ben cleo');
    await column('B').getByText('live, complete: yes').waitFor();
  });

  describe('for somebody who looks on', () => {
    let zoe: TestClient;
    beforeEach(async () => {
      const node = (await demo.nodes()).find(({ name }) => name === 'C');
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
      await page.reload();
      for (const name of ['A', 'B', 'C']) await shows(rollcall(name), 'ada ben cleo zoe');
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

    it('somebody who leaves and joins again in the same page is the same device', async () => {
      const before = devicesOf('ada');
      await button('A', 'Leave').click();
      await zoe.sees('team', ['ben', 'cleo', 'zoe']);
      await button('A', 'Join on node A').click();
      await zoe.sees('team', ['ada', 'ben', 'cleo', 'zoe']);
      expect(devicesOf('ada')).toEqual(before);
    });

    it('a duplicated tab is a device of its own', async () => {
      await page.evaluate('sessionStorage.setItem("copied", "yes")');
      const [before] = devicesOf('ada');
      const [copy] = await Promise.all([
        page.waitForEvent('popup'),
        page.evaluate('void window.open(location.href)'),
      ]);
      // The browser has copied what the tab remembers, its device among it.
      expect(await copy.evaluate('sessionStorage.getItem("copied")')).toBe('yes');
      await waitFor(() => devicesOf('ada').length === 2, 'the second device of Ada');
      expect(devicesOf('ada')).toContain(before);
      await copy.close();
      await waitFor(() => devicesOf('ada').length === 1, 'the second device to go');
      expect(devicesOf('ada')).toEqual([before]);
      await shows(rollcall('A'), 'ada ben cleo zoe');
    });
  });

  it('lets one user be in two columns', async () => {
    await button('C', 'Leave').click();
    await shows(rollcall('A'), 'ada ben');
    await column('C').getByLabel('Name').fill('Ada');
    await column('C').getByLabel('Name').press('Enter');
    await becomes('B', 'ada', '2 devices');
    await shows(rollcall('C'), 'ada ben');
  });

  it.each(['light', 'dark'] as const)(
    'has no accessibility faults that axe finds, %s',
    async (colorScheme) => {
      const context = await browser.newContext({ colorScheme, bypassCSP: true });
      try {
        const other = await context.newPage();
        await other.goto(demo.url);
        await other.getByText('2 wrong').waitFor();
        await other.getByRole('button', { name: 'Leave' }).last().click();
        await other.addScriptTag({ path: fileURLToPath(import.meta.resolve('axe-core')) });
        const found = (await other.evaluate('axe.run()')) as {
          violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
        };
        expect(
          found.violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
          ),
        ).toEqual([]);
      } finally {
        await context.close();
      }
    },
  );

  it('shows one column at a time on a phone, without sideways scrolling', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await column('A').isVisible()).toBe(true);
    expect(await column('C').isVisible()).toBe(false);
    await page.getByRole('navigation').getByRole('button', { name: 'Node C' }).click();
    await column('C').waitFor();
    expect(await column('A').isVisible()).toBe(false);
    const width = await page.locator('html').evaluate((html) => html.scrollWidth);
    expect(width).toBeLessThanOrEqual(390);
  });
});
