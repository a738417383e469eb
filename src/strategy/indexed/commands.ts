/** What an indexed engine asks of its store, and what comes back. All of it is about one community, or several. */

/** A change of one entry. */
export interface IndexChange {
  readonly userId: string;
  readonly deviceId: string;
  /** The entry as it is kept, or null where it goes. */
  readonly entry: string | null;
  /** Others may see it. */
  readonly isVisible: boolean;
  /** The operation as the other nodes apply it. */
  readonly op: string;
  /** When the user was last seen if nobody sees them after this, in ms since the epoch. */
  readonly seenAt: number;
}

export type StoreCommand =
  /** Tell of every publication about the community from now on. */
  | { readonly kind: 'watch'; readonly communityId: string }
  | { readonly kind: 'unwatch'; readonly communityId: string }
  /** A lease counts for `lateMs` after its end. */
  | { readonly kind: 'read'; readonly communityId: string; readonly lateMs: number }
  /** Refused without a lease, unless it is claimed anew. */
  | {
      readonly kind: 'write';
      readonly communityId: string;
      readonly known: Known;
      readonly claim: boolean;
      readonly leaseMs: number;
      readonly changes: readonly IndexChange[];
    }
  /** Lengthens the leases, and tells how the communities stand. */
  | {
      readonly kind: 'renew';
      readonly communities: readonly { readonly communityId: string; readonly known: Known }[];
      readonly leaseMs: number;
    }
  /**
   * Removes entries of a node whose lease has ended, or that has left (`hasLeft`); `isAll` where these are
   * all of them.
   */
  | {
      readonly kind: 'sweep';
      readonly communityId: string;
      readonly nodeId: string;
      readonly changes: readonly IndexChange[];
      readonly isAll: boolean;
      readonly hasLeft: boolean;
    }
  /** This node leaves: its leases end after this time. */
  | {
      readonly kind: 'retire';
      readonly communityIds: readonly string[];
      readonly afterMs: number;
    }
  | {
      readonly kind: 'seen';
      readonly users: readonly { readonly userId: string; readonly at: number }[];
    };

/**
 * Where a community stands: `version` counts its changes, `epoch` names the history of which they are part.
 * It is another once the store has been emptied, or turns out to have lost what a node knows it had: a
 * replica that takes a master's place may have heard less.
 */
export interface Standing {
  readonly epoch: string;
  readonly version: number;
}

/** `mark` names the last change, so that two histories of one length are told apart. */
export interface Known extends Standing {
  readonly mark: string;
}

/** What a node knows that knows nothing. */
export const NOTHING_KNOWN: Known = { epoch: '', version: -1, mark: '' };

export interface Contents extends Known {
  /** Nodes that have a lease. */
  readonly nodes: number;
  readonly entries: readonly IndexedEntry[];
  /** Entries of nodes whose lease has ended long ago: they count no more, and wait to be swept. */
  readonly orphans: readonly IndexedEntry[];
}

/** An entry as it is kept, and whose it is. */
export interface IndexedEntry {
  readonly nodeId: string;
  readonly entry: string;
}

export interface Renewal extends Standing {
  readonly communityId: string;
  /** This node still has its lease. */
  readonly isHeld: boolean;
  /** Nodes whose lease has not ended. */
  readonly living: readonly string[];
}

export type StoreOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'contents'; readonly contents: Contents }
  /** `offline`: users that this made absent. */
  | { readonly kind: 'changed'; readonly standing: Standing; readonly offline: readonly string[] }
  /** The lease had ended: nothing was written. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'renewed'; readonly renewals: readonly Renewal[] }
  /** The store could not be reached, or did not answer in time. */
  | { readonly kind: 'failed' };

/** One publication: what happened in a community, in the order in which it was committed. */
export interface Publication {
  readonly epoch: string;
  /** The version after the first change. */
  readonly version: number;
  /** The node that wrote it, or empty where a dead node was swept. */
  readonly author: string;
  /** The mark before it, and since. */
  readonly previous: string;
  readonly mark: string;
  readonly changes: readonly { readonly nodeId: string; readonly op: string }[];
}
