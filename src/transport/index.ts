export type { Address, MediumEvents, OnAsked, Silence, Transport } from './transport.js';
export { MemoryBus } from './memory.js';
export { socketIoTransport } from './socket-io.js';
