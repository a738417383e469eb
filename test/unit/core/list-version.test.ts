import { expect, it } from 'vitest';
import { PresenceNode } from 'rollcall/core';

it('gives the list of a community that was closed and opened again another version', () => {
  const node = new PresenceNode({ nodeId: 'n', random: () => 0, solo: true });
  let now = 0;
  const t = (): { now: number; wall: number } => ({ now: (now += 100), wall: now });
  node.start(t());
  const lists = ['ada', 'bob'].map((userId) => {
    node.connect(`s-${userId}`, { userId, deviceId: 'd' }, t());
    node.join(`s-${userId}`, 'c', t());
    node.tick(t());
    const list = node.encodedList('c');
    node.disconnect(`s-${userId}`, 'left', t());
    node.tick(t());
    return list;
  });
  expect(lists[0]?.parts.join()).toContain('ada');
  expect(lists[1]?.parts.join()).toContain('bob');
  expect(lists[1]?.version).not.toBe(lists[0]?.version);
});
