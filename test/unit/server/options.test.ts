import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { expect, it } from 'vitest';
import { createPresence, DEFAULT_LIMITS, resolveOptions } from 'rollcall';

const identify = (): null => null;

it.each([
  ['a misspelt option', { lingerms: 100 }, /no option lingerms; there is .*lingerMs/],
  ['a name of the language', JSON.parse('{"__proto__":1}') as object, /no option __proto__/],
  ['a function as logger', { logger: console.log }, /logger must have info, warn, error/],
  ['half a logger', { logger: { info: console.log } }, /logger must have info, warn, error/],
  ['null as logger', { logger: null }, /logger must have info, warn, error/],
  ['a field as sortKey', { sortKey: 'name' }, /sortKey must be a function/],
  ['true as lastSeen', { lastSeen: true }, /lastSeen must have record, read/],
  ['a name as transport', { transport: 'redis' }, /transport must have start, publish/],
  ['a misspelt limit', { limits: { idbytes: 1 } }, /limits has no idbytes/],
  ['a number as limits', { limits: 5 }, /limits must be an object/],
])('refuses %s at once, and says what is taken', (_name, wrong, message) => {
  expect(() => resolveOptions({ identify, ...wrong } as never)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
  );
});

it('takes what is undefined for what is not given', () => {
  const { limits } = resolveOptions({
    identify,
    logger: undefined,
    lastSeen: undefined,
    limits: undefined,
  } as never);
  expect(limits).toEqual(DEFAULT_LIMITS);
});

it.each([
  ['nothing', undefined],
  ['an HTTP server', createServer()],
  ['an application', () => {}],
  ['the options of a server', {}],
])('refuses %s where a server of Socket.IO is to be', (_name, wrong) => {
  expect(() => createPresence(wrong as unknown as Server, { identify })).toThrow(
    expect.objectContaining({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('Socket.IO'),
    }),
  );
});
