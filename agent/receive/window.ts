// How much may be on its way between RETR and the local server: so many mails, and so many bytes of them.

export type Window = {
  /** Waits for room; one caller at a time. The mail leaves by the returned call, once. */
  readonly enter: (sizeBytes: number) => Promise<() => void>;
};

/** Two mails may always be inside, however large: one is fetched while the other is handed over. */
const always = 2;

export function createWindow(limits: { readonly mails: number; readonly bytes: number }): Window {
  let mails = 0;
  let bytes = 0;
  let wake: (() => void) | undefined;
  /** A wide window that was full lets in several at once: their commands leave in one packet. */
  const refill = limits.mails - Math.min(16, Math.floor(limits.mails / 4));
  let most = limits.mails;
  const fits = (sizeBytes: number): boolean => mails < most && (mails < always || bytes + sizeBytes <= limits.bytes);
  return {
    async enter(sizeBytes) {
      if (mails >= limits.mails) most = refill;
      while (!fits(sizeBytes)) await new Promise<void>((resolve) => (wake = resolve));
      most = limits.mails;
      mails += 1;
      bytes += sizeBytes;
      return () => {
        mails -= 1;
        bytes -= sizeBytes;
        wake?.();
      };
    },
  };
}
