import { describe, expect, it } from 'vitest';
import { hasChromium, launchBrowser } from '../support/browser.js';
import { ExampleServer } from '../support/example.js';

describe.runIf(hasChromium)('the example with React and Vite', () => {
  it('shows two tabs each other, with status and typing', async () => {
    const server = await ExampleServer.start('react/server.mjs');
    const browser = await launchBrowser();
    try {
      const problems: string[] = [];
      const open = async (user: string) => {
        const page = await browser.newPage();
        page.on('pageerror', (error) => problems.push(error.message));
        await page.goto(`${server.url}/?user=${user}`);
        return page;
      };
      const ada = await open('ada');
      await ada.getByText('1 in the lobby').waitFor();
      const bob = await open('bob');
      await ada.getByText('2 in the lobby').waitFor();
      await bob.getByText('ada is active').waitFor();
      await ada.getByLabel('I am').selectOption('busy');
      await bob.getByText('ada is busy').waitFor();
      await ada.getByLabel('Message').fill('Hello');
      await bob.getByText('ada is busy and typing').waitFor();
      await ada.close();
      await bob.getByText('1 in the lobby').waitFor();
      expect(problems).toEqual([]);
    } finally {
      await browser.close();
      await server.stop();
    }
  });
});
