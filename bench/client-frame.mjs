// How much a client's one thread has to do for a diff of 1,000 users into a list of 10,000: all CPU time
// from the first of the messages until the listeners have been told, garbage included.
import { EventEmitter } from 'node:events';
import { createPresenceClient } from 'rollcall/client';
import { createPresenceWindow } from 'rollcall/client/window';
import { pause, quantile } from './workers.mjs';

const USERS = 10_000;
const CHANGED = 1000;
const ROUNDS = 40;
/** Longer than a client collects what comes. */
const FRAME_MS = 50;

/** A connection whose server is this program. */
class Connection extends EventEmitter {
  connected = true;
  active = true;
  id = 'socket';
  answer = {};
  timeout() {
    return { emit: (...args) => args.at(-1)(null, { ok: true, ...this.answer }) };
  }
}

function user(i, round) {
  const [status, lastActiveAt] = [round % 2 === 0 ? 'active' : 'busy', round];
  return {
    userId: `user-${i}`,
    communityId: 'c',
    status,
    info: { name: `Somebody Number ${i}`, avatar: `https://example.org/avatars/${i}.png` },
    devices: [{ deviceId: 'browser-tab-1', status, connectedAt: 1, lastActiveAt }],
    onlineSince: 1,
    lastActiveAt,
  };
}

/** The median over all rounds but the first, which warm up. */
async function measure(store, tell) {
  const used = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const users = Array.from({ length: CHANGED }, (_, i) => user(i * 7, round));
    await pause(FRAME_MS);
    let told = 0;
    const end = store.subscribe(() => told++);
    const before = process.cpuUsage();
    tell(users);
    await pause(FRAME_MS);
    const { user: own, system } = process.cpuUsage(before);
    end();
    if (told !== 1) throw new Error(`told ${told} times of one diff`);
    if (round > ROUNDS / 4) used.push((own + system) / 1000);
  }
  return quantile(used, 0.5);
}

/** Ms of CPU for a diff told by an event for each user, and for the same in one message. */
export async function clientFrame() {
  const everybody = Array.from({ length: USERS }, (_, i) => user(i, 0));
  const info = { communityId: 'c', complete: true, nodes: 2 };

  const plain = new Connection();
  const client = createPresenceClient(plain, { userId: 'user-0', leaveAfterMs: false });
  const community = client.community('c');
  community.subscribe(() => {});
  plain.emit('globalPresenceSync', structuredClone(everybody), info);
  const events = await measure(community, (users) => {
    for (const userPresence of users) {
      const { userId } = userPresence;
      plain.emit('userUpdated', { communityId: 'c', userId, userPresence });
    }
  });
  client.close();

  const watching = new Connection();
  watching.answer = { communityId: 'c', complete: true, total: USERS, users: everybody };
  const window = createPresenceWindow(watching, 'c');
  const diff = await measure(window, (users) => {
    watching.emit('presenceDiff', { communityId: 'c', complete: true, total: USERS, users });
  });
  watching.connected = false;
  window.close();
  return { events, diff };
}
