import { randomBytes } from 'node:crypto';
import { DEFAULT_CLUSTER } from '../core/node-options.js';
import { startOfMessages } from '../core/wire.js';
import type { Address, MediumEvents, Transport } from '../transport/index.js';
import type { TransportHost } from '../strategy/index.js';
import type { ChannelLink } from './channel-link.js';
import type { Channels } from './channels.js';
import { DeathWatch } from './death-watch.js';
import { decodeFrame, encodeEcho, encodeFrame, startOfFrame } from './frame.js';
import { answered } from './link.js';
import { Subscriptions } from './subscriptions.js';

/** What asks waits for subscriptions this long; then the answers come, and what is missed is pulled. */
const HOLD_MS = 1000;
/** What waits beyond this is asked again by the core. */
const HELD = 1000;
/** What is sent while so much has not been taken by the server yet is not sent: it may stand still. */
const MOST_UNTAKEN_BYTES = 16 * 1024 * 1024;
/** How often this node shows life while it cannot be seen to hear. */
const DOUBT_MS = 150;
const ECHO_MS = 1000;
const ECHO_AGAIN_MS = 50;
/** What was missed is asked for at most this often. */
const RETURN_MS = 3000;

interface Held {
  readonly data: string;
  readonly channel: string;
}

/**
 * Carries presence on channels of Redis: one for all nodes, one per shard, one per node. A node hears
 * of the shards that it takes part in, and answers reach who asked.
 */
export class RedisTransport implements Transport {
  readonly kind = 'redis-channels';
  readonly isSolo = false;
  readonly canProbe = true;
  readonly isRouted = true;
  readonly bytes = { sent: 0, received: 0 };
  readonly #link: ChannelLink;
  readonly #channels: Channels;
  readonly #host: TransportHost;
  readonly #own: string;
  /** How what this node says itself begins, most of it. */
  readonly #ownStart: Buffer;
  readonly #subscriptions: Subscriptions;
  readonly #watch: DeathWatch;
  readonly #echoes = new Map<string, () => void>();
  #onMessage: (data: unknown) => void = () => {};
  #medium: MediumEvents | undefined;
  #untaken = 0;
  #held: Held[] = [];
  #holding: NodeJS.Timeout | undefined;
  #doubting: NodeJS.Timeout | undefined;
  #wasUp = false;
  /** A connection was lost, and it has not been seen yet that all is well again. */
  #isAway = false;
  #losses = 0;
  #isConfirming = false;
  /** It is back, and what was missed has not been asked for yet. */
  #isBehind = false;
  #returning: NodeJS.Timeout | undefined;
  #returnedAt = -Infinity;
  #fault = '';
  #closed = false;

  constructor(link: ChannelLink, channels: Channels, host: TransportHost) {
    this.#link = link;
    this.#channels = channels;
    this.#host = host;
    this.#own = channels.node(host.nodeId);
    this.#ownStart = startOfFrame(startOfMessages(host.cluster ?? DEFAULT_CLUSTER, host.nodeId));
    const onFault = (reason: string): void => this.#report(reason);
    this.#subscriptions = new Subscriptions(link, () => this.#settled(), onFault);
    this.#watch = new DeathWatch({
      open: (turn) => link.openWatch(turn),
      own: this.#own,
      channelOf: (nodeId) => channels.node(nodeId),
      silences: () => this.#medium?.silences() ?? [],
      onGone: (nodeId, forMs) => this.#medium?.onGone(nodeId, forMs),
      onFault,
    });
  }

  start(onMessage: (data: unknown) => void, _onAsked?: unknown, medium?: MediumEvents): void {
    this.#onMessage = onMessage;
    this.#medium = medium;
    this.#link.start(
      (channel, frame) => this.#receive(channel, frame),
      (isLost) => this.#changed(isLost),
    );
    this.#subscriptions.want(this.#own, true);
    this.#subscriptions.want(this.#channels.all, true);
    this.#watch.start();
  }

  publish(data: string, address?: Address): boolean {
    const channel = this.#channels.of(address?.route ?? 'all');
    if (address?.asks === true && !this.#hears) return this.#hold({ data, channel });
    return this.#send(channel, encodeFrame(data));
  }

  /** What is for this node now comes in, as far as is known. */
  get #hears(): boolean {
    return this.#link.canHear && !this.#isAway && this.#subscriptions.begun;
  }

  #send(channel: string, frame: string | Buffer): boolean {
    // What a client queues while it is not connected would arrive at an unknown time.
    if (this.#closed || !this.#link.canPublish) return false;
    const bytes = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.length;
    if (this.#untaken > 0 && this.#untaken + bytes > MOST_UNTAKEN_BYTES) return false;
    this.#untaken += bytes;
    this.bytes.sent += bytes;
    const losses = this.#losses;
    const settle = (): void => {
      if (losses === this.#losses) this.#untaken -= bytes;
    };
    this.#link.publish(channel, frame).then(settle, (error: unknown) => {
      settle();
      this.#report(error instanceof Error ? error.message : String(error));
    });
    return true;
  }

  #hold(held: Held): boolean {
    if (!this.#link.canPublish || this.#held.length >= HELD) return false;
    this.#held.push(held);
    this.#holding ??= setTimeout(() => this.#release(true), HOLD_MS).unref();
    return true;
  }

  #release(isLate: boolean): void {
    if (this.#held.length === 0 || (!isLate && !this.#hears)) return;
    clearTimeout(this.#holding);
    this.#holding = undefined;
    for (const { channel, data } of this.#held.splice(0)) this.#send(channel, encodeFrame(data));
  }

  /** A channel has come to be heard, or has failed to. */
  #settled(): void {
    this.#release(false);
    this.#catchUp();
  }

  #receive(channel: string, bytes: Buffer): void {
    if (this.#closed) return;
    this.bytes.received += bytes.length;
    // A channel brings back what this node has sent; the core would let go of it, too.
    const { length } = this.#ownStart;
    if (bytes.length > length && this.#ownStart.compare(bytes, 0, length) === 0) return;
    const frame = decodeFrame(bytes, this.#host.maxMessageBytes);
    if (frame?.kind === 'echo') {
      if (channel === this.#own) this.#echoes.get(frame.token)?.();
      return;
    }
    // The core counts what is no message.
    this.#onMessage(frame?.text);
  }

  interest(shard: number, on: boolean): void {
    this.#subscriptions.want(this.#channels.shard(shard), on);
  }

  peer(nodeId: string, on: boolean): void {
    this.#watch.watch(nodeId, on);
  }

  /** What this node sends to itself comes in. */
  async probe(): Promise<boolean> {
    // While the connections are made for the first time there is something to wait for.
    if (this.#wasUp && !(this.#link.canPublish && this.#link.canHear)) return false;
    const token = randomBytes(9).toString('base64url');
    const frame = encodeEcho(token);
    // A subscription that is being renewed may miss the first.
    const sending = setInterval(() => this.#send(this.#own, frame), ECHO_AGAIN_MS);
    try {
      const heard = new Promise<void>((resolve) => this.#echoes.set(token, resolve));
      this.#send(this.#own, frame);
      await answered(heard, ECHO_MS);
      this.#fault = '';
      return true;
    } catch {
      return false;
    } finally {
      clearInterval(sending);
      this.#echoes.delete(token);
    }
  }

  /** A connection has gone or come. */
  #changed(isLost: boolean): void {
    if (isLost) this.#subscriptions.lost();
    if (isLost && this.#wasUp) {
      this.#isAway = true;
      this.#losses++;
      // What a lost connection had not taken may never be heard of: it must not count for ever.
      this.#untaken = 0;
    }
    // A client sets its state around the event.
    setImmediate(() => {
      if (this.#closed) return;
      const { canPublish, canHear } = this.#link;
      const isUp = canPublish && canHear;
      if (canHear) this.#subscriptions.retry();
      if (this.#wasUp && !isUp) this.#isAway = true;
      this.#wasUp ||= isUp;
      this.#doubt(this.#isAway && canPublish);
      if (this.#isAway && isUp) void this.#confirm();
    });
  }

  /** Others may see this node's channel without anybody on it: what it says shows that it lives. */
  #doubt(on: boolean): void {
    if (!on) {
      clearInterval(this.#doubting);
      this.#doubting = undefined;
    } else if (this.#doubting === undefined) {
      this.#medium?.onDoubted();
      this.#doubting = setInterval(() => this.#medium?.onDoubted(), DOUBT_MS).unref();
    }
  }

  /** The client says that it is connected again; whether it hears again shows when it does. */
  async #confirm(): Promise<void> {
    if (this.#isConfirming) return;
    this.#isConfirming = true;
    const losses = this.#losses;
    const hears = (await this.probe()) && losses === this.#losses;
    this.#isConfirming = false;
    if (this.#closed || !this.#isAway) return;
    if (!hears) {
      setTimeout(() => this.#changed(false), ECHO_MS).unref();
      return;
    }
    this.#isAway = false;
    this.#isBehind = true;
    this.#doubt(false);
    this.#release(false);
    this.#catchUp();
  }

  /** What is asked for before every channel is heard again would leave a gap behind it. */
  #catchUp(): void {
    if (!this.#isBehind || this.#isAway || !this.#subscriptions.stand) return;
    this.#isBehind = false;
    this.#return();
  }

  /** A master of a Redis Cluster that stays away is lost again and again: others are not asked each time. */
  #return(): void {
    if (this.#returning !== undefined) return;
    const inMs = Math.max(0, this.#returnedAt + RETURN_MS - performance.now());
    this.#returning = setTimeout(() => {
      this.#returning = undefined;
      this.#returnedAt = performance.now();
      this.#medium?.onReturn();
    }, inMs);
  }

  /** Once per reason, until the medium has been seen to work again. */
  #report(reason: string): void {
    if (this.#closed || reason === this.#fault) return;
    this.#fault = reason;
    this.#host.onFault(reason);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#holding);
    clearInterval(this.#doubting);
    clearTimeout(this.#returning);
    this.#subscriptions.close();
    this.#watch.close();
    this.#link.close();
  }
}
