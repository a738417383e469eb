import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { errors, jwtVerify } from 'jose';
import type { Socket } from 'socket.io';
import {
  checkIdentity,
  DEFAULT_LIMITS,
  PresenceError,
  type PresenceIdentity,
} from '../server/index.js';
import { UsageError } from './errors.js';

/** What a handshake proved: who it is, and until when. */
export interface Admission {
  readonly identity: PresenceIdentity;
  /** Seconds since the epoch at which the token ends, if it does. */
  readonly expiresAt: number | undefined;
}

/** Reads a handshake. Throws an error whose message the client may see. */
export type Authenticator = (socket: Socket) => Promise<Admission>;

function refuse(message: string): PresenceError {
  return new PresenceError('NOT_IDENTIFIED', message);
}

/** Trusts what the client says of itself. Only for loopback. */
export function insecureAuth(): Authenticator {
  return (socket) => {
    const auth: Record<string, unknown> = socket.handshake.auth;
    if (auth['userId'] === undefined) {
      return Promise.reject(
        refuse('auth must be { userId, deviceId?, communities, info? }; userId is missing'),
      );
    }
    if (!Array.isArray(auth['communities'])) {
      return Promise.reject(refuse('communities must be an array of community ids'));
    }
    return admit(auth, socket, undefined);
  };
}

/** Trusts a signed token: `sub` is the user, `communities` where it may go, `info` what is shown. */
export function jwtAuth(key: Uint8Array | KeyObject): Authenticator {
  const algorithms = algorithmsFor(key);
  return async (socket) => {
    const auth: Record<string, unknown> = socket.handshake.auth;
    const { token } = auth;
    if (typeof token !== 'string' || token === '') {
      throw refuse('auth must be { token, deviceId? }; the token is missing');
    }
    let payload: Record<string, unknown>;
    try {
      ({ payload } = await jwtVerify(token, key, { algorithms }));
    } catch (error) {
      throw refuse(explain(error));
    }
    const { sub, communities, info, exp } = payload;
    if (typeof sub !== 'string') throw refuse('the token has no sub claim, which names the user');
    if (communities !== undefined && !Array.isArray(communities)) {
      throw refuse('the token’s communities claim must be an array of community ids');
    }
    const { deviceId, session, status } = auth;
    const claims = { userId: sub, communities: communities ?? [], info, deviceId, session, status };
    return admit(claims, socket, typeof exp === 'number' ? exp : undefined);
  };
}

function admit(
  claims: Record<string, unknown>,
  socket: Socket,
  expiresAt: number | undefined,
): Promise<Admission> {
  const { userId, deviceId, communities, info, session, status } = claims;
  const given = {
    userId,
    communities,
    ...(deviceId !== undefined && deviceId !== null && { deviceId }),
    ...(info !== undefined && info !== null && { info }),
    ...(session !== undefined && session !== null && { session }),
    ...(status !== undefined && status !== null && { status }),
  } as unknown as PresenceIdentity;
  try {
    return Promise.resolve({
      identity: checkIdentity(given, socket.id, DEFAULT_LIMITS),
      expiresAt,
    });
  } catch (error) {
    return Promise.reject(error as Error);
  }
}

function explain(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return 'the token’s signature does not match this server’s key';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return 'the token is signed by an algorithm that this server’s key is not for';
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `the token’s ${error.claim} claim does not hold`;
  }
  return 'the token is not a valid JWT';
}

const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Only the algorithms that fit the key: a public key must never serve as a shared secret. */
function algorithmsFor(key: Uint8Array | KeyObject): string[] {
  if (key instanceof Uint8Array) return ['HS256', 'HS384', 'HS512'];
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      // By a shorter one jose verifies nothing, and every client would be told that its token is at fault.
      if (modulusLength < 2048) {
        throw new UsageError(
          `--jwt-public-key has ${modulusLength} bits; RSA needs 2048 bits or more`,
        );
      }
      return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
    case 'ec':
      if (!CURVES.includes(namedCurve)) {
        throw new UsageError(
          `--jwt-public-key is on the curve ${namedCurve}; it must be P-256, P-384 or P-521`,
        );
      }
      return ['ES256', 'ES384', 'ES512'];
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    default:
      throw new UsageError(
        `a JWT key of type ${key.asymmetricKeyType} is not supported; use RSA, EC or Ed25519`,
      );
  }
}

/** Reads a public key, given as PEM text or as the path of a PEM file. */
export function readPublicKey(given: string): KeyObject {
  const pem = given.includes('-----BEGIN') ? given : readPem(given);
  try {
    return createPublicKey(pem);
  } catch {
    throw new UsageError(
      '--jwt-public-key is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)',
    );
  }
}

function readPem(path: string): string {
  if (!existsSync(path)) {
    throw new UsageError(
      `--jwt-public-key: there is no file ${path}, and it is not PEM text either`,
    );
  }
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new UsageError(`--jwt-public-key: the file ${path} cannot be read`);
  }
}
