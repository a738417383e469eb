import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasChromium, launchBrowser } from '../support/browser.js';
import { TestClient } from '../support/client.js';
import { accessibilityFaults } from '../support/demo-page.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';

describe('rollcall serve --dashboard', () => {
  let node: ServeProcess;
  let browser: Browser | undefined;
  beforeAll(async () => {
    node = await ServeProcess.start(['--dashboard', '--api-key', 'the-key', '--name', 'one']);
    if (hasChromium) browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await node.stop();
  });

  it('serves its files to everybody under a strict policy, and the cluster to whoever has the key', async () => {
    const page = await fetch(`${node.url}/dashboard`);
    expect(page.url).toBe(`${node.url}/dashboard/`);
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
    expect(page.headers.get('content-security-policy')).not.toMatch(/unsafe/);
    expect(page.headers.get('set-cookie')).toBeNull();
    const html = await page.text();
    const scripts = [...html.matchAll(/(?:src|href)="(\.\/[^"]+)"/g)].map(([, path]) => path);
    expect(scripts.length).toBeGreaterThan(1);
    for (const path of scripts) {
      expect((await fetch(new URL(path as string, page.url))).status).toBe(200);
    }
    expect((await fetch(`${node.url}/dashboard/cluster`)).status).toBe(401);
    const wrong = { headers: { Authorization: 'Bearer other' } };
    expect((await fetch(`${node.url}/dashboard/cluster`, wrong)).status).toBe(401);
    const right = { headers: { Authorization: 'Bearer the-key' } };
    expect(await node.get('/dashboard/cluster', right)).toMatchObject({
      status: 200,
      body: { complete: true, nodes: [{ nodeId: node.nodeId, nodeName: 'one' }] },
    });
    expect((await fetch(`${node.url}/dashboard/explain/ada`)).status).toBe(401);
    expect(await node.get('/dashboard/explain/%zz', right)).toMatchObject({ status: 400 });
    expect((await fetch(`${node.url}/dashboard/nothing`)).status).toBe(404);
    expect((await fetch(`${node.url}/dashboard/../../package.json`)).status).toBe(404);
    expect((await fetch(`${node.url}/dashboard/`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${node.url}/dashboards`)).status).toBe(404);
  });

  it.runIf(hasChromium)(
    'asks for the key, keeps it in memory only, and shows the node',
    async () => {
      const ada = await TestClient.join(node.url, { userId: 'ada', communities: ['c'] });
      const context = await (browser as Browser).newContext();
      const page = await context.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) problems.push(message.text());
      });
      await page.goto(`${node.url}/dashboard`);
      await page.getByLabel('API key of the cluster').fill('other');
      await page.getByRole('button', { name: 'Show the cluster' }).click();
      await page.getByText('The node does not accept this key.').waitFor();
      await page.getByLabel('API key of the cluster').fill('the-key');
      await page.getByLabel('API key of the cluster').press('Enter');
      const card = page.getByRole('listitem', { name: 'Node one' });
      await card.getByText('well', { exact: true }).waitFor();
      await page.getByText('1 node, 1 socket, 1 device in communities.').waitFor();
      await page.getByLabel('User id').fill('ada');
      await page.getByRole('button', { name: 'Explain' }).click();
      await page.getByText('ada is online in c.').waitFor();
      await page.getByText('its socket closes or shows no life').waitFor();
      await page.getByLabel('User id').fill('zoe');
      await page.getByRole('button', { name: 'Explain' }).click();
      await page.getByText('zoe is not online to others.').waitFor();
      await page.getByLabel('User id').fill('ada');
      await page.getByRole('button', { name: 'Explain' }).click();
      await page.getByText('ada is online in c.').waitFor();
      expect(await page.getByRole('button', { name: /Evict/ }).count()).toBe(0);
      expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);
      expect(await context.cookies()).toEqual([]);
      await page.reload();
      await page.getByLabel('API key of the cluster').waitFor();
      expect(problems).toEqual([]);
      await context.close();
      ada.close();
    },
  );

  describe('with --dashboard-evict', () => {
    const started = async (...args: string[]): Promise<ServeProcess> => {
      const flags = ['--dashboard', '--dashboard-evict', ...args];
      return ServeProcess.start(flags);
    };
    const ask = (at: ServeProcess, path: string, headers: Record<string, string>) =>
      at.get(`/dashboard/users/${path}`, { method: 'DELETE', headers });

    it('lets whoever has the key end users, and without a key its own page only', async () => {
      expect((await ask(node, 'ada', { Authorization: 'Bearer the-key' })).status).toBe(405);
      const keyed = await started('--api-key', 'the-key');
      const open = await started();
      try {
        expect(await ask(keyed, 'ada', {})).toMatchObject({ status: 401 });
        const key = { Authorization: 'Bearer the-key' };
        expect(await ask(keyed, 'ada', key)).toMatchObject({ status: 200, body: { devices: [] } });
        expect(await ask(keyed, 'ada?what=1', key)).toMatchObject({ status: 400 });
        expect((await fetch(`${keyed.url}/dashboard/users/ada`)).status).toBe(404);
        for (const site of ['cross-site', 'same-site', 'none']) {
          expect((await ask(open, 'ada', { 'Sec-Fetch-Site': site })).status).toBe(403);
        }
        expect((await ask(open, 'ada', {})).status).toBe(403);
        expect((await ask(open, 'ada', { 'Sec-Fetch-Site': 'same-origin' })).status).toBe(200);
      } finally {
        await Promise.all([keyed.stop(), open.stop()]);
      }
    });

    it('needs --dashboard', async () => {
      const wrong = ServeProcess.spawn(['serve', '--auth', 'insecure', '--dashboard-evict']);
      expect(await wrong.process.exited()).toBe(2);
      expect(wrong.process.stderr).toMatch(/needs --dashboard/);
    });

    it.runIf(hasChromium)('asks before it ends somebody, and says what came of it', async () => {
      const open = await started();
      const context = await (browser as Browser).newContext({
        viewport: { width: 390, height: 800 },
      });
      const ada = await TestClient.join(open.url, { userId: 'ada', communities: ['c'] });
      const zoe = await TestClient.join(open.url, { userId: 'zoe', communities: ['c'] });
      try {
        await ada.sees('c', ['ada', 'zoe']);
        const page = await context.newPage();
        await page.goto(`${open.url}/dashboard`);
        await page.getByLabel('User id').fill('ada');
        await page.getByRole('button', { name: 'Explain' }).click();
        await page.getByRole('button', { name: 'Evict ada everywhere …' }).click();
        const dialog = page.getByRole('dialog', { name: 'End ada on every node?' });
        await dialog.getByRole('button', { name: 'Evict ada' }).click();
        await page.getByText('Ended 1 device, 1 connection.').waitFor();
        await zoe.sees('c', ['zoe']);
        expect(ada.socket.connected).toBe(false);
        const width = await page.locator('html').evaluate((html) => html.scrollWidth);
        expect(width).toBeLessThanOrEqual(390);
      } finally {
        for (const client of [ada, zoe]) client.close();
        await context.close();
        await open.stop();
      }
    });
  });

  it.runIf(hasChromium && hasRedis)(
    'says that a node does not answer for as long as it hangs, the one that serves the page too',
    async () => {
      const redis = await TestRedis.start();
      const flags = ['--redis', redis.url, '--down-after-ms', '1500', '--heartbeat-ms', '250'];
      const serving = await ServeProcess.start(['--dashboard', '--name', 'serving', ...flags]);
      const other = await ServeProcess.start(['--name', 'other', ...flags]);
      const context = await (browser as Browser).newContext();
      try {
        const page = await context.newPage();
        await page.goto(`${serving.url}/dashboard`);
        await page.getByText('2 nodes, 0 sockets').waitFor();
        await page.getByText('All nodes answer.').waitFor();
        other.signal('SIGSTOP');
        const dead = page
          .getByRole('listitem', { name: 'Node other' })
          .getByText('dead to serving');
        await dead.waitFor();
        expect(await page.getByText('Not every node answers.').count()).toBe(1);
        other.signal('SIGCONT');
        await page.getByText('All nodes answer.').waitFor();
        serving.signal('SIGSTOP');
        const notice = page.getByText('The node that serves this page cannot be reached; what');
        await notice.waitFor();
        await page.getByLabel('User id').fill('ada');
        await page.getByRole('button', { name: 'Explain' }).click();
        await page.getByText('The node that serves this page cannot be reached.').waitFor();
        serving.signal('SIGCONT');
        await notice.waitFor({ state: 'detached' });
        await page.getByText('All nodes answer.').waitFor();
      } finally {
        await context.close();
        await Promise.all([serving.stop(), other.stop()]);
        await redis.stop();
      }
    },
  );

  it.runIf(hasChromium)('needs no key on this machine under insecure, and passes axe', async () => {
    const open = await ServeProcess.start(['--dashboard']);
    const context = await (browser as Browser).newContext({ bypassCSP: true });
    try {
      const page = await context.newPage();
      await page.goto(`${open.url}/dashboard`);
      await page.getByText('All nodes answer.').waitFor();
      const zoe = await TestClient.join(open.url, { userId: 'zoe', communities: ['c'] });
      await page.getByLabel('User id').fill('zoe');
      await page.getByRole('button', { name: 'Explain' }).click();
      await page.getByText('zoe is online in c.').waitFor();
      zoe.close();
      expect(await accessibilityFaults(page)).toEqual([]);
    } finally {
      await context.close();
      await open.stop();
    }
  });
});
