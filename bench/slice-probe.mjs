// How long this process is held up by one piece of work: everything that the event loop calls for
// rollcall is timed from outside. Import it first, because it wraps what rollcall will find.
//
// What counts is the less of wall time and of this process's CPU time, since other processes share the
// machine. Garbage collected meanwhile counts too.

let longest = 0;
let slices = 0;

export function timed(work) {
  return (...args) => {
    const wall = performance.now();
    const cpu = process.cpuUsage();
    try {
      return work(...args);
    } finally {
      const used = process.cpuUsage(cpu);
      const took = Math.min((used.user + used.system) / 1000, performance.now() - wall);
      slices++;
      if (took > longest) longest = took;
    }
  };
}

const { setImmediate: soon } = globalThis;
globalThis.setImmediate = (work, ...args) => soon(timed(work), ...args);

/** The longest slice since the last call, in ms, of how many. */
export function takeSlices() {
  const taken = { longestMs: longest, slices };
  longest = 0;
  slices = 0;
  return taken;
}
