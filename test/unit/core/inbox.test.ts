import { beforeEach, describe, expect, it } from 'vitest';
import { PresenceNode, type Effect, type Instant } from 'rollcall/core';
import {
  decodeMessage,
  encodeMessage,
  startOfMessages,
  type Message,
} from '../../../src/core/wire.js';

/**
 * On most media a node hears what others are answered, too. Every node counts its requests from one, so the
 * numbers of two nodes' requests are often the same: whom an answer is for must be looked at.
 */
describe('an answer to another node', () => {
  let now: number;
  let node: PresenceNode;
  let effects: Effect[];
  const t = (): Instant => ({ now, wall: 1e12 + now });
  const say = (message: Message): void =>
    node.receive(encodeMessage(startOfMessages('rollcall', 'b'), 1, message), t());
  const answer = (nodeId: string, request: number): void =>
    say({
      kind: 'beat',
      full: true,
      name: undefined,
      keeping: 'log',
      entries: 0,
      states: [],
      answers: [{ nodeId, request }],
    });

  /** Lets time go by; gives the messages of this kind that the node has sent meanwhile. */
  function run<K extends Message['kind']>(
    ms: number,
    kind: K,
    each: (message: Extract<Message, { kind: K }>) => void = () => {},
  ): Extract<Message, { kind: K }>[] {
    const sent: Extract<Message, { kind: K }>[] = [];
    for (const end = now + ms; now < end; now += 10) {
      if (now >= node.nextTickAt()) node.tick(t());
      for (const effect of node.take()) {
        effects.push(effect);
        if (effect.kind !== 'send') continue;
        const envelope = decodeMessage(effect.data, 'rollcall', 1e6);
        if (typeof envelope === 'string' || envelope.message.kind !== kind) continue;
        const message = envelope.message as Extract<Message, { kind: K }>;
        sent.push(message);
        each(message);
      }
    }
    return sent;
  }

  beforeEach(() => {
    now = 0;
    effects = [];
    node = new PresenceNode({ nodeId: 'a', random: () => 0.5 });
    node.start(t());
    run(1500, 'hello', ({ request }) => answer('a', request));
    expect(node.isReady).toBe(true);
  });

  it('does not make a list complete', () => {
    node.connect('s', { userId: 'ada', deviceId: 'd' }, t());
    node.join('s', 'c', t());
    const [pull] = run(50, 'pull');
    const { request } = pull as Extract<Message, { kind: 'pull' }>;
    answer('z', request);
    expect(node.info('c').complete).toBe(false);
    answer('a', request);
    expect(node.info('c').complete).toBe(true);
  });

  it('is not taken for one about the user that this node asked for', () => {
    const request = node.fetchUser('ada', t());
    const answered = (): Effect[] => effects.filter(({ kind }) => kind === 'answered');
    say({ kind: 'answer', to: 'z', request, body: '[]' });
    run(50, 'ask');
    expect(answered()).toHaveLength(0);
    say({ kind: 'answer', to: 'a', request, body: '[]' });
    run(50, 'ask');
    expect(answered()).toHaveLength(1);
  });
});
