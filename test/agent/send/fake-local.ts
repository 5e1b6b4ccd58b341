// A local mail server that keeps what it gets and answers as the test says.
import type { Local, LocalMail } from '../../../agent/local/local.ts';
import type { Verdict } from '../../../agent/smtp/verdict.ts';

export type FakeLocal = Local & {
  /** What was delivered, the oldest first. */
  readonly delivered: { readonly from: string; readonly to: string; readonly text: string }[];
  /** All that was tried. */
  readonly tried: string[];
};

export function fakeLocal(answer: (to: string) => Verdict = () => 'delivered'): FakeLocal {
  const delivered: { readonly from: string; readonly to: string; readonly text: string }[] = [];
  const tried: string[] = [];
  return {
    delivered,
    tried,
    async deliver({ body, from, recipients }: LocalMail) {
      const [to = ''] = recipients;
      const chunks: Uint8Array[] = [];
      for await (const chunk of body.open()) chunks.push(chunk);
      tried.push(to);
      const verdict = answer(to);
      if (verdict === 'delivered') delivered.push({ from, to, text: Buffer.concat(chunks).toString() });
      const text = verdict === 'delivered' ? '250 2.0.0 taken' : '550 5.1.1 <' + to + '> no such mailbox here';
      return { session: undefined, recipients: [{ address: to, verdict, text }], bareLineEnds: 0 };
    },
    problem: () => undefined,
    close: async () => {},
  };
}
