const USES = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'visibilitychange'];

/**
 * Tells when nobody has used the page for a while, and of each use. A page that is not shown is not
 * used; showing it is use. Gives the function that ends it. Does nothing outside browsers.
 */
export function watchIdle(afterMs: number, onChange: (isIdle: boolean) => void): () => void {
  if (typeof document === 'undefined') return () => {};
  let timer: ReturnType<typeof setTimeout>;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => onChange(true), afterMs);
  };
  const onUse = (): void => {
    if (document.hidden) return;
    wait();
    onChange(false);
  };
  wait();
  for (const use of USES) document.addEventListener(use, onUse, true);
  return () => {
    clearTimeout(timer);
    for (const use of USES) document.removeEventListener(use, onUse, true);
  };
}
