export type {
  Engine,
  EngineEffect,
  Store,
  StoreHost,
  Strategy,
  StrategyName,
  TransportHost,
} from './engine.js';
export type {
  Contents,
  IndexedEntry,
  Known,
  Publication,
  Renewal,
  StoreCommand,
  StoreOutcome,
} from './indexed/commands.js';
export { usersIn } from './indexed/contents.js';
export { IndexedNode } from './indexed/indexed-node.js';
export { onDemand, type OnDemandOptions } from './on-demand/on-demand.js';
export { replicated } from './replicated.js';
export { recorded, RecordingError, replay, type Step } from './recording.js';
