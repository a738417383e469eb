import type { Fault } from '../../../src/sim/index.js';

/**
 * Defects planted into the built core, each a rule of the protocol left out. The simulator must find
 * every one of them: a checker that catches nothing is a defect itself. `from` must stand exactly once
 * in the file.
 */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly edits: readonly (readonly [from: string, to: string])[];
  /** Faults that bring it out, where most seeds have others that hide it. */
  readonly faults?: readonly Fault[];
}

function mutant(
  name: string,
  file: string,
  ...edits: readonly (readonly [from: string, to: string])[]
): Mutant {
  return { name, file: `core/${file}.js`, edits };
}

/** A defect that shows only where few other faults are about. */
function under(faults: readonly Fault[], { name, file, edits }: Mutant): Mutant {
  return { name, file, edits, faults };
}

export const MUTANTS: readonly Mutant[] = [
  mutant('no gap check', 'replica', [
    'if (seq === this.#have + 1 && this.#revealing === null) {',
    'if (true) {',
  ]),
  mutant(
    'no gap check and no assertion',
    'replica',
    ['if (seq === this.#have + 1 && this.#revealing === null) {', 'if (true) {'],
    ["assert(seq === this.#have + 1, 'a delta applies only to its predecessor');", ''],
  ),
  mutant(
    'stale snapshot applied',
    'replica',
    ['const newer = state.seq > this.#have ||', 'const newer = true ||'],
    ["assert(state.seq >= this.#have, 'a snapshot never takes a replica back');", ''],
  ),
  mutant('snapshot not staged', 'replica', [
    'staging.last !== -1 && staging.parts.size === staging.last + 1',
    'staging.last !== -1',
  ]),
  mutant('digest ignored', 'replica', [
    '!this.#diverged && !this.#digest.equals(state.a, state.b)',
    'false',
  ]),
  mutant('a pull is not repeated', 'replica', [
    'this.#pullUntil = now + timeout * (0.75 + random() / 2);',
    'this.#pullUntil = Infinity;',
  ]),
  mutant('a pull asks for one delta too few', 'replica', [
    'return this.#diverged ? -1 : this.#have;',
    'return this.#diverged ? -1 : this.#have + 1;',
  ]),
  mutant('a removed entry is kept', 'replica', ['this.#held.delete(key);', '']),
  mutant('a gap is forgotten', 'replica', [
    'return this.#target > this.#have || this.#diverged;',
    'return this.#diverged;',
  ]),
  mutant('buffered deltas applied without their predecessors', 'replica', [
    'const body = this.#buffer.get(this.#have + 1);',
    'const body = this.#buffer.values().next().value;',
  ]),
  under(
    [],
    mutant('a device that moves is dropped at once', 'replica', [
      "if (op.reason === 'moved') {",
      "if (op.reason === 'moved' && (op.reason = 'disconnected') === '') {",
    ]),
  ),
  under(
    ['pause'],
    mutant('a put that was taken back is sent', 'log', [
      'recorded.change = null;\n            // What follows',
      'return;\n            // What follows',
    ]),
  ),
  mutant('the log claims to reach back further than it does', 'log', [
    'missing > this.ringSize',
    'false',
  ]),
  mutant('one sequence number per owner instead of per shard', 'log', [
    'seq: ++this.#seq',
    'seq: (this.#seq = this.#limits.seq = (this.#limits.seq ?? 0) + 1)',
  ]),
  mutant('a change of the board is not sent', 'entry', [
    'if (base.boardId !== next.boardId)\n        patch.boardId = next.boardId;',
    '',
  ]),
  mutant('no fence', 'membership', [
    'this.#fence.set(peer.nodeId, { reason, name, lastHeard, heard: 0, heardFirst: 0 });',
    '',
  ]),
  under(
    ['pause', 'stall'],
    mutant('no stall rule', 'membership', ['if (late > STALL_MS) {', 'if (false) {']),
  ),
  under(
    ['outage'],
    mutant('probe ignored', 'membership', [
      'if (ok) {\n            this.#vouchedAt = sentAt;',
      'if (true) {\n            this.#vouchedAt = sentAt;',
    ]),
  ),
  mutant('hearing is not life', 'membership', ['        peer.lastHeard = now;\n', '']),
  under(
    ['sameName'],
    mutant(
      'a name supersedes the living',
      'membership',
      [
        'else if (t.now - peer.lastHeard > 1.5 * beat && this.#mayJudge(peer, beat, t.now))',
        'else',
      ],
      ['if (peer.firstHeard === newest || heardSince)', 'if (peer.firstHeard === newest)'],
    ),
  ),
  mutant('the dead are never hidden', 'membership', ['peer.owner.hidden = true;', '']),
  mutant('the silent are never down', 'membership', [
    "peer.state = 'down';\n",
    "peer.state = 'suspect';\n",
  ]),
  mutant('a return is not shown', 'membership', ['peer.owner.hidden = false;', '']),
  under(
    ['crash'],
    mutant('purge without an edge', 'node', [
      'onHidden: (peer, t) => this.#replicas.touch(peer, t),',
      'onHidden: () => {},',
    ]),
  ),
  under(
    [],
    mutant('linger forgotten', 'devices', [
      'membership.lingerUntil = t.now + this.#host.lingerMs;',
      'membership.lingerUntil = t.now;',
    ]),
  ),
  mutant('typing never ends', 'devices', [
    'if (due === undefined)\n                return;',
    "if (due === undefined)\n                return;\n            if (due.type === 'typing')\n                continue;",
  ]),
  mutant('invisibility forgotten', 'roster', [
    'return isVeiled(veil) ? null : fold(record, veil);',
    'return fold(record, veil);',
  ]),
  mutant('the invisible do not see themselves', 'telling', [
    'nextOwn = foldOwn(user);',
    'nextOwn = null;',
  ]),
  mutant('no list after a storm', 'telling', [
    'for (const socketId of sockets)\n                relisting.add(socketId);\n            community.toldSilently = true;\n            return units;',
    'return units;',
  ]),
  mutant('what is expected elsewhere is kept for ever', 'view', [
    'this.drop(held, held.untilReason, held.seenAt, false);',
    '',
  ]),
  mutant('ready without a hello', 'node', [
    'return this.#solo || (this.#started && this.#discovery.isDone);',
    'return true;',
  ]),
  mutant('nobody is asked when a shard begins', 'node', [
    'this.#ask(undefined, this.#interest.takeWants());',
    'this.#interest.takeWants();',
  ]),
  mutant(
    'heartbeats without the changed shards',
    'publisher',
    ['for (const index of this.#changed)\n            states.push(this.log(index).state());', ''],
    [
      'for (let i = 0; i < Math.min(ROLLING_STATES, logs.length); i++) {',
      'for (let i = 0; i < 0; i++) {',
    ],
  ),
  mutant('priming waits for the dead', 'interest', [
    'if (shard.awaiting.delete(nodeId))\n                this.#check(shard);',
    '',
  ]),
  mutant('interest never ends', 'interest', [
    'shard.dropAt = now + dropDelayMs;',
    'shard.dropAt = Infinity;',
  ]),
  mutant('a dropped shard is kept', 'replicas', ['peer.replicas.delete(shard);', '']),
  under(
    ['outage'],
    mutant('what trickles in while cut off is told', 'interest', [
      'shard.quiet = true;\n            shard.quietUntil = Infinity;',
      '',
    ]),
  ),
  mutant('the cut off keep asking', 'node', [
    'if (!this.#membership.degraded)\n            at = Math.min',
    'at = Math.min',
  ]),
];
