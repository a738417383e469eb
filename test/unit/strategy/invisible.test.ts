import { describe, expect, it } from 'vitest';
import { onDemand, replicated } from '../../../src/strategy/index.js';
import { Engines, LINGER_MS } from './engines.js';

describe('an invisible user', () => {
  it.each([
    ['replicated', replicated()],
    ['on-demand', onDemand()],
  ])('is so on a device that came while their node was not heard: %s', (_name, strategy) => {
    const engines = new Engines(1);
    const [a, b] = [engines.start(strategy), engines.start(strategy)];
    engines.run(2000);
    const watchers = [engines.join(a, 'wa', 'd', 'c'), engines.join(b, 'wb', 'd', 'c')];
    const phone = engines.join(a, 'ada', 'phone', 'c');
    engines.run(500);
    engines.input(a, (t) => a.engine.update(phone.socketId, { status: 'invisible' }, t));
    engines.run(500);
    engines.filter = (from) => from !== a;
    engines.run(5000);
    engines.join(b, 'ada', 'laptop', 'c');
    engines.run(500);
    engines.filter = () => true;
    engines.run(3000);
    for (const { model } of watchers) expect(model.present('c')).toEqual(['wa', 'wb']);
    // What the phone said counts for the laptop, too, which is still there.
    engines.gone(phone, 'left');
    engines.run(5 * LINGER_MS);
    for (const { model } of watchers) expect(model.present('c')).toEqual(['wa', 'wb']);
    expect(a.engine.gauges(engines.now).entriesOwned).toBe(1);
  });
});
