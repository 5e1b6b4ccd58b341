// The first page: is all well, and what should a person do.
import { agentStatusSchema, troublesOf } from '../control/answers.ts';
import type { AgentStatus } from '../control/answers.ts';
import { valueAt } from '../settings.ts';
import type { Edit } from '../settings.ts';
import { applyChange } from './apply.ts';
import { html } from './html.ts';
import type { Content, Html } from './html.ts';
import { button, danger, facts, light, page, table, told, token } from './layout.ts';
import { redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import { askFor, runCommand } from './run-command.ts';
import type { PageWork, Visit } from './work.ts';
import { duration, instant } from './words.ts';

type Account = AgentStatus['accounts'][number];

export async function showState(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { say } = visit.reader;
  const asked = await askFor(work.commands, 'status', agentStatusSchema);
  if (!asked.ok) return answer(page(visit, say('State'), html`<p class="notice error">${told(asked.text)}</p>`));
  const status = asked.value;
  // What asks for an answer has its own place above.
  const unasked = status.accounts.filter((account) => !account.paused);
  const troubles = troublesOf({ ...status, hold: '', accounts: unasked });
  const content: readonly Content[] = [
    held(visit, status),
    firstSteps(work, visit),
    questions(visit, status.accounts),
    proposals(visit, status),
    troubles.length > 0 &&
      html`<div class="card error">
        <h2>${say('Trouble')}</h2>
        <ul class="troubles" lang="en">
          ${troubles.map((text) => html`<li>${text}</li>`)}
        </ul>
      </div>`,
    mailboxes(visit, status.accounts),
    sending(visit, status),
    others(visit, status),
  ];
  return answer(page(visit, say('State'), ...content));
}

const answer = (body: string): PageAnswer => ({ status: 200, type: 'text/html; charset=utf-8', body });

/** Rule of safety 3: what belongs to another machine is not used before a person says so. */
function held({ reader, session }: Visit, { hold = '' }: AgentStatus): Html | undefined {
  const { say } = reader;
  if (hold === '') return undefined;
  return html`<div class="card error">
    <h2>${say('No mail moves')}</h2>
    <p>${told(hold)}</p>
    <p>
      ${say('Two machines with one state would fetch and send the same mail twice. Decide which one is to be used, stop the agent on every other one, and then say so here.')}
    </p>
    ${danger(session, '/adopt', say('This machine is to be used'), say('Is the agent stopped on every other machine that has this state?'), say('Yes, use it here'))}
  </div>`;
}

/** What is missing before mail can move. */
function firstSteps(work: PageWork, { reader }: Visit): Html | undefined {
  const { say } = reader;
  const { raw } = work.settings.read();
  const has = (path: readonly string[]): boolean => {
    const value = valueAt(raw, path);
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  };
  const steps = [
    {
      done: has(['local']),
      to: '/local',
      text: say('Say where the local mail server is, and which domains are yours.'),
    },
    { done: has(['accounts']), to: '/mailboxes/+', text: say('Add the first mailbox at your provider.') },
    { done: has(['relays']), to: '/sending/+', text: say('Add the relay by which mail goes out.') },
  ];
  if (steps.every((step) => step.done)) return undefined;
  return html`<div class="card">
    <h2>${say('First steps')}</h2>
    <ol>
      ${steps.map(({ done, to, text }) =>
        done ? html`<li>${light('ok', text)}</li>` : html`<li><a href="${to}">${text}</a></li>`,
      )}
    </ol>
  </div>`;
}

/** Rule of safety 4: an account that asks gets its answer here. */
export function questions({ reader, session }: Visit, accounts: readonly Account[]): readonly Html[] {
  const { say } = reader;
  return accounts
    .filter((account) => account.paused)
    .map(({ id, problem }) => {
      const first = /set firstRun/.test(problem);
      const choices = first
        ? ([
            ['all', say('fetch all of them')],
            ['new-only', say('leave them there, fetch new ones only')],
          ] as const)
        : ([
            ['', say('What was changed is meant so: go on')],
            ['known', say('These mails are known: leave them at the provider')],
            ['new', say('These mails are new: fetch all of them')],
          ] as const);
      return html`<form class="card warning" method="post" action="/mailboxes/${id}/answer">
        ${token(session)}
        <h2>${say('Mailbox {id} asks', { id })}</h2>
        <p>${told(problem)}</p>
        <input type="hidden" name="first" value="${first ? '1' : '0'}" />
        <fieldset>
          <legend class="muted">${say('Your answer')}</legend>
          ${choices.map(
            ([value, text]) =>
              html`<label class="choice"><input type="radio" name="answer" value="${value}" required />${text}</label>`,
          )}
          <label class="choice"
            ><input type="radio" name="answer" value="since" />${say('fetch those since a day')}
            <input type="date" name="since" aria-label="${say('Since')}"
          /></label>
        </fieldset>
        <div class="row"><button class="main">${say('Answer')}</button></div>
      </form>`;
    });
}

/** `first`: the answer stands in the configuration; else it is a command. */
export async function postAnswer(work: PageWork, visit: Visit, id: string): Promise<PageAnswer> {
  const { request, reader, session } = visit;
  const { say } = reader;
  const chosen = request.form.get('answer') ?? '';
  const day = request.form.get('since') ?? '';
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(day);
  if (chosen === 'since' && !isDay) {
    session.notice = { level: 'warning', text: say('Please say since which day.') };
    return redirect('/');
  }
  if (request.form.get('first') === '1') {
    const list = valueAt(work.settings.read().raw, ['accounts']);
    const index = Array.isArray(list) ? list.findIndex((item) => valueAt(item, ['id']) === id) : -1;
    if (index < 0 || !['all', 'new-only', 'since'].includes(chosen)) return redirect('/');
    const value = chosen === 'since' ? { since: day } : chosen;
    const edits: readonly Edit[] = [{ kind: 'set', path: ['accounts', index, 'firstRun'], value }];
    const problem = await applyChange(work, visit, { edits });
    if (problem !== undefined) session.notice = { level: 'warning', text: problem };
    return redirect('/');
  }
  const answered = chosen === 'since' ? 'since:' + day : chosen;
  const outcome = await runCommand(work.commands, 'confirm', {
    account: id,
    ...(answered === '' ? {} : { answer: answered }),
  });
  session.notice = outcome.ok
    ? { level: 'ok', text: say('Answered; mailbox {id} was looked at again.', { id }) }
    : { level: 'warning', text: outcome.text };
  return redirect('/');
}

/** Rule of safety 9: what the collector wants to change is for the owner of the agent to say. */
function proposals({ reader }: Visit, { proposed = 0 }: AgentStatus): Html | undefined {
  if (proposed === 0) return undefined;
  return html`<p class="notice warning">
    ${reader.say('Changes that the collector proposes: {n}.', { n: proposed })}
    <a href="/commands">${reader.say('Commands')}</a>
  </p>`;
}

export function mailboxes(visit: Visit, accounts: readonly Account[]): Html | undefined {
  const { reader, session } = visit;
  const { say } = reader;
  if (accounts.length === 0) return undefined;
  const now = Date.now();
  const rows = accounts.map((account) => {
    const { id, up, paused, problem, backlog, kept, lastRoundAt, nextRoundAt, hint = '', wake = '' } = account;
    const level = paused ? 'warning' : up ? 'ok' : problem === '' ? 'none' : 'error';
    const word = paused ? say('paused') : up ? say('well') : problem === '' ? say('not looked at yet') : say('trouble');
    const about = [paused ? '' : problem, hint, wake === '' || wake === 'ok' ? '' : 'idle: ' + wake].filter(
      (text) => text !== '',
    );
    return [
      html`<a href="/mailboxes/${id}">${id}</a>`,
      html`${light(level, word)}${about.map((text) => html`<div class="muted">${told(text)}</div>`)}`,
      lastRoundAt === 0 ? '' : say('{time} ago', { time: duration(reader, (now - lastRoundAt) / 1_000) }),
      nextRoundAt === 0 ? '' : say('in {time}', { time: duration(reader, Math.max(0, nextRoundAt - now) / 1_000) }),
      backlog,
      kept,
      button(session, '/fetch', say('Fetch now'), { account: id }),
    ];
  });
  const heads = [
    say('Mailbox'),
    say('State'),
    say('Last look'),
    say('Next look'),
    say('Waiting'),
    say('Kept there'),
    '',
  ];
  return html`<h2>${say('Mail in')}</h2>
    ${table(heads, rows)}`;
}

function sending({ reader }: Visit, status: AgentStatus): Html | undefined {
  const { say } = reader;
  const { relays, queue, submission } = status;
  if (relays.length === 0 && queue === null) return undefined;
  const rows = relays.map(({ id, up, problem, waits = '', standIn, budget }) => [
    html`<a href="/sending/${id}">${id}</a>`,
    html`${light(problem !== '' ? 'error' : waits !== '' ? 'warning' : up ? 'ok' : 'none', problem !== '' ? say('trouble') : waits !== '' ? say('waits') : up ? say('well') : say('not used yet'))}
    ${[problem, waits].filter((text) => text !== '').map((text) => html`<div class="muted">${told(text)}</div>`)}`,
    standIn ?? '',
    budget?.mails ?? '',
  ]);
  const heads = [say('Relay'), say('State'), say('In its place'), say('Mails left of its limit')];
  const queued =
    queue &&
    facts([
      [
        say('Queue'),
        html`<a href="/queue">${say('{n} mails', { n: queue.depth })}</a>
          ${queue.depth > 0 && say('the oldest waits {time}', { time: duration(reader, queue.oldestSeconds) })}
          ${queue.held > 0 && light('warning', say('{n} wait for you', { n: queue.held }))}`,
      ],
      [say('Handed in at'), submission ? submission.host + ':' + submission.port : say('nowhere')],
    ]);
  return html`<h2>${say('Mail out')}</h2>
    ${rows.length > 0 && table(heads, rows)} ${queued ?? ''}`;
}

function others({ reader }: Visit, status: AgentStatus): Html {
  const { say } = reader;
  const { local, report, quarantine, scanners = [], dnsbl, version, uptimeSeconds, tenant, agent } = status;
  const listed = dnsbl.filter((entry) => entry.state === 'listed');
  const rows: (readonly [string, Content])[] = [];
  if (local !== null)
    rows.push([
      say('Local server'),
      local.problem === '' ? light('ok', say('well')) : light('error', told(local.problem)),
    ]);
  if (quarantine)
    rows.push([say('Quarantine'), html`<a href="/quarantine">${say('{n} mails', { n: quarantine.count })}</a>`]);
  for (const { name, problem } of scanners)
    rows.push([name, problem === '' ? light('ok', say('well')) : light('error', told(problem))]);
  if (dnsbl.length > 0)
    rows.push([
      say('Block lists'),
      listed.length === 0
        ? light('ok', say('not listed'))
        : listed.map((entry) => html`<div>${light('error', told(entry.target + ': ' + entry.zone))}</div>`),
    ]);
  rows.push([
    say('Report to the collector'),
    report === null
      ? say('none')
      : report.connected
        ? light('ok', say('connected'))
        : light('warning', say('not connected; {n} reports wait', { n: report.batches })),
  ]);
  rows.push([say('Site'), tenant + ' / ' + agent]);
  rows.push([say('Version'), version]);
  rows.push([say('Runs since'), instant(reader, Date.now() - uptimeSeconds * 1_000)]);
  return html`<h2>${say('Around it')}</h2>
    ${facts(rows)}`;
}

export async function postFetch(work: PageWork, { request, reader, session }: Visit): Promise<PageAnswer> {
  const account = request.form.get('account') ?? '';
  const outcome = await runCommand(work.commands, 'fetch', account === '' ? {} : { account });
  session.notice = outcome.ok
    ? { level: 'ok', text: reader.say('Looked at the mailbox.') }
    : { level: 'warning', text: outcome.text };
  return redirect('/');
}

export async function postAdopt(work: PageWork, { reader, session }: Visit): Promise<PageAnswer> {
  const outcome = await runCommand(work.commands, 'adopt', {});
  session.notice = outcome.ok
    ? { level: 'ok', text: reader.say('Mail moves on this machine.') }
    : { level: 'warning', text: outcome.text };
  return redirect('/');
}
