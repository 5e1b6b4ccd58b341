// The queue of outgoing mail: the list, one mail, and what can be done with it.
import { queueEntrySchema, queueListSchema } from '../control/answers.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { button, danger, facts, page, table, told } from './layout.ts';
import { RequestError, redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import { askFor, runCommand } from './run-command.ts';
import type { PageWork, Visit } from './work.ts';
import { bytes, instant } from './words.ts';

const shownAtMost = 200;

export async function showQueue(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { reader, session } = visit;
  const { say } = reader;
  const asked = await askFor(work.commands, 'queue list', queueListSchema);
  const heads = [say('Since'), say('From'), say('To'), say('Size'), say('State'), say('Next try')];
  const content = asked.ok
    ? html`<p>${say('{n} mails wait to be sent.', { n: asked.value.total })}</p>
        ${asked.value.entries.length > 0 && button(session, '/queue/flush', say('Try all now'))}
        ${
          asked.value.entries.length > 0 &&
          table(
            heads,
            asked.value.entries.slice(0, shownAtMost).map((entry) => [
              html`<a href="/queue/${entry.id}">${instant(reader, entry.acceptedAt)}</a>`,
              entry.from === '' ? '<>' : entry.from,
              recipients(entry.recipients.map((one) => one.address)),
              bytes(entry.sizeBytes),
              html`${told(entry.state)}
                <div class="muted">${told(entry.problem)}</div>`,
              instant(reader, entry.nextTryAt),
            ]),
          )
        }
        ${asked.value.total > shownAtMost && html`<p>${say('The oldest {n} are shown.', { n: shownAtMost })}</p>`}`
    : refusal(asked.text);
  return answer(page(visit, say('Queue'), content));
}

const answer = (body: string): PageAnswer => ({ status: 200, type: 'text/html; charset=utf-8', body });
const refusal = (text: string): Html => html`<p class="notice warning">${told(text)}</p>`;
const recipients = (all: readonly string[]): string =>
  all.slice(0, 3).join(', ') + (all.length > 3 ? ' + ' + (all.length - 3) : '');

export async function showQueued(work: PageWork, visit: Visit, id: string): Promise<PageAnswer> {
  const { reader, session } = visit;
  const { say } = reader;
  const asked = await askFor(work.commands, 'queue show', queueEntrySchema, { id });
  if (!asked.ok) throw new RequestError(404, asked.text);
  const mail = asked.value;
  const rows = mail.recipients.map((one) => [
    one.address,
    told(one.state),
    one.attempts,
    html`${told(one.lastReply)}${[one.meaning, one.remedy].map((text) => text !== undefined && html`<div class="muted">${told(text)}</div>`)}`,
  ]);
  const at = '/queue/' + id + '/';
  const content = [
    facts([
      [say('From'), mail.from === '' ? '<>' : mail.from],
      [say('Handed in by'), mail.user ?? ''],
      [say('Since'), instant(reader, mail.acceptedAt)],
      [say('Next try'), instant(reader, mail.nextTryAt)],
      [say('Relay'), mail.relay ?? ''],
      [say('Size'), bytes(mail.sizeBytes)],
      [say('State'), told(mail.state)],
      [say('Why it is here'), told(mail.problem)],
    ]),
    html`<h2>${say('Recipients')}</h2>`,
    table([say('Address'), say('State'), say('Tries'), say('Last reply')], rows),
    html`<div class="row">
      ${button(session, at + 'retry', say('Try now'))}${button(session, at + 'hold', say('Hold'))}${button(session, at + 'release', say('Release'))}
    </div>`,
    danger(
      session,
      at + 'drop',
      say('Drop'),
      say('The mail is gone then, and its sender is not told.'),
      say('Drop for good'),
    ),
  ];
  return answer(page(visit, say('Mail {id}', { id }), ...content));
}

const acts = ['retry', 'hold', 'release', 'drop', 'flush'] as const;

export async function postQueue(work: PageWork, visit: Visit, act: string, id?: string): Promise<PageAnswer> {
  const { reader, session } = visit;
  if (!acts.some((one) => one === act)) throw new RequestError(404, 'there is no such action');
  const outcome = await runCommand(work.commands, 'queue ' + act, id === undefined ? {} : { id });
  session.notice = outcome.ok
    ? { level: 'ok', text: reader.say('Done.') + mayHaveArrived(visit, outcome.value) }
    : { level: 'warning', text: outcome.text };
  return redirect(id === undefined || act === 'drop' || !outcome.ok ? '/queue' : '/queue/' + id);
}

/** A double is possible then: whoever asked for the try has to know. */
function mayHaveArrived({ reader }: Visit, value: unknown): string {
  const list =
    typeof value === 'object' && value !== null && 'mayHaveArrived' in value && Array.isArray(value.mayHaveArrived)
      ? value.mayHaveArrived.map(String)
      : [];
  return list.length === 0 ? '' : ' ' + reader.say('It may have arrived before at: {list}', { list: list.join(', ') });
}
