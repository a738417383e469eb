/**
 * Seeded random numbers: sfc32 (Doty-Humphrey, PractRand), seeded by hashing the seed and the name of
 * a stream. Each concern draws from its own stream, so that leaving out one kind of event does not
 * reshuffle all others.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream: string) {
    let hash = 0x9e3779b9 ^ seed;
    for (let i = 0; i < stream.length; i++) {
      hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
    }
    this.#a = hash | 0;
    this.#b = Math.imul(hash, 0x85ebca6b) ^ seed;
    this.#c = Math.imul(hash ^ 0xc2b2ae35, 0x27d4eb2f);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** A number in [0, 1). */
  readonly next = (): number => {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 4294967296;
  };

  /** A whole number from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)] as T;
  }
}
