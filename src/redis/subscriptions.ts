import type { ChannelLink } from './channel-link.js';

/** A subscription that failed is tried again after this. */
const AGAIN_MS = 1000;

interface Channel {
  wanted: boolean;
  /** Undefined where a connection was lost since: the client may have subscribed anew, or have failed to. */
  stands: boolean | undefined;
  /** A command for it is on its way. One at a time: clients mix up those that overlap. */
  isBusy: boolean;
  again: NodeJS.Timeout | undefined;
}

/** Which channels this node hears, brought into line with which it wants to hear. */
export class Subscriptions {
  readonly #link: ChannelLink;
  readonly #onSettled: () => void;
  readonly #onFault: (reason: string) => void;
  readonly #channels = new Map<string, Channel>();
  #closed = false;

  /** `onSettled` is called whenever a channel has come to be heard, or has failed to. */
  constructor(link: ChannelLink, onSettled: () => void, onFault: (reason: string) => void) {
    this.#link = link;
    this.#onSettled = onSettled;
    this.#onFault = onFault;
  }

  want(name: string, wanted: boolean): void {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      if (!wanted) return;
      channel = { wanted, stands: false, isBusy: false, again: undefined };
      this.#channels.set(name, channel);
    }
    channel.wanted = wanted;
    this.#align(name, channel);
  }

  /** Everything that is wanted has come to be heard, if perhaps not since a connection was lost. */
  get begun(): boolean {
    for (const { wanted, stands } of this.#channels.values()) {
      if (wanted && stands === false) return false;
    }
    return true;
  }

  /** Everything that is wanted is heard, as far as the client told. */
  get stand(): boolean {
    for (const { wanted, stands } of this.#channels.values()) if (wanted && !stands) return false;
    return true;
  }

  /** A connection was lost, and each channel may have been heard over that one. */
  lost(): void {
    for (const channel of this.#channels.values()) if (channel.stands) channel.stands = undefined;
  }

  /** The client is connected (again): what is not as it is wanted is tried at once. */
  retry(): void {
    for (const [name, channel] of this.#channels) this.#align(name, channel);
  }

  close(): void {
    this.#closed = true;
    for (const { again } of this.#channels.values()) clearTimeout(again);
  }

  #align(name: string, channel: Channel): void {
    // What a client queues while it is not connected may overtake or be lost: see `retry`.
    if (this.#closed || channel.isBusy || !this.#link.canHear) return;
    clearTimeout(channel.again);
    if (channel.wanted === channel.stands) {
      if (!channel.wanted) this.#channels.delete(name);
      return;
    }
    const { wanted } = channel;
    channel.isBusy = true;
    const command = wanted ? this.#link.subscribe(name) : this.#link.unsubscribe(name);
    command.then(
      () => {
        channel.isBusy = false;
        channel.stands = wanted;
        this.#align(name, channel);
        this.#onSettled();
      },
      (error: unknown) => {
        channel.isBusy = false;
        if (this.#closed) return;
        // Where the connection was lost, that is known.
        if (this.#link.canHear) {
          this.#onFault(error instanceof Error ? error.message : String(error));
        }
        clearTimeout(channel.again);
        channel.again = setTimeout(() => this.#align(name, channel), AGAIN_MS).unref();
        this.#onSettled();
      },
    );
  }
}
