// One login at a mailbox, as a round would do it, and a look at how much is there. Fetches and deletes nothing.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { AuthChoice } from '../accounts/auth-choice.ts';
import { LoginError } from '../accounts/login-error.ts';
import type { LoginSecret } from '../accounts/secret.ts';
import { ConnectError } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';
import { openPop3 } from '../receive/pop3/pop3.ts';
import { Pop3Error } from '../receive/pop3/pop3-error.ts';
import { trialOfConnect } from './connect.ts';
import { well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

export type MailboxTrial = {
  readonly endpoint: Endpoint;
  readonly user: string;
  /** Throws LoginError when there is nothing to log in with. */
  readonly secret: (signal: AbortSignal) => Promise<LoginSecret>;
  readonly auth?: AuthChoice;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
};

const sought = { server: 'a POP3 server', ports: '995 with tls: implicit, 110 with tls: starttls' };

export async function tryMailbox(options: MailboxTrial): Promise<Trial> {
  const { endpoint, user, auth, clock, signal, timeoutMs = 20_000 } = options;
  const place = endpoint.host + ':' + endpoint.port;
  try {
    const pop3 = await openPop3({
      endpoint,
      user,
      password: await options.secret(signal),
      ...(auth === undefined ? {} : { auth }),
      clock,
      signal,
      timeouts: { connectMs: timeoutMs, replyMs: timeoutMs, progressMs: timeoutMs },
    });
    try {
      const { count } = await pop3.stat();
      const how = endpoint.tls === 'none' ? ', in clear' : '';
      return well('logged in at ' + place + how + '; ' + count + (count === 1 ? ' mail' : ' mails') + ' there');
    } finally {
      await pop3.quit().catch(() => pop3.close());
    }
  } catch (error) {
    return trialOf(error, endpoint, place);
  }
}

function trialOf(error: unknown, endpoint: Endpoint, place: string): Trial {
  if (error instanceof ConnectError) return trialOfConnect(error, endpoint, sought);
  if (error instanceof LoginError)
    return wrong({
      option: ['oauth'],
      found: error.message,
      expected: 'an access token',
      remedy: error.refused ? 'log in again: mailferry login ID' : 'check the line, then try again',
    });
  if (!(error instanceof Pop3Error))
    return wrong({ found: describe(error), expected: 'a login', remedy: 'check the options of the mailbox' });
  const said = quoted(error.message);
  switch (error.trouble) {
    case 'not-pop3':
      return wrong({
        option: ['port'],
        found: place + ' is no POP3 server, it says ' + said,
        expected: sought.server,
        remedy: 'check host and port (' + sought.ports + ')',
      });
    case 'no-stls':
      return wrong({
        option: ['tls'],
        found: place + ' offers no STLS',
        expected: 'TLS, as tls: starttls asks for',
        remedy: 'take port 995 with tls: implicit',
      });
    case 'no-login':
      return wrong({
        option: ['auth'],
        found: error.message,
        expected: 'a login that the server offers',
        remedy: 'set auth: auto, or what the provider names',
      });
    case 'refused':
      return trialOfRefusal(error, place, said);
    case 'timeout':
    case 'lost':
    case 'stopped':
    case 'out-of-step':
      return wrong({
        option: error.step === 'greeting' ? ['tls'] : ['host'],
        found: error.message,
        expected: 'an answer',
        remedy:
          error.step === 'greeting'
            ? 'check port and tls: port 995 needs tls: implicit'
            : 'try again later; if it stays, the server is in trouble',
      });
  }
}

function trialOfRefusal(error: Pop3Error, place: string, said: string): Trial {
  if (error.code === 'IN-USE' || /in use|lock/i.test(said))
    return wrong({
      option: ['user'],
      found: 'the mailbox is in use by another program: ' + said,
      expected: 'one program that fetches it',
      remedy:
        'end the other fetcher (mail program, old server); if the agent itself is fetching, try again in a minute',
    });
  if (error.code === 'LOGIN-DELAY' || /too (?:often|many)|limit|wait|try again/i.test(said))
    return wrong({
      option: ['intervalSeconds'],
      found: 'the provider says that logins come too often: ' + said,
      expected: 'a longer pause between two logins',
      remedy: 'wait as long as the provider asks; raise intervalSeconds, or name the preset of the provider',
    });
  return wrong({
    option: ['password'],
    found: 'the login at ' + place + ' was refused: ' + said,
    expected: 'the login to be accepted',
    remedy: "check user and password, and that POP3 is switched on in the provider's settings",
  });
}

function quoted(message: string): string {
  return /"[^]*"/.exec(message)?.[0] ?? message;
}
