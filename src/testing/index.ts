/** The conformance suite: what every strategy does, for a cluster of one's own. */
export { conformance, type ConformanceCase } from './conformance.js';
export type { ConformanceClient, ConformanceCluster, ConformanceNode } from './cluster.js';
