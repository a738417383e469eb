// Runs seeds of the simulator at a given place until one finds something; in a thread of its own, so
// that a planted defect can neither slow down nor hang the test.
import { parentPort, workerData } from 'node:worker_threads';

const { simulator, most, wish } = workerData;
const { runSeed } = await import(simulator);
let caught = null;
for (let seed = 1; seed <= most && caught === null; seed++) {
  const { violation } = runSeed(seed, wish);
  if (violation !== undefined) caught = { seed, violation };
}
parentPort.postMessage(caught);
