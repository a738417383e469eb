export type { Engine, EngineEffect, Strategy, StrategyName } from './engine.js';
export { onDemand, type OnDemandOptions } from './on-demand/on-demand.js';
export { replicated } from './replicated.js';
