import { EventEmitter } from 'node:events';
import { Server, type Namespace, type ServerOptions } from 'socket.io';
import { describe, expect, it } from 'vitest';
import { socketIoTransport } from '../../../src/transport/socket-io.js';

const Adapter = new Server().of('/').adapter.constructor as new (nsp: Namespace) => {
  serverSideEmit(packet: unknown[]): void;
};

/** An adapter that is made of nothing of Socket.IO's. */
class OwnAdapter extends EventEmitter {
  init(): void {}
  close(): void {}
  serverSideEmit(packet: unknown[]): void {
    this.emit('sent', packet);
  }
}

class LocalAdapter extends Adapter {}

class ReachingAdapter extends Adapter {
  override serverSideEmit(): void {}
}

describe('a node', () => {
  it.each([
    ['is alone over the adapter that Socket.IO comes with', undefined, true],
    ['is alone over one that adds nothing between nodes', LocalAdapter, true],
    ['may have others over one that reaches them', ReachingAdapter, false],
    ['may have others over one that is made of nothing of Socket.IO’s', OwnAdapter, false],
  ])('%s', (_what, adapter, isSolo) => {
    const given = adapter as unknown as ServerOptions['adapter'];
    const io = new Server(adapter === undefined ? {} : { adapter: given });
    expect(socketIoTransport(io.of('/')).isSolo).toBe(isSolo);
  });
});
