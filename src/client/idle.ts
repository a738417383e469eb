const USES = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'visibilitychange'];

/**
 * Tells when nobody has used the page for a while, and when somebody does again. A page that is not
 * shown is not used; showing it is use. Gives the function that ends it. Does nothing outside browsers.
 */
export function watchIdle(afterMs: number, onChange: (isIdle: boolean) => void): () => void {
  if (typeof document === 'undefined') return () => {};
  let isIdle = false;
  let usedAt = Date.now();
  let timer = setTimeout(check, afterMs);

  function check(): void {
    const left = usedAt + afterMs - Date.now();
    if (left > 0) timer = setTimeout(check, left);
    else onChange((isIdle = true));
  }
  const onUse = (): void => {
    if (document.hidden) return;
    usedAt = Date.now();
    if (!isIdle) return;
    isIdle = false;
    timer = setTimeout(check, afterMs);
    onChange(false);
  };
  for (const use of USES) document.addEventListener(use, onUse, true);
  return () => {
    clearTimeout(timer);
    for (const use of USES) document.removeEventListener(use, onUse, true);
  };
}
