import { DEFAULT_CLUSTER } from '../core/node-options.js';

/** Names of keys and channels. All keys of a community share one hash tag, so that one script may touch them. */
export class Keys {
  readonly #prefix: string;

  /** @throws RangeError where the prefix could break the hash tags. */
  constructor(prefix = 'rollcall', cluster?: string, namespace?: string) {
    checkPrefix(prefix);
    // The default is named nowhere, whether it was said or not.
    const name = scopeOf(cluster === DEFAULT_CLUSTER ? undefined : cluster, namespace);
    this.#prefix = name === '' ? prefix : `${prefix}:${name}`;
  }

  /** The keys of a community, in the order in which the scripts take them. */
  all(communityId: string): string[] {
    return [
      this.entries(communityId),
      this.users(communityId),
      this.nodes(communityId),
      this.standing(communityId),
    ];
  }

  /** HASH: node, user and device → the entry. */
  entries(communityId: string): string {
    return `${this.#tag(communityId)}:entries`;
  }

  /** HASH: user → one line per entry of the user. */
  users(communityId: string): string {
    return `${this.#tag(communityId)}:users`;
  }

  /** ZSET: node → when its lease ends, by the clock of Redis. */
  nodes(communityId: string): string {
    return `${this.#tag(communityId)}:nodes`;
  }

  /** HASH: `epoch` and `version`. */
  standing(communityId: string): string {
    return `${this.#tag(communityId)}:standing`;
  }

  channel(communityId: string): string {
    return `${this.#tag(communityId)}:changes`;
  }

  /** STRING: when the user was last seen. */
  seen(userId: string): string {
    return `${this.#prefix}:seen:{${encodeId(userId)}}`;
  }

  #tag(communityId: string): string {
    return `${this.#prefix}:{${encodeId(communityId)}}`;
  }
}

/**
 * What keeps clusters, and the Socket.IO namespaces of one cluster, apart under one prefix. Empty for the
 * main namespace of a cluster without a name. No cluster is named like a namespace: those begin with `/`.
 *
 * @throws TypeError where one is not a string.
 */
export function scopeOf(cluster: string | undefined, namespace = '/'): string {
  for (const [option, value] of Object.entries({ cluster, namespace })) {
    if (value !== undefined && typeof value !== 'string') {
      throw new TypeError(`${option} must be a string, as it was given to the servers`);
    }
  }
  const parts = cluster === undefined ? [] : [encodeId(cluster).replaceAll('/', '%2F')];
  // Socket.IO puts the slash before those that lack it, too.
  const name = namespace.startsWith('/') ? namespace : `/${namespace}`;
  if (name !== '/') parts.push(encodeId(name));
  return parts.join(':');
}

/** Ids may hold braces; a tag of one's own choice would put keys into another community's slot. */
export function encodeId(id: string): string {
  return id.replaceAll(/[%{}]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** @throws RangeError where it could break hash tags. */
export function checkPrefix(prefix: string): void {
  if (/^[\x21-\x7e]{1,64}$/.test(prefix) && !/[{}]/.test(prefix)) return;
  throw new RangeError('prefix must be 1 to 64 printable ASCII characters without spaces, { or }');
}
