// A headless chromium without any traffic of its own.
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

/** Debian's browser; playwright makes and removes its folder for user data. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    timeout: 60_000,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
