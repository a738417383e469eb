// How long this process is held up by one piece of work: everything that the event loop calls for
// rollcall is timed from outside. Import it first, because it wraps what rollcall will find.
//
// What counts is the less of wall time and of this process's CPU time, since other processes share the
// machine. Garbage that was collected meanwhile counts; what is left without it is told as well.
import { PerformanceObserver } from 'node:perf_hooks';

const collections = [];
const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
observer.observe({ entryTypes: ['gc'] });

let slices = [];

export function timed(work) {
  return (...args) => {
    const wall = performance.now();
    const cpu = process.cpuUsage();
    try {
      return work(...args);
    } finally {
      const used = process.cpuUsage(cpu);
      const took = Math.min((used.user + used.system) / 1000, performance.now() - wall);
      if (took > 1) slices.push({ wall, took, end: performance.now() });
    }
  };
}

const { setImmediate: soon } = globalThis;
globalThis.setImmediate = (work, ...args) => soon(timed(work), ...args);

/** The longest slice since the last call, in ms, with and without collecting garbage. */
export function takeSlices() {
  collections.push(...observer.takeRecords());
  let longestMs = 0;
  let workMs = 0;
  for (const { wall, took, end } of slices) {
    let collected = 0;
    for (const { startTime, duration } of collections) {
      if (startTime >= wall && startTime < end) collected += duration;
    }
    longestMs = Math.max(longestMs, took);
    workMs = Math.max(workMs, took - collected);
  }
  slices = [];
  collections.length = 0;
  return { longestMs, workMs };
}
