import { createClient } from 'redis';
import { afterEach, describe, expect, it } from 'vitest';
import { hasRedis, TestRedis } from '../../support/redis.js';

describe.runIf(hasRedis)("a test's own redis-server", () => {
  const started: TestRedis[] = [];
  afterEach(() => Promise.all(started.splice(0).map((redis) => redis.stop())));

  async function start(args?: readonly string[]): Promise<TestRedis> {
    const redis = await TestRedis.start(args);
    started.push(redis);
    return redis;
  }

  async function ask(redis: TestRedis, command: readonly string[]): Promise<unknown> {
    const client = createClient({
      url: redis.url,
      socket: { reconnectStrategy: false },
      disableOfflineQueue: true,
    });
    client.on('error', () => {}); // The rejection of connect() tells it.
    await client.connect();
    try {
      return await client.sendCommand([...command]);
    } finally {
      client.destroy();
    }
  }

  it('answers as soon as it has started, each on a port of its own', async () => {
    const [a, b] = await Promise.all([start(), start()]);
    expect(a.port).not.toBe(b.port);
    expect(await ask(a, ['PING'])).toBe('PONG');
    await ask(a, ['SET', 'key', 'of a']);
    expect(await ask(b, ['GET', 'key'])).toBeNull();
  });

  it('comes back empty on the same port after a kill', async () => {
    const redis = await start();
    const { port, pid } = redis;
    await ask(redis, ['SET', 'key', 'value']);
    await redis.kill();
    await expect(ask(redis, ['PING'])).rejects.toThrow();
    await redis.restart();
    expect(redis.port).toBe(port);
    expect(redis.pid).not.toBe(pid);
    expect(await ask(redis, ['GET', 'key'])).toBeNull();
  });

  it('is gone when stopped, even while it hangs', async () => {
    const redis = await start();
    process.kill(redis.pid, 'SIGSTOP');
    await redis.stop();
    expect(() => process.kill(redis.pid, 0)).toThrow('ESRCH');
  });

  it('keeps further arguments over a restart', async () => {
    const redis = await start(['--maxmemory', '64mb']);
    await redis.restart();
    expect(await ask(redis, ['CONFIG', 'GET', 'maxmemory'])).toEqual({ maxmemory: '67108864' });
  });

  it('says why it did not start', async () => {
    await expect(TestRedis.start(['--no-such-option', 'x'])).rejects.toThrow(/no-such-option/);
  });
});
