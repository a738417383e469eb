import { expect, it } from 'vitest';
import { Channels } from '../../../src/redis/channels.js';
import { Keys } from '../../../src/redis/keys.js';

const SCOPES: [cluster?: string | undefined, namespace?: string][] = [
  [],
  [undefined, '/x'],
  ['/x'],
  ['x'],
  ['x', '/x'],
  ['x:/x'],
  ['x', '/x:/x'],
  ['{x}', '/{x}'],
  ['%7Bx%7D', '/{x}'],
  ['%2Fx'],
];

it('keeps every cluster and namespace apart', () => {
  const keys = SCOPES.map((scope) => new Keys('p', ...scope).entries('c'));
  expect(new Set(keys).size).toBe(SCOPES.length);
  const channels = SCOPES.map((scope) => new Channels('p', ...scope).shard(1));
  expect(new Set(channels).size).toBe(SCOPES.length);
});

it('names the main namespace and others as Socket.IO does', () => {
  expect(new Keys('p', undefined, '/').entries('c')).toBe('p:{c}:entries');
  expect(new Keys('p', undefined, '').entries('c')).toBe('p:{c}:entries');
  expect(new Keys('p', undefined, 'chat').entries('c')).toBe('p:/chat:{c}:entries');
  expect(new Channels('p', 'k', '/chat').all).toBe('p:{k:/chat}:all');
});

it('says what it takes', () => {
  expect(() => new Keys('p', 7 as unknown as string)).toThrow('cluster must be a string');
  const namespace = new RegExp('/chat') as unknown as string;
  expect(() => new Keys('p', 'k', namespace)).toThrow('namespace must be a string');
});
