// Postfix in our place, killed as a whole while clients send through it: for comparison.
import type { Case } from '../bench/verdict.ts';
import type { Lab } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { waitFor } from '../lab/wait.ts';
import { box, startClients } from './send-clients.ts';
import { clientCount } from './send-site.ts';

/** `relay`: where its mails arrive; only mails of this comparison may be there. */
export async function comparePostfix(options: {
  readonly lab: Lab;
  readonly relay: Postfix;
  readonly deaths: number;
}): Promise<Case> {
  const { lab, relay, deaths } = options;
  const postfix = await lab.postfix({
    role: 'local',
    domains: ['none.test'],
    main: {
      default_transport: 'smtp',
      relay_transport: 'smtp',
      relayhost: '[127.0.0.1]:' + relay.smtp,
      smtpd_relay_restrictions: 'permit_mynetworks,reject',
    },
  });
  const owner = { after: (work: () => Promise<void>) => lab.onStop(work) };
  const clients = startClients(owner, { port: postfix.smtp, clients: clientCount, login: false });
  for (let n = 0; n < deaths; n += 1) {
    const goal = clients.accepted.size + 3 + ((n * 5) % 11);
    clients.allow(goal);
    await waitFor('mails to be accepted', () => clients.accepted.size >= goal, { timeoutMs: 60_000, everyMs: 2 });
    await postfix.crash();
    await postfix.start();
  }
  await clients.finish();
  const empty = async (): Promise<boolean> =>
    (await postfix.queue()).length === 0 && (await relay.queue()).length === 0;
  await waitFor('an empty queue', empty, { timeoutMs: 300_000, everyMs: 500 });
  const numbers = (await relay.mails(box)).map((bytes) => Number(/^Subject: mail (\d+)$/m.exec(bytes.toString())?.[1]));
  const lost = [...clients.accepted].filter((n) => !numbers.includes(n)).length;
  const resent = [...clients.attempts.values()].reduce((sum, tries) => sum + tries - 1, 0);
  return {
    name: 'Postfix, kill -9 at any time',
    unit: 'doubled',
    ours: null,
    peers: { Postfix: numbers.length - new Set(numbers).size },
    ratio: null,
    bar: '',
    holds: true,
    note: [
      deaths + ' deaths',
      'answered 250: ' + clients.accepted.size,
      'lost ' + lost,
      'tries of clients without 250: ' + resent,
    ].join(', '),
  };
}
