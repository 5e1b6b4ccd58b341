// Lists of what is set up: mailboxes; relays with those who hand mail in.
import { agentStatusSchema } from '../control/answers.ts';
import { isRecord } from '#shared/json.ts';
import { valueAt } from '../settings.ts';
import { html } from './html.ts';
import { page, table } from './layout.ts';
import type { PageAnswer } from './request.ts';
import { askFor } from './run-command.ts';
import { mailboxes, questions } from './state-page.ts';
import { showUsers } from './users-page.ts';
import type { PageWork, Visit } from './work.ts';

const answer = (body: string): PageAnswer => ({ status: 200, type: 'text/html; charset=utf-8', body });

export async function showMailboxes(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { say } = visit.reader;
  const asked = await askFor(work.commands, 'status', agentStatusSchema);
  const running = asked.ok ? asked.value.accounts : [];
  // Saved, but the agent has not taken it up (yet).
  const waiting = namesIn(work, 'accounts').filter((id) => !running.some((account) => account.id === id));
  return answer(
    page(
      visit,
      say('Mailboxes'),
      questions(visit, running),
      mailboxes(visit, running),
      waiting.length > 0 &&
        html`<h2>${say('Saved, not in use yet')}</h2>
          <ul>
            ${waiting.map((id) => html`<li><a href="/mailboxes/${id}">${id}</a></li>`)}
          </ul>`,
      html`<div class="row"><a class="button main" href="/mailboxes/+">${say('New mailbox')}</a></div>`,
    ),
  );
}

export async function showSending(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { say } = visit.reader;
  const { raw } = work.settings.read();
  const relays = valueAt(raw, ['relays']);
  const rows = (Array.isArray(relays) ? relays : []).filter(isRecord).map((relay) => {
    const { id, preset, host, senders } = relay;
    const where = typeof host === 'string' ? host : typeof preset === 'string' ? preset : '';
    const whose = Array.isArray(senders) ? senders.join(', ') : say('all others');
    return [html`<a href="/sending/${String(id)}">${String(id)}</a>`, where, whose];
  });
  const submission = valueAt(raw, ['submission']);
  return answer(
    page(
      visit,
      say('Sending'),
      html`<h2>${say('Relays')}</h2>`,
      rows.length > 0 && table([say('Relay'), say('Server'), say('Senders')], rows),
      html`<div class="row">
        <a class="button main" href="/sending/+">${say('New relay')}</a>
        ${submission !== undefined && html`<a class="button" href="/submission">${say('Where mail is handed in')}</a>`}
      </div>`,
      submission !== undefined && (await showUsers(work, visit)),
    ),
  );
}

function namesIn(work: PageWork, list: 'accounts' | 'relays'): readonly string[] {
  const items = valueAt(work.settings.read().raw, [list]);
  return (Array.isArray(items) ? items : []).filter(isRecord).map((item) => String(item['id']));
}
