import type { TestRedis } from './redis.js';
import { waitFor } from './wait.js';

/** Whether a replica is connected to its master. */
export async function follows(replica: TestRedis): Promise<boolean> {
  const state = 'master_link_status:up';
  const asked = `"return redis.call('INFO','replication'):find('${state}') and 1 or 0"`;
  return (await replica.command('EVAL', asked, '0')) === ':1';
}

/** From now on the replica hears nothing of what is written: a failover loses it. */
export async function separate(master: TestRedis, replica: TestRedis): Promise<void> {
  // The master has no password, so who gives one is refused.
  await replica.command('CONFIG', 'SET', 'masterauth', 'none');
  await waitFor(async () => {
    await master.command('CLIENT', 'KILL', 'TYPE', 'replica');
    return !(await follows(replica));
  }, 'the replica to be cut off');
}
