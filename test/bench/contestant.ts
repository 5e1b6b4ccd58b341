// Who is measured: a program that empties a provider's mailbox into some place.

export type Source = { readonly host: string; readonly port: number; readonly user: string };
export type Outcome = {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMb: number;
  /** Memory before the mails came; for a program that ends there is none. */
  readonly idleMb?: number;
};
export type Contestant = {
  readonly name: string;
  /** Its mailbox at the provider. */
  readonly user: string;
  /** Empties the mailbox, which has so many mails. Throws when not exactly so many arrived. */
  readonly run: (mails: number) => Promise<Outcome>;
};
