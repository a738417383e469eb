interface Waiting {
  readonly begin: () => void;
  readonly giveUp: (reason: unknown) => void;
}

/**
 * Lets only so much be under way at once; the rest waits, in the order in which it came. Once something
 * fails, what waits fails with it: nobody waits for what does not answer.
 */
export class Lane {
  readonly #most: number;
  #waiting: Waiting[] = [];
  #underWay = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay < this.#most) this.#underWay++;
    else await new Promise<void>((begin, giveUp) => this.#waiting.push({ begin, giveUp }));
    try {
      return await work();
    } catch (error) {
      for (const { giveUp } of this.#waiting.splice(0)) giveUp(error);
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next.begin();
    }
  }
}
