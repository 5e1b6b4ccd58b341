// Requests to answers: who may, from where, and what every answer says to the browser. Promises: without a session there is the
// login and nothing else; what changes something came from a page of ours (token, and the browser's word for the origin); a
// guessed password costs time; no answer is kept, framed, or runs a script that is not ours.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { css, icon, script } from './assets.ts';
import { html } from './html.ts';
import { document, foot, page, told } from './layout.ts';
import type { PagePassword } from './page-password.ts';
import { RequestError, readRequest, redirect } from './request.ts';
import type { PageAnswer, PageRequest } from './request.ts';
import { answerVisit } from './routes.ts';
import { isToken } from './sessions.ts';
import type { Sessions } from './sessions.ts';
import type { PageWork, Visit } from './work.ts';
import { languageOf, readerOf } from './words.ts';
import type { Reader } from './words.ts';

/** As the submission server has it: the same guesser is slowed down in the same way. */
export type Throttle = {
  readonly mayTry: (user: string, address: string) => boolean;
  readonly failed: (user: string, address: string) => number;
  readonly succeeded: (user: string, address: string) => void;
};
export type WebOptions = {
  readonly work: PageWork;
  readonly sessions: Sessions;
  readonly password: PagePassword;
  readonly throttle: Throttle;
  readonly clock: Clock;
  readonly log: Log;
  readonly site: string;
};
export type Web = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

/** `__Host-`: only over TLS, only for this host, never set by another page of the machine. */
const sessionCookie = '__Host-mailferry';
const languageCookie = '__Host-mailferry-language';
const cookie = (name: string, value: string, maxAge = ''): string =>
  name + '=' + value + '; Path=/; Secure; HttpOnly; SameSite=Strict' + maxAge;
/** Who logs in: there is one. */
export const pageUser = 'page';

const headers: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Not no-referrer: browsers would then hide the origin of our own forms.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};
const assets: Readonly<Record<string, { readonly type: string; readonly body: string }>> = {
  '/page.css': { type: 'text/css; charset=utf-8', body: css },
  '/page.js': { type: 'text/javascript; charset=utf-8', body: script },
  '/icon.svg': { type: 'image/svg+xml', body: icon },
};

export function createWeb(options: WebOptions): Web {
  const { work, sessions, password, throttle, clock, log, site } = options;

  async function answer(request: PageRequest): Promise<PageAnswer> {
    const asset = Object.hasOwn(assets, request.path) ? assets[request.path] : undefined;
    if (asset !== undefined) return { status: 200, ...asset };
    const reader = readerOf(languageOf(request.cookie(languageCookie), request.header('accept-language')));
    if (request.path === '/language') return setLanguage(request);
    if (request.method === 'POST') refuseForeign(request);
    const session = sessions.find(request.cookie(sessionCookie), request.header('x-part') === undefined);
    if (request.path === '/login')
      return request.method === 'POST' ? logIn(request, reader) : loginPage(request, reader);
    if (session === undefined) return redirect('/login?to=' + encodeURIComponent(safePath(request.path)));
    if (request.method === 'POST' && !isToken(session, request.form.get('token')))
      throw new RequestError(403, reader.say('This form is too old: please go back, load the page again, and repeat.'));
    if (request.path === '/logout' && request.method === 'POST') {
      sessions.close(request.cookie(sessionCookie));
      return redirect('/login', { 'set-cookie': cookie(sessionCookie, '', '; Max-Age=0') });
    }
    const visit: Visit = { reader, session, site, path: request.path, request };
    try {
      return await answerVisit(work, visit);
    } catch (error) {
      const known = error instanceof UserError || error instanceof RequestError;
      if (!known) log.error({ error: describe(error), path: request.path }, 'page failed');
      const text = known ? error.message : reader.say('This did not work: an error of the agent. Its log says more.');
      const status = error instanceof RequestError ? error.status : known ? 400 : 500;
      const body = page(visit, reader.say('This did not work'), html`<p class="notice error">${told(text)}</p>`);
      return { status, type: 'text/html; charset=utf-8', body };
    }
  }

  async function logIn(request: PageRequest, reader: Reader): Promise<PageAnswer> {
    const { address } = request;
    const { say } = reader;
    if (!throttle.mayTry(pageUser, address))
      return loginPage(request, reader, 429, say('Too many wrong passwords: please wait a minute.'));
    let isRight: boolean;
    try {
      isRight = await password.isRight(request.form.get('password') ?? '');
    } catch (error) {
      if (!(error instanceof UserError || error instanceof RangeError)) throw error;
      log.error({ error: describe(error) }, 'the password of the page cannot be compared');
      return loginPage(request, reader, 503, describe(error));
    }
    if (!isRight) {
      log.warn({ address }, 'wrong password at the page');
      await clock.sleep(throttle.failed(pageUser, address));
      return loginPage(request, reader, 401, say('The password is wrong.'));
    }
    throttle.succeeded(pageUser, address);
    log.info({ address }, 'somebody has logged in at the page');
    // A new name for the session: one that was planted before the login is worth nothing.
    sessions.close(request.cookie(sessionCookie));
    return redirect(safePath(request.query.get('to') ?? '/'), { 'set-cookie': cookie(sessionCookie, sessions.open()) });
  }

  return async (incoming, outgoing) => {
    let given: PageAnswer;
    try {
      given = await answer(await readRequest(incoming));
    } catch (error) {
      if (!(error instanceof RequestError)) log.error({ error: describe(error) }, 'page failed');
      given = plain(error instanceof RequestError ? error : undefined);
    }
    await send(outgoing, given);
  };
}

function plain(error: RequestError | undefined): PageAnswer {
  const body =
    error === undefined ? 'Cannot answer: an error of the agent; its log says more' : 'Cannot answer: ' + error.message;
  return { status: error?.status ?? 500, type: 'text/plain; charset=utf-8', body, headers: { connection: 'close' } };
}

async function send(outgoing: ServerResponse, { status, type, body, file, headers: more }: PageAnswer): Promise<void> {
  const size = file === undefined ? Buffer.byteLength(body) : (await stat(file)).size;
  for (const [name, value] of Object.entries({
    ...headers,
    ...more,
    'content-type': type,
    'content-length': String(size),
  }))
    outgoing.setHeader(name, typeof value === 'string' ? value : [...value]);
  outgoing.statusCode = status;
  if (file === undefined) outgoing.end(body);
  else await pipeline(createReadStream(file), outgoing);
}

/** What a browser says about where a form comes from. Programs that say nothing still need the token of a session. */
function refuseForeign(request: PageRequest): void {
  const origin = request.header('origin');
  const site = request.header('sec-fetch-site');
  const own = 'https://' + (request.header('host') ?? '');
  if ((origin !== undefined && origin !== own) || (site !== undefined && site !== 'same-origin'))
    throw new RequestError(403, 'found a form of another site, expected one of this page');
}

function setLanguage({ query }: PageRequest): PageAnswer {
  const to = query.get('to') === 'de' ? 'de' : 'en';
  return redirect(safePath(query.get('from') ?? '/'), {
    'set-cookie': cookie(languageCookie, to, '; Max-Age=31536000'),
  });
}

/** Only a page of ours: never another host. */
const safePath = (path: string): string => (/^\/(?:[A-Za-z0-9._+-][A-Za-z0-9._/+-]*)?$/.test(path) ? path : '/');

function loginPage(request: PageRequest, reader: Reader, status = 200, problem = ''): PageAnswer {
  const { say } = reader;
  const to = safePath(request.query.get('to') ?? '/');
  const body = document(
    reader,
    say('Log in'),
    html`<main id="main" class="narrow">
        <h1>mailferry</h1>
        ${problem !== '' && html`<p class="notice error" role="alert">${problem}</p>`}
        <form class="form" method="post" action="/login?to=${encodeURIComponent(to)}">
          <input type="text" name="user" value="mailferry" autocomplete="username" hidden />
          <div class="field">
            <label for="password">${say('Password')}</label>
            <div class="hint" id="password-hint">${say('The one that was chosen at the installation.')}</div>
            <input
              type="password"
              id="password"
              name="password"
              required
              autofocus
              autocomplete="current-password"
              aria-describedby="password-hint"
            />
          </div>
          <div class="row"><button class="main">${say('Log in')}</button></div>
        </form>
      </main>
      ${foot(reader, '/login')}`,
  );
  return { status, type: 'text/html; charset=utf-8', body };
}
