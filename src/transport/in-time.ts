/** Waits for an answer, but not for ever: rejects after so many ms with an error that says who was asked. */
export async function inTime<T>(promise: Promise<T>, ms: number, who: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      // Timers run before sockets are read: this process may have stood still while the answer came.
      setImmediate(() => reject(new Error(`${who} did not answer in ${ms} ms`)));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
