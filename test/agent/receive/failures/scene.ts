// The stage for failures that POP3 fetchers were caught at: the whole room, a scripted provider, a scripted local server.
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import type { Lab } from '../../../lab/lab.ts';
import type { ScriptedMail, ScriptedPop3, ScriptedPop3Options } from '../../../lab/scripted-pop3.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions } from '../../../lab/scripted-smtp.ts';
import { createBench } from '../bench.ts';
import type { Bench, BenchAccount } from '../bench.ts';

export type Scene = {
  readonly lab: Lab;
  readonly pop3: ScriptedPop3;
  readonly smtp: ScriptedSmtp;
  readonly bench: Bench;
};
export type SceneOptions = {
  readonly pop3?: ScriptedPop3Options;
  readonly smtp?: ScriptedSmtpOptions;
  readonly account?: Partial<BenchAccount>;
  readonly bench?: Partial<Parameters<typeof createBench>[2]>;
};

export async function setScene(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password: 'right', ...options.pop3 });
  const smtp = await lab.scriptedSmtp(options.smtp ?? {});
  const bench = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, ...options.account }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
    ...options.bench,
  });
  return { lab, pop3, smtp, bench };
}

/** `number` is the failure's in the list of real failures; a mutant names the test by it. */
export function failure(number: string, title: string, play: (t: TestContext) => Promise<void>): void {
  test(number + ': ' + title, { timeout: 25_000 }, play);
}

/** Time limits for a provider that falls silent on purpose. */
export const impatient = { timeouts: { replyMs: 600, progressMs: 600 } } as const;

export const mail = (name: string, body = 'text of ' + name + '\r\n', uid = 'uid-' + name): ScriptedMail => ({
  uid,
  bytes: Buffer.from('Subject: ' + name + '\r\nMessage-ID: <' + name + '@x.test>\r\n\r\n' + body, 'latin1'),
});
export const mails = (...names: readonly string[]): ScriptedMail[] => names.map((name) => mail(name));

const subjectOf = (bytes: Buffer): string => /Subject: (.*)\r\n/.exec(bytes.toString('latin1'))?.[1] ?? '?';
/** Subjects of what the local server took, sorted. */
export const delivered = (smtp: ScriptedSmtp): readonly string[] =>
  smtp.mails.map(({ bytes }) => subjectOf(bytes)).sort();
/** What it took of this subject, without our line on top. */
export function taken(smtp: ScriptedSmtp, subject: string): Buffer | undefined {
  const bytes = smtp.mails.find((one) => subjectOf(one.bytes) === subject)?.bytes;
  return bytes?.subarray(bytes.indexOf('\r\n') + 2);
}
/** UIDs that the provider still has. */
export const left = (pop3: ScriptedPop3): readonly string[] => pop3.mails.map(({ uid }) => uid);
export const count = (lines: readonly string[], pattern: RegExp): number =>
  lines.filter((line) => pattern.test(line)).length;
