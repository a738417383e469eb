import type { Locator } from 'playwright-core';
import { beforeEach, describe, expect, it } from 'vitest';
import { hasChromium } from '../support/browser.js';
import { DemoPage } from '../support/demo-page.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { waitFor } from '../support/wait.js';

describe.runIf(hasChromium)('the cluster on the page of rollcall demo', () => {
  const at = new DemoPage();
  beforeEach(async () => {
    for (const name of ['A', 'B', 'C']) await card(name, 'well').waitFor();
    for (const name of LANES) await lane(name, 'right');
  });

  const LANES = ['Ada on A', 'Ben on B', 'Cleo on C'];
  const cluster = (): Locator => at.page.getByRole('region', { name: 'The cluster behind it' });
  /** A node's card, once it has this word for the node's state. */
  const card = (node: string, state: string): Locator =>
    cluster()
      .getByRole('listitem', { name: `Node ${node}` })
      .filter({ has: at.page.getByText(state, { exact: true }) });
  const press = (name: string): Promise<void> =>
    cluster().getByRole('button', { name, exact: true }).click();
  const counts = (node: string, text: string): Promise<void> => at.counts(node, text);
  const lane = (name: string, state: string): Promise<void> =>
    cluster()
      .locator('.timeline .rollcall', { hasText: name })
      .getByText(state, { exact: true })
      .waitFor();

  it('shows who takes a paused node for dead, and that all is well when it goes on', async () => {
    await press('Pause B');
    await card('B', 'paused').getByText('A sees it down').waitFor();
    await counts('A', '2 online');
    expect((await at.demo.nodes()).find(({ name }) => name === 'B')?.state).toBe('paused');
    await press('Go on B');
    for (const name of ['A', 'B', 'C']) await card(name, 'well').waitFor();
    for (const name of ['A', 'B', 'C']) await counts(name, '3 online');
    for (const name of LANES) await lane(name, 'right');
  });

  it('shows views that diverge when a node is cut off, and converge when it is healed', async () => {
    await press('Cut off C');
    await card('C', 'cut off').getByText('A sees it down').waitFor();
    await counts('A', '2 online');
    await counts('C', '1 online');
    await lane('Ada on A', '1 missing');
    await lane('Cleo on C', '2 missing');
    // The process and its clients are untouched.
    expect(await at.page.getByRole('region', { name: 'Node C' }).innerText()).toMatch(
      /up, pid \d+/,
    );
    await press('Heal C');
    for (const name of ['A', 'B', 'C']) await counts(name, '3 online');
    for (const name of LANES) await lane(name, 'right');
  });

  it('restarts a killed node, and shows its new incarnation only', async () => {
    await press('Kill B');
    await card('B', 'dead to A, C').or(card('B', 'dead to C, A')).waitFor();
    await press('Start B');
    for (const name of ['A', 'B', 'C']) await card(name, 'well').waitFor();
    await waitFor(
      async () => (await cluster().getByRole('listitem', { name: /^Node/ }).count()) === 3,
      'three nodes to be shown',
    );
    for (const name of LANES) await lane(name, 'right');
  });

  it('takes in a storm of simulated users, shows a few of them, and sends them away', async () => {
    await press('Join storm: 300 at once');
    await cluster().getByText('300 of 300 simulated users connected').waitFor();
    for (const name of ['A', 'B', 'C']) await counts(name, '303 online');
    for (const name of LANES) await lane(name, 'right');
    const rows = at.page.getByLabel('rollcall on node A').getByRole('listitem');
    expect(await rows.count()).toBe(9);
    expect(await rows.last().innerText()).toBe('and 295 more');
    await press('Send them away');
    await cluster().getByText('no simulated users').waitFor();
    for (const name of ['A', 'B', 'C']) await counts(name, '3 online');
  });

  it.runIf(hasRedis)('changes the strategy by a rolling restart', async () => {
    const redis = await TestRedis.start();
    try {
      await at.restart(['--redis', redis.url]);
      for (const strategy of ['on-demand', 'dual-write', 'redis', 'replicated']) {
        await cluster().getByLabel('Strategy').selectOption(strategy);
        const said = `the nodes run with the strategy ${strategy}`;
        await waitFor(() => at.demo.stdout.includes(said), said);
        for (const name of ['A', 'B', 'C']) await card(name, 'well').waitFor();
        for (const name of ['A', 'B', 'C']) await counts(name, '3 online');
        for (const name of LANES) await lane(name, 'right');
      }
    } finally {
      await at.demo.stop();
      await redis.stop();
    }
  });

  it('shows several communities and who is on their boards', async () => {
    const workspace = at.page.getByRole('region', { name: 'Communities and boards' });
    const guild = workspace.getByRole('article', { name: 'Design guild' });
    await guild.getByText('2 online').waitFor();
    await workspace.getByRole('article', { name: 'Team' }).getByText('3 online').waitFor();
    const cleo = at.page.getByRole('region', { name: 'Node C' });
    await cleo.getByLabel('Board').selectOption('Icons');
    const icons = guild.getByRole('listitem').filter({ hasText: 'Icons' });
    await icons.getByText('Cleo', { exact: true }).waitFor();
    await cleo.getByLabel('Message').fill('Hello');
    await icons.getByText('Cleo typing').waitFor();
  });
});
