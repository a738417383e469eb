/** A node in a process of its own, whatever runs it. */
export abstract class TestNode {
  url = '';
  nodeId = '';

  abstract signal(name: NodeJS.Signals): void;
  /** Ends it, even where it hangs, and waits until it is gone. */
  abstract stop(signal?: NodeJS.Signals): Promise<unknown>;

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Reads from the HTTP API. */
  async get(
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(this.url + path, init);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** The value of a metric without labels, or the sum over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.url + '/metrics')).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) {
        sum += Number(line.slice(line.lastIndexOf(' ') + 1));
      }
    }
    return sum;
  }
}
