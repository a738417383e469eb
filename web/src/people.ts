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

/** This tab's part of its devices' ids: another tab of the same user is another device. */
export const tabId = ((): string => {
  const known = sessionStorage.getItem('tab');
  if (known !== null) return known;
  const made = crypto.randomUUID().slice(0, 8);
  sessionStorage.setItem('tab', made);
  return made;
})();

/** Counts the connections of a device over reloads, so that servers can order them. */
export function nextSession(deviceId: string): number {
  const key = `session:${deviceId}`;
  const next = Number(sessionStorage.getItem(key) ?? 0) + 1;
  sessionStorage.setItem(key, String(next));
  return next;
}
