import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { launchBrowser } from './browser.js';
import { DemoProcess } from './demo.js';
import { waitFor } from './wait.js';

/** A demo of its own for each test, its page in a real browser, and that nothing fails in the page. */
export class DemoPage {
  browser!: Browser;
  demo!: DemoProcess;
  page!: Page;
  readonly #problems: string[] = [];

  /** Registers the hooks of the tests around it. */
  constructor() {
    beforeAll(async () => {
      this.browser = await launchBrowser();
    });
    afterAll(() => this.browser?.close());
    beforeEach(() => this.restart());
    afterEach(async () => {
      await this.page?.close();
      await this.demo?.stop();
      expect(this.#problems).toEqual([]);
    });
  }

  /** Starts (again), with these arguments, and waits until everybody sees everybody. */
  async restart(args: readonly string[] = []): Promise<void> {
    await this.page?.close();
    await this.demo?.stop();
    this.#problems.length = 0;
    this.demo = await DemoProcess.start(args);
    this.page = await this.browser.newPage({ viewport: { width: 1280, height: 1000 } });
    this.page.on('pageerror', (error) => this.#problems.push(error.message));
    await this.page.goto(this.demo.url);
    for (const name of ['A', 'B', 'C']) await this.shows(name, 'ada ben cleo');
  }

  /** The same demo in a page of another context, which is closed at the end. */
  async elsewhere(
    options: BrowserContextOptions,
    use: (page: Page) => Promise<void>,
  ): Promise<void> {
    const context = await this.browser.newContext(options);
    try {
      const other = await context.newPage();
      await other.goto(this.demo.url);
      await use(other);
    } finally {
      await context.close();
    }
  }

  column(node: string): Locator {
    return this.page.getByRole('region', { name: `Node ${node}` });
  }

  button(node: string, name: string): Locator {
    return this.column(node).getByRole('button', { name });
  }

  /** Waits until rollcall's list of a node has these users. */
  async shows(node: string, userIds: string): Promise<void> {
    const list = this.column(node).getByLabel(`rollcall on node ${node}`).getByRole('listitem');
    let seen: (string | null)[] = [];
    await waitFor(
      async () => {
        seen = await list.evaluateAll((rows) => rows.map((row) => row.getAttribute('data-user')));
        return seen.join(' ') === userIds;
      },
      () => `the list to show ${userIds}; it shows ${seen.join(' ')}`,
    );
  }

  /** Waits until rollcall's list of a node says how many there are. */
  counts(node: string, text: string): Promise<void> {
    return this.column(node).locator('.cure', { hasText: text }).waitFor();
  }
}

/** What axe finds wrong with a page as it is. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: fileURLToPath(import.meta.resolve('axe-core')) });
  const found = (await page.evaluate('axe.run()')) as {
    violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
  };
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
