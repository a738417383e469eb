/** Who starts on which node. */
export const PEOPLE = ['Ada', 'Ben', 'Cleo'] as const;

export const BOARDS = ['Roadmap', 'Budget', 'Hiring'] as const;

/** The same name is the same user, whichever column they are in. */
export function userIdOf(name: string): string {
  return name.trim().toLowerCase();
}

/** A colour of the user's own, from 0 to 359 degrees. */
export function hueOf(userId: string): number {
  let hash = 0;
  for (const letter of userId) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 3600;
  return (hash * 47 + 200) % 360;
}
