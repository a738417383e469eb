import { ChurnSet } from './churn.js';
import type { UserPresence } from './types.js';

/**
 * The list of a community as JSON, in pages: a change makes its own page stale and no other, so that
 * the list of ten thousand users is not encoded anew for each who comes.
 */

/** Who is on a page; the page is noted here. */
export interface Listed {
  /** Not null while on a page. */
  readonly told: UserPresence | null;
  page: Page | null;
}

interface Page {
  readonly users: ChurnSet<Listed>;
  json: string | null;
}

const PAGE_USERS = 100;

export class Pages {
  readonly #pages = new ChurnSet<Page>();
  /** Pages to be encoded before the list can be read. */
  readonly #stale = new ChurnSet<Page>();
  /** Pages that are less than half full; newcomers fill them up. */
  readonly #sparse = new ChurnSet<Page>();
  #filling: Page | null = null;
  #length = 0;

  add(user: Listed): void {
    let page = this.#filling;
    if (page === null || page.users.size >= PAGE_USERS) {
      page = null;
      for (page of this.#sparse) break;
      if (page === null) {
        page = { users: new ChurnSet(), json: null };
        this.#pages.add(page);
      }
      this.#sparse.delete(page);
      this.#filling = page;
    }
    page.users.add(user);
    user.page = page;
    this.#spoil(page);
  }

  remove(user: Listed): void {
    const { page } = user;
    if (page === null) return;
    user.page = null;
    page.users.delete(user);
    this.#spoil(page);
    if (page.users.size === 0) {
      this.#pages.delete(page);
      this.#stale.delete(page);
      this.#sparse.delete(page);
      if (this.#filling === page) this.#filling = null;
    } else if (page !== this.#filling && page.users.size < PAGE_USERS / 2) {
      this.#sparse.add(page);
    }
  }

  /** What is told of the user is another now. */
  change(user: Listed): void {
    if (user.page !== null) this.#spoil(user.page);
  }

  #spoil(page: Page): void {
    if (page.json !== null) this.#length -= page.json.length;
    page.json = null;
    this.#stale.add(page);
  }

  /** Encodes stale pages, at most this many users; gives how many there were. */
  encode(most: number): number {
    let users = 0;
    for (const page of this.#stale) {
      if (users >= most) break;
      const parts: string[] = [];
      for (const { told } of page.users) parts.push(JSON.stringify(told));
      users += parts.length;
      page.json = parts.join(',');
      this.#length += page.json.length;
      this.#stale.delete(page);
    }
    return users;
  }

  get isStale(): boolean {
    return this.#stale.size > 0;
  }

  /** How long the list is as JSON, in characters, as far as it is encoded. */
  get length(): number {
    return this.#length + this.#pages.size + 1;
  }

  /** The list: users in JSON, separated by commas, in parts that are never empty. */
  parts(): string[] {
    this.encode(Infinity);
    const parts: string[] = [];
    for (const page of this.#pages) parts.push(page.json as string);
    return parts;
  }
}
