// npm run screenshots: starts the demo and pictures its page for the README, in docs/images.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { provision } from './provision.mjs';
import { root } from './run.mjs';

const SHOTS = [
  { name: 'demo', width: 1280, height: 900, colorScheme: 'light', cluster: 'demo-cluster' },
  { name: 'demo-dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'demo-phone', width: 390, height: 844, colorScheme: 'light' },
];

const { CHROMIUM } = provision();
if (CHROMIUM === undefined) process.exit(1);
const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], {
  stdio: 'inherit',
});
if (built.status !== 0) process.exit(built.status ?? 1);
const folder = join(root, 'docs', 'images');
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
try {
  // Each with a demo of its own, so that nobody lingers from the picture before.
  for (const shot of SHOTS) await withDemo((url) => picture(url, shot));
} finally {
  await browser.close();
}

async function withDemo(use) {
  const main = join(root, 'dist', 'cli', 'main.js');
  const demo = spawn(process.execPath, [main, 'demo', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await use(await address(demo));
  } finally {
    demo.kill('SIGTERM');
  }
}

function address(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /open\s+(http:\S+)/.exec(text);
      if (found !== null) resolve(found[1]);
    });
    child.once('exit', () => reject(new Error('the demo ended')));
  });
}

/** A cut that has healed, in the middle of a crowd. */
async function clusterPicture(page, name) {
  const section = page.locator('.cluster');
  const button = (text) => section.getByRole('button', { name: text, exact: true });
  await button('Join storm: 300 at once').click();
  await section.getByText('300 of 300 simulated users connected').waitFor();
  await page.waitForTimeout(4000);
  await button('Cut off C').click();
  await section.getByText('A sees it down').waitFor();
  await page.waitForTimeout(3000);
  await button('Heal C').click();
  await page.waitForTimeout(4000);
  await button('Pause B').click();
  await section.getByText('A sees it suspect').waitFor();
  const { y, height } = await section.boundingBox();
  const { width } = page.viewportSize();
  const top = (await page.evaluate('scrollY')) + y - 20;
  const clip = { x: 0, y: top, width, height: height + 40 };
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, clip });
  console.error(`docs/images/${name}.png`);
}

async function picture(url, { name, width, height, colorScheme, cluster }) {
  const page = await browser.newPage({
    viewport: { width, height },
    colorScheme,
    deviceScaleFactor: width < 500 ? 2 : 1.5,
  });
  await page.goto(url);
  const column = (node) => page.locator('section', { has: page.locator(`text="Node ${node}"`) });
  const show = async (node) => {
    const tab = page.getByRole('navigation').getByRole('button', { name: `Node ${node}` });
    if (await tab.isVisible()) await tab.click();
  };
  // The last browser to open has everybody on its list.
  await show('C');
  await column('C').locator('.cure li').nth(2).waitFor();
  await column('C').getByLabel('Status').selectOption('busy');
  await column('C').getByRole('button', { name: '+ Phone' }).click();
  await column('C').locator('.cure .icons svg').nth(3).waitFor();
  await show('B');
  await column('B').getByLabel('Board').selectOption('Roadmap');
  const isNarrow = width < 500;
  const last = isNarrow ? 'C' : 'A';
  await show(last);
  // Leaving the field ends typing, so on a phone it is the shown column that types.
  await column(isNarrow ? 'C' : 'B')
    .getByLabel('Message')
    .fill('On my way');
  await column(last).locator('.typing').waitFor();
  await page.evaluate('scrollTo(0, 0)');
  // The first screen ends with the columns.
  const main = await page.locator('main').boundingBox();
  const clip = { x: 0, y: 0, width, height: Math.ceil(main.y + main.height + 20) };
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, clip });
  console.error(`docs/images/${name}.png`);
  if (cluster !== undefined) await clusterPicture(page, cluster);
  await page.close();
}
