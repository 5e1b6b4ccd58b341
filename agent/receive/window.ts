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
  const fits = (sizeBytes: number): boolean =>
    mails < limits.mails && (mails < always || bytes + sizeBytes <= limits.bytes);
  return {
    async enter(sizeBytes) {
      while (!fits(sizeBytes)) await new Promise<void>((resolve) => (wake = resolve));
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
