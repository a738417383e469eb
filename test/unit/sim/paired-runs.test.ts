import { describe, expect, it } from 'vitest';
import { drawPlan, World, type Action, type Plan } from '../../../src/sim/index.js';

/** What every node told of each user, in order; between users of one flush the order means nothing. */
function toldIn(
  plan: Plan,
  leaveOut: (line: string) => boolean,
  fromMs = 0,
): Record<string, string[]> {
  const told: Record<string, string[]> = {};
  const world = new World(plan);
  const note = world.note.bind(world);
  world.note = (line) => {
    note(line);
    const [, node, userId, communityId] = /^(\S+) tells .* (\S+) (c\d+)$/.exec(line) ?? [];
    if (node === undefined || world.now < fromMs || leaveOut(line)) return;
    // In the end all go at once, and nobody is there to be told.
    if (!world.clients.some(({ online }) => online)) return;
    (told[`${node} ${userId} ${communityId}`] ??= []).push(
      line.replace(/tells (all|server|others)/, 'tells'),
    );
  };
  world.run();
  return told;
}

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

describe('paired runs', () => {
  it('I18: steps of the wall clock change no event', () => {
    let steps = 0;
    for (const seed of SEEDS) {
      const plan = drawPlan(seed, { faults: ['clockStep', 'crash', 'leave'] });
      const without = plan.actions.filter(({ kind }) => kind !== 'clockStep');
      steps += plan.actions.length - without.length;
      // Times of the wall are shown, and a change of what is shown is an update.
      const isUpdate = (line: string): boolean => line.includes('userUpdated');
      expect(toldIn(plan, isUpdate), `seed ${seed}`).toEqual(
        toldIn({ ...plan, actions: without }, isUpdate),
      );
    }
    expect(steps).toBeGreaterThan(20);
  });

  it('I15: what others are told does not depend on what an invisible user does', () => {
    let deeds = 0;
    for (const seed of SEEDS) {
      const base = drawPlan(seed, { calm: true });
      const { nodes, communities, users } = base.options;
      const everywhere = Array.from({ length: communities }, (_, i) => i);
      // Somebody watches every community on every node, so that everything told is heard.
      const watchers = Array.from({ length: nodes }, (_, i) => ({
        user: users + 1 + i,
        device: 0,
        communities: everywhere,
      }));
      const hidden = base.clients.length;
      const plan: Plan = {
        // No delays and no drift: what a hidden user's messages do to the order of others' does not count.
        options: { ...base.options, delayMs: 0, drift: 0 },
        clients: [
          ...base.clients,
          { user: users, device: 0, communities: everywhere },
          ...watchers,
        ],
        actions: [
          ...base.actions,
          ...watchers.map((_, node): Action => ({
            at: 2500,
            kind: 'open',
            client: hidden + 1 + node,
            node,
          })),
        ],
      };
      const appears: Action[] = [
        { at: 5000, kind: 'open', client: hidden, node: 0 },
        { at: 6000, kind: 'update', client: hidden, patch: { status: 'invisible' } },
      ];
      const acts: Action[] = [
        { at: 9000, kind: 'update', client: hidden, patch: { boardId: 'secret' } },
        { at: 9500, kind: 'update', client: hidden, patch: { typing: true } },
        { at: 12_000, kind: 'update', client: hidden, patch: { meta: { n: 1 } } },
        { at: 15_000, kind: 'drop', client: hidden, awayMs: 500, node: 0 },
        { at: 20_000, kind: 'close', client: hidden },
      ];
      deeds += acts.length;
      const merge = (more: Action[]): Plan => ({
        ...plan,
        actions: [...plan.actions, ...more].sort((a, b) => a.at - b.at),
      });
      // What sockets are told of their own user is nobody else's business.
      const own = (line: string): boolean => line.includes(' tells own');
      // By then the nodes have found each other, and the user is hidden.
      expect(toldIn(merge([...appears, ...acts]), own, 8000), `seed ${seed}`).toEqual(
        toldIn(merge(appears), own, 8000),
      );
    }
    expect(deeds).toBe(5 * SEEDS.length);
  });
});
