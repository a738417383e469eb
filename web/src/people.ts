/** Who starts on which node. */
export const PEOPLE = ['Ada', 'Ben', 'Cleo'] as const;

/** Communities, and the boards in each. */
export const COMMUNITIES = [
  { id: 'team', name: 'Team', boards: ['Roadmap', 'Budget', 'Hiring'] },
  { id: 'guild', name: 'Design guild', boards: ['Icons', 'Colours'] },
] as const;

/** Who is in the design guild as well. */
export const GUILD: readonly string[] = ['Ada', 'Cleo'];

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

/** Simulated users have names of their own. */
export function isGuest(userId: string): boolean {
  return userId.startsWith('guest-');
}
