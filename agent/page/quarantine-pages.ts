// The quarantine of fetched mail: the list, one mail, and what can be done with it.
import { relative, resolve } from 'node:path';
import { heldListSchema, heldMailSchema } from '../control/answers.ts';
import { html } from './html.ts';
import { button, danger, facts, page, table, told } from './layout.ts';
import { RequestError, redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import { askFor, runCommand } from './run-command.ts';
import type { PageWork, Visit } from './work.ts';
import { bytes, instant } from './words.ts';

const shownAtMost = 200;
const answer = (body: string): PageAnswer => ({ status: 200, type: 'text/html; charset=utf-8', body });

export async function showQuarantine(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { reader } = visit;
  const { say } = reader;
  const asked = await askFor(work.commands, 'quarantine list', heldListSchema);
  if (!asked.ok) return answer(page(visit, say('Quarantine'), html`<p class="notice warning">${told(asked.text)}</p>`));
  const { total, entries } = asked.value;
  const rows = entries
    .slice(0, shownAtMost)
    .map((mail) => [
      html`<a href="/quarantine/${mail.id}">${instant(reader, Date.parse(mail.at))}</a>`,
      mail.account,
      mail.from,
      mail.subject,
      told(mail.reason),
      bytes(mail.sizeBytes),
    ]);
  const heads = [say('Since'), say('Mailbox'), say('From'), say('Subject'), say('Why it is here'), say('Size')];
  const content = [
    html`<p>${say('{n} fetched mails were not handed over and wait for you.', { n: total })}</p>`,
    rows.length > 0 && table(heads, rows),
    total > rows.length && html`<p>${say('The oldest {n} are shown.', { n: rows.length })}</p>`,
  ];
  return answer(page(visit, say('Quarantine'), ...content));
}

export async function showHeld(work: PageWork, visit: Visit, id: string): Promise<PageAnswer> {
  const { reader, session } = visit;
  const { say } = reader;
  const asked = await askFor(work.commands, 'quarantine show', heldMailSchema, { id });
  if (!asked.ok) throw new RequestError(404, asked.text);
  const mail = asked.value;
  const at = '/quarantine/' + id + '/';
  const content = [
    facts([
      [say('Mailbox'), mail.account],
      [say('From'), mail.from],
      [say('Subject'), mail.subject],
      [say('Why it is here'), told(mail.reason)],
      [say('Since'), instant(reader, Date.parse(mail.at))],
      [say('Size'), bytes(mail.sizeBytes)],
      ['SHA-256', html`<span class="mono">${mail.sha256}</span>`],
    ]),
    html`<h2>${say('Recipients')}</h2>`,
    table(
      [say('Address'), say('State'), say('Last reply')],
      mail.recipients.map((one) => [one.address, told(one.verdict), told(one.text)]),
    ),
    html`<div class="row">
      ${button(session, at + 'release', say('Hand over all the same'), {}, 'main')}
      <a class="button" href="${at}mail.eml" download>${say('Save as a file')}</a>
    </div>`,
    danger(
      session,
      at + 'drop',
      say('Drop'),
      say("The mail is gone here, and the provider's copy may be deleted when its keeping time is over."),
      say('Drop for good'),
    ),
    html`<h2>${say('Header')}</h2>
      <pre>${mail.header}</pre>`,
  ];
  return answer(page(visit, say('Mail {id}', { id }), ...content));
}

export async function postQuarantine(work: PageWork, visit: Visit, act: string, id: string): Promise<PageAnswer> {
  const { reader, session } = visit;
  if (act !== 'release' && act !== 'drop') throw new RequestError(404, 'there is no such action');
  const outcome = await runCommand(work.commands, 'quarantine ' + act, { id });
  session.notice = outcome.ok ? { level: 'ok', text: reader.say('Done.') } : { level: 'warning', text: outcome.text };
  return redirect(outcome.ok ? '/quarantine' : '/quarantine/' + id);
}

/** As bytes to be saved, never as something that a browser shows: it may be the worst mail of the week. */
export async function downloadHeld(work: PageWork, _visit: Visit, id: string): Promise<PageAnswer> {
  const asked = await askFor(work.commands, 'quarantine show', heldMailSchema, { id });
  if (!asked.ok) throw new RequestError(404, asked.text);
  const { file } = asked.value;
  const inside = relative(resolve(work.stateFolder), resolve(file));
  if (inside.startsWith('..')) throw new RequestError(404, 'its file is not in the state folder');
  return {
    status: 200,
    type: 'application/octet-stream',
    body: '',
    file,
    headers: { 'content-disposition': 'attachment; filename="' + id.replaceAll(/[^A-Za-z0-9._-]/g, '_') + '.eml"' },
  };
}
