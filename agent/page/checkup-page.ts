// What the command line can do and no running agent is asked for: the doctor, and the file for whoever helps.
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import { parseJson } from '#shared/json.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { button, light, page, table, told } from './layout.ts';
import type { Light } from './layout.ts';
import type { PageAnswer } from './request.ts';
import type { PageWork, Visit } from './work.ts';

const reportSchema = Type.Object({
  findings: Type.Array(
    Type.Object({
      check: Type.String(),
      level: Type.String(),
      place: Type.String(),
      found: Type.String(),
      expected: Type.String(),
      remedy: Type.String(),
    }),
  ),
});

export function checkups({ reader, session }: Visit): Html {
  const { say } = reader;
  return html`<div class="row">
      ${button(session, '/doctor', say('Check everything'), {}, 'main')}
      ${button(session, '/support', say('Save a file for whoever helps'))}
    </div>
    <p class="muted">
      ${say('The check looks at every server, login, name, certificate, disk and clock, one login each; it takes up to a minute. The file holds configuration, state and log, without passwords, addresses and mails.')}
    </p>`;
}

export async function postDoctor(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { say } = visit.reader;
  const { out } = await work.commandLine(['doctor', '--json']);
  const report = parseJson(out);
  const content = Check(reportSchema, report)
    ? table(
        [say('Checked'), say('State'), say('What helps')],
        report.findings.map(({ check, level, place, found, expected, remedy }) => [
          told(check),
          light(lightOf(level), told(found)),
          html`${expected !== '' && html`<div>${say('Expected:')} ${told(expected)}</div>`}${told(remedy)}
            <div class="muted">${place}</div>`,
        ]),
      )
    : html`<pre lang="en">${out}</pre>`;
  return { status: 200, type: 'text/html; charset=utf-8', body: page(visit, say('Check everything'), content) };
}

function lightOf(level: string): Light {
  return level === 'error' || level === 'warning' || level === 'ok' ? level : 'none';
}

export async function postSupport(work: PageWork): Promise<PageAnswer> {
  const { out } = await work.commandLine(['support-bundle', '--out', '-']);
  return {
    status: 200,
    type: 'application/octet-stream',
    body: out,
    headers: { 'content-disposition': 'attachment; filename="mailferry-support.txt"' },
  };
}
