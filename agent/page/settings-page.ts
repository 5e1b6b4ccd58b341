// The log, the password of the page, its certificate, and the configuration as it stands in its file.
import { UserError } from '#shared/failure.ts';
import { html } from './html.ts';
import { facts, page, table, told, token } from './layout.ts';
import { minPasswordLength } from './page-password.ts';
import { redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import type { PageWork, Visit } from './work.ts';
import { instant } from './words.ts';

const answer = (body: string): PageAnswer => ({ status: 200, type: 'text/html; charset=utf-8', body });

export function showLog(work: PageWork, visit: Visit): PageAnswer {
  const { reader, request } = visit;
  const { say } = reader;
  const all = request.query.get('all') === '1';
  const lines = work.logLines().filter(({ level }) => all || level === 'warn' || level === 'error');
  const rows = lines.map(({ at, level, text }) => [
    instant(reader, at),
    html`<span class="light ${level === 'error' ? 'error' : level === 'warn' ? 'warning' : 'none'}">${level}</span>`,
    told(text),
  ]);
  const link = all
    ? html`<a href="/log">${say('Warnings and errors only')}</a>`
    : html`<a href="/log?all=1">${say('All lines')}</a>`;
  return answer(
    page(
      visit,
      say('Log'),
      html`<p>
        ${say('The last lines since the agent was started; the whole log is where the system keeps it.')} ${link}
      </p>`,
      rows.length > 0
        ? html`<div class="log">${table([say('When'), say('Level'), say('What')], rows)}</div>`
        : html`<p>${say('Nothing to show.')}</p>`,
    ),
  );
}

export function showSettings(work: PageWork, visit: Visit): PageAnswer {
  const { reader, session } = visit;
  const { say } = reader;
  const { text } = work.settings.read();
  const passwordField = (name: string, label: string, complete: string) =>
    html`<div class="field">
      <label for="${name}">${label}</label>
      <input type="password" id="${name}" name="${name}" required autocomplete="${complete}" />
    </div>`;
  return answer(
    page(
      visit,
      say('Settings'),
      html`<h2>${say('Password of this page')}</h2>
        <form class="form" method="post" action="/settings/password">
          ${token(session)}
          <input type="text" name="user" value="mailferry" autocomplete="username" hidden />
          ${passwordField('old', say('The present one'), 'current-password')}
          ${passwordField('fresh', say('The new one, at least {n} characters', { n: minPasswordLength }), 'new-password')}
          ${passwordField('again', say('The new one again'), 'new-password')}
          <div class="row"><button class="main">${say('Change')}</button></div>
        </form>
        <h2>${say('Certificate of this page')}</h2>
        ${facts([
          ['SHA-256', html`<span class="mono">${work.fingerprint()}</span>`],
          [say('Version'), work.version],
        ])}
        <h2>${say('Configuration')}</h2>
        <p>
          ${say('As it stands in {file}. Passwords stand in files of their own. Options that have no form here are changed in the file.', { file: work.settings.file })}
        </p>
        <pre lang="en" tabindex="0" aria-label="${say('Configuration')}">${text}</pre>`,
    ),
  );
}

export async function postPassword(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { request, reader, session } = visit;
  const { say } = reader;
  const { form } = request;
  const fresh = form.get('fresh') ?? '';
  if (fresh !== form.get('again')) {
    session.notice = { level: 'warning', text: say('Not changed: the new password was typed differently.') };
    return redirect('/settings');
  }
  try {
    await work.changePassword(form.get('old') ?? '', fresh, request.address);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    session.notice = { level: 'warning', text: error.message };
    return redirect('/settings');
  }
  // Whoever knew the old one is out.
  work.endOtherSessions(session);
  session.notice = { level: 'ok', text: say('The password is changed; all other sessions are ended.') };
  return redirect('/settings');
}
