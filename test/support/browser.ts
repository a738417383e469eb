import { chromium, type Browser } from 'playwright-core';

/** Whether there is a Chromium; with CI it must be there. */
export const hasChromium = process.env['CHROMIUM'] !== undefined;

if (!hasChromium && process.env['CI']) throw new Error('CI needs chromium; run npm test');

/** A real Chromium without a window. Close it at the end. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] as string,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}
