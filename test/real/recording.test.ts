import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { ServeProcess } from '../support/serve.js';

const folder = mkdtempSync(join(tmpdir(), 'rollcall-recording-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.runIf(hasRedis)('a recording', () => {
  const started: ServeProcess[] = [];
  let redis: TestRedis | undefined;
  afterEach(async () => {
    await Promise.all(started.splice(0).map((each) => each.stop()));
    await redis?.stop();
    redis = undefined;
  });

  async function run(
    ...args: string[]
  ): Promise<{ code: number | null; out: string; err: string }> {
    const child = ServeProcess.spawn(args);
    started.push(child);
    const code = await child.process.exited();
    return { code, out: child.process.stdout, err: child.process.stderr };
  }

  it('is replayed to what the node told and believed', async () => {
    redis = await TestRedis.start();
    const file = join(folder, 'incident.jsonl');
    const a = await ServeProcess.start(['--redis', redis.url, '--record', file]);
    const b = await ServeProcess.start(['--redis', redis.url]);
    started.push(a, b);
    const ada = await TestClient.join(a.url, { userId: 'ada', deviceId: 'd1', communities: ['c'] });
    const bob = await TestClient.join(b.url, { userId: 'bob', deviceId: 'd2', communities: ['c'] });
    await ada.sees('c', ['ada', 'bob']);
    await ada.send('presenceUpdate', { status: 'busy' });
    await bob.sees('c', ['ada', 'bob']);
    bob.close();
    await ada.sees('c', ['ada']);
    expect(await a.stop('SIGTERM')).toBe(0);

    const whole = await run('replay', file);
    expect(whole.code).toBe(0);
    expect(whole.out).toContain('tells all: userOnline bob in c');
    expect(whole.out).toContain('tells all: userOffline bob in c (left)');
    expect(whole.out).toContain(`node ${b.nodeId}`);

    // What the node believed while both were there, found by its own times.
    const online = /([\d.]+) s {4}tells all: userOnline bob/.exec(whole.out)?.[1];
    const half = await run('replay', file, '--until', String(Number(online) + 0.001));
    expect(half.out).toMatch(/c: 2 online, complete, 1 sockets here: (ada×1 bob×1|bob×1 ada×1)/);

    // A crash may cut the last line off.
    truncateSync(file, readFileSync(file).length - 7);
    expect((await run('replay', file)).code).toBe(0);
  });

  it('is whole, and the node ends in order, though Redis stands still', async () => {
    redis = await TestRedis.start();
    const file = join(folder, 'stopped.jsonl');
    const node = await ServeProcess.start(['--redis', redis.url, '--record', file]);
    started.push(node);
    process.kill(redis.pid, 'SIGSTOP');
    expect(await node.stop('SIGTERM')).toBe(0);
    expect(node.log.map((line) => line['event'])).not.toContain('crash');
    expect(readFileSync(file, 'utf8')).toMatch(/\["close",.*\n$/);
  });

  it('says why it cannot be made or read', async () => {
    const nowhere = await run(
      'serve',
      '--auth',
      'insecure',
      '--port',
      '0',
      '--record',
      join(folder, 'no', 'where'),
    );
    expect(nowhere).toMatchObject({ code: 1 });
    expect(nowhere.err).toMatch(/--record: .* cannot be written/);
    const other = await run(
      'serve',
      '--auth',
      'insecure',
      '--strategy',
      'on-demand',
      '--record',
      join(folder, 'x'),
    );
    expect(other).toMatchObject({ code: 2 });
    expect(other.err).toContain('--record is for --strategy replicated');
    expect(await run('replay', join(folder, 'missing'))).toMatchObject({ code: 1, out: '' });
    const broken = join(folder, 'broken.jsonl');
    writeFileSync(broken, '{"hello":1}\n["tick",{"now":1,"wall":1}]\n');
    const read = await run('replay', broken);
    expect(read).toMatchObject({ code: 1 });
    expect(read.err).toContain('does not begin with the header');
  });
});
