import type { Reporter, TestModule } from 'vitest/node';

/** Prints the plain count as the very last line, for whoever reads the output by program. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0;
    let failed = 0;
    let skipped = 0;
    for (const module of modules) {
      let broken = module.state() === 'failed';
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'skipped') skipped++;
        else {
          failed++;
          broken = false;
        }
      }
      // A file that failed outside its tests counts as one failure.
      if (broken && module.errors().length > 0) failed++;
    }
    // An error that no test caught ends the run as failed: the count must not say otherwise.
    failed += unhandled.length;
    // Skipping everything is no evidence; where the count is relied on, it is a failure.
    if (process.env['CI'] && passed + failed === 0) process.exitCode = 1;
    process.once('exit', () => {
      const rest = skipped > 0 ? `, ${skipped} skipped` : '';
      process.stdout.write(`\n${passed} passed, ${failed} failed${rest}\n`);
    });
  }
}
