// Clients that hand in numbered mails; a number is sent again until it got its 250, as mail programs do.
import { plain, talk } from '../agent/send/rig.ts';

export type Clients = {
  /** Numbers that were answered 250. */
  readonly accepted: ReadonlySet<number>;
  /** How often each number was begun. */
  readonly attempts: ReadonlyMap<number, number>;
  /** Answers other than 2xx and 3xx, by code. */
  readonly refusals: ReadonlyMap<string, number>;
  /** So many more may be begun. */
  readonly allow: (mails: number) => void;
  /** Ends when every number that was begun is accepted. */
  readonly finish: () => Promise<void>;
};
type Owner = { readonly after: (work: () => Promise<void>) => void };

export const box = 'box@world.test';
const mostAllowed = 40;

export function startClients(
  owner: Owner,
  options: { readonly port: number; readonly clients: number; readonly login: boolean },
): Clients {
  const accepted = new Set<number>();
  const attempts = new Map<number, number>();
  const refusals = new Map<string, number>();
  let allowance = 0;
  let serial = 0;
  let over = false;

  function isGood(answer: string | undefined): boolean {
    if (answer === undefined || /^[23]/.test(answer)) return answer !== undefined;
    const code = answer.slice(0, 3);
    refusals.set(code, (refusals.get(code) ?? 0) + 1);
    return false;
  }

  async function send(client: Awaited<ReturnType<typeof talk>>, n: number): Promise<boolean> {
    for (const line of ['MAIL FROM:<sales@office.test>', 'RCPT TO:<' + box + '>', 'DATA'])
      if (!isGood(await client.say(line))) return false;
    attempts.set(n, (attempts.get(n) ?? 0) + 1);
    return isGood(await client.say('Subject: mail ' + n + '\r\n\r\nThe mail number ' + n + '.\r\n.'));
  }

  async function open(client: Awaited<ReturnType<typeof talk>>): Promise<boolean> {
    if (!isGood(await client.say('EHLO desk'))) return false;
    return !options.login || isGood(await client.say(plain()));
  }

  async function pump(): Promise<void> {
    let pending: number | undefined;
    const more = (): boolean => !over || pending !== undefined;
    while (more()) {
      const client = await talk(owner, options.port);
      const ready = await open(client);
      for (let alive = ready; alive && more();) {
        if (pending === undefined && allowance <= 0) {
          await pause();
          alive = !client.socket.destroyed;
          continue;
        }
        if (pending === undefined) {
          allowance -= 1;
          pending = serial += 1;
        }
        alive = await send(client, pending);
        if (!alive) continue;
        accepted.add(pending);
        pending = undefined;
      }
      client.socket.destroy();
      await pause();
    }
  }

  const pumps = Promise.all(Array.from({ length: options.clients }, pump));
  const ticking = setInterval(() => (allowance = Math.min(allowance + 1, mostAllowed)), 20);
  owner.after(() => Promise.resolve(clearInterval(ticking)));
  return {
    accepted,
    attempts,
    refusals,
    allow: (mails) => void (allowance = Math.min(allowance + mails, mostAllowed)),
    async finish() {
      over = true;
      clearInterval(ticking);
      await pumps;
    },
  };
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
