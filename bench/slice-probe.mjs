// How long this process is held up by one piece of work: everything that the event loop calls for
// rollcall is timed from outside. Import it first, because it wraps what rollcall will find.
//
// What counts is wall time less the time in which the main thread was ready to run and no processor was
// free, since other processes share the machine. (The CPU time of the process would not do: V8 compiles
// and collects in threads of its own.) Garbage that was collected meanwhile counts; what is left without
// it is told as well.
import { openSync, readSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

const collections = [];
const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
observer.observe({ entryTypes: ['gc'] });

let slices = [];

/** Where the kernel says how long the main thread has waited for a processor; without it, none is taken off. */
const schedule = (() => {
  try {
    return openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  } catch {
    return undefined;
  }
})();
const text = Buffer.alloc(128);

function waitedMs() {
  if (schedule === undefined) return 0;
  const length = readSync(schedule, text, 0, text.length, 0);
  return Number(text.latin1Slice(0, length).split(' ')[1]) / 1e6;
}

/** A reading may itself be interrupted, and what it says is then of before or after: it is taken again. */
function startOfSlice() {
  for (let tries = 0; ; tries++) {
    const before = performance.now();
    const waited = waitedMs();
    const wall = performance.now();
    if (wall - before < 0.1 || tries === 10) return { wall, waited };
  }
}

export function timed(work) {
  return (...args) => {
    const { wall, waited } = startOfSlice();
    try {
      return work(...args);
    } finally {
      const end = performance.now();
      if (end - wall > 1) {
        const waitedSince = waitedMs() - waited;
        // What was waited for after the end must not be taken off.
        const lateMs = performance.now() - end;
        const took = Math.min(end - wall, end - wall - waitedSince + lateMs);
        slices.push({ wall, took, end });
      }
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
