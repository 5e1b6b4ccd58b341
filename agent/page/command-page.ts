// Every command of the table, as the command line has it: what has no page of its own is here, with its arguments and its
// answer. A command that is added to the table is here without another line.
import type { Command } from '../control/commands.ts';
import { isRecord } from '#shared/json.ts';
import { checkups } from './checkup-page.ts';
import { html } from './html.ts';
import type { Content, Html } from './html.ts';
import { facts, page, table, token } from './layout.ts';
import { RequestError } from './request.ts';
import type { PageAnswer } from './request.ts';
import { runCommand } from './run-command.ts';
import type { PageWork, Visit } from './work.ts';
import { instant } from './words.ts';
import type { Reader } from './words.ts';

const answer = (body: string, status = 200): PageAnswer => ({ status, type: 'text/html; charset=utf-8', body });

export function showCommands(work: PageWork, visit: Visit): PageAnswer {
  const { say } = visit.reader;
  const rows = [...work.commands].map(([name, { help, readOnly }]) => [
    html`<a href="/commands/${encodeURIComponent(name)}">${name}</a>`,
    html`<span lang="en">${help}</span>`,
    readOnly ? say('no') : say('yes'),
  ]);
  const heads = [say('Command'), say('What it does'), say('Changes something')];
  return answer(
    page(
      visit,
      say('Commands'),
      html`<p>${say('The same commands as those of the command line.')}</p>`,
      checkups(visit),
      table(heads, rows),
    ),
  );
}

export function showCommand(work: PageWork, visit: Visit, name: string): PageAnswer {
  return answer(page(visit, name, commandForm(visit, name, find(work, name))));
}

function find(work: PageWork, name: string): Command {
  const command = work.commands.get(name);
  if (command === undefined) throw new RequestError(404, 'there is no such command');
  return command;
}

export async function postCommand(work: PageWork, visit: Visit, name: string): Promise<PageAnswer> {
  const { say } = visit.reader;
  const command = find(work, name);
  const given = Object.fromEntries(
    Object.keys(command.arguments.properties).flatMap((argument) => {
      const value = visit.request.form.get('argument-' + argument)?.trim() ?? '';
      return value === '' ? [] : [[argument, value] as const];
    }),
  );
  const outcome = await runCommand(work.commands, name, given);
  const shown = outcome.ok
    ? html`<h2>${say('Answer')}</h2>
        <div id="answer">${value(visit.reader, outcome.value, 0)}</div>`
    : html`<p class="notice warning" id="answer" role="alert"><span lang="en">${outcome.text}</span></p>`;
  return answer(page(visit, name, commandForm(visit, name, command, given), shown), outcome.ok ? 200 : 422);
}

function commandForm(
  { reader, session }: Visit,
  name: string,
  { help, arguments: schema, readOnly }: Command,
  given: Readonly<Record<string, string>> = {},
): Html {
  const { say } = reader;
  const required: readonly string[] = schema.required ?? [];
  const fields = Object.entries(schema.properties).map(([argument, one]) => {
    const id = 'argument-' + argument;
    const about = 'description' in one ? String(one.description) : '';
    return html`<div class="field">
      <label for="${id}"
        >${argument}${!required.includes(argument) && html` <span class="muted">(${say('may be empty')})</span>`}</label
      >
      <div class="hint" id="${id}-hint" lang="en">${about}</div>
      <input
        type="text"
        id="${id}"
        name="${id}"
        value="${given[argument] ?? ''}"
        aria-describedby="${id}-hint"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
      />
    </div>`;
  });
  return html`<form class="form" method="post" action="/commands/${encodeURIComponent(name)}">
    ${token(session)}
    <p lang="en">${help}</p>
    ${fields}
    <div class="row"><button class="${readOnly ? '' : 'main'}">${say('Run')}</button></div>
  </form>`;
}

const maxDepth = 5;
const maxRows = 200;

/** Any answer: records as facts, lists of records as tables. */
function value(reader: Reader, any: unknown, depth: number, name = ''): Content {
  if (typeof any === 'number' && name.endsWith('At')) return any === 0 ? '–' : instant(reader, any);
  if (any === null || any === undefined || any === '') return '–';
  if (typeof any === 'string' || typeof any === 'number' || typeof any === 'boolean') return String(any);
  if (depth >= maxDepth) return JSON.stringify(any);
  if (Array.isArray(any)) return list(reader, any, depth);
  if (!isRecord(any)) return JSON.stringify(any);
  return facts(Object.entries(any).map(([inside, inner]) => [inside, value(reader, inner, depth + 1, inside)]));
}

function list(reader: Reader, items: readonly unknown[], depth: number): Content {
  if (items.length === 0) return '–';
  const records = items.filter(isRecord);
  if (records.length < items.length)
    return html`<ul>
      ${items.slice(0, maxRows).map((item) => html`<li>${value(reader, item, depth + 1)}</li>`)}
    </ul>`;
  const heads = [...new Set(records.flatMap((record) => Object.keys(record)))];
  if (heads.length > 6 || depth > 1)
    return records.slice(0, maxRows).map((record) => html`<div class="card">${value(reader, record, depth + 1)}</div>`);
  return table(
    heads,
    records.slice(0, maxRows).map((record) => heads.map((head) => value(reader, record[head], depth + 1, head))),
  );
}
