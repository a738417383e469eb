export type { Engine, EngineEffect, Strategy, StrategyName } from './engine.js';
export { replicated } from './replicated.js';
