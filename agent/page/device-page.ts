// The device login (RFC 8628) on the page: a person opens a page of the provider, types a code, and the entry is saved with the
// token that comes. For whoever has Microsoft 365 and no shell. Bounded: few at once, as long as the provider's code is good.
import { randomBytes } from 'node:crypto';
import { LoginError } from '../accounts/login-error.ts';
import { UserError } from '#shared/failure.ts';
import type { Change } from '../settings.ts';
import { applyChange } from './apply.ts';
import { html } from './html.ts';
import { facts, page, told } from './layout.ts';
import { RequestError, redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import type { DeviceJob, DeviceLogin, PageWork, Visit } from './work.ts';

const maxJobs = 4;

export function startDevice(
  work: PageWork,
  visit: Visit,
  options: {
    readonly kind: 'mailbox' | 'relay';
    readonly entry: Readonly<Record<string, unknown>>;
    readonly home: string;
    readonly change: (token: string) => Change;
  },
): PageAnswer {
  const { devices } = work;
  for (const [id, { state }] of devices) if (devices.size >= maxJobs && state !== 'waiting') devices.delete(id);
  if (devices.size >= maxJobs)
    throw new RequestError(503, visit.reader.say('Other logins wait for their codes: try again later.'));
  const id = randomBytes(12).toString('hex');
  const job: DeviceJob = { state: 'waiting', problem: '', prompt: undefined, home: options.home };
  devices.set(id, job);
  void run(work, visit, job, options);
  return redirect('/device/' + id);
}

async function run(
  work: PageWork,
  visit: Visit,
  job: DeviceJob,
  options: Pick<Parameters<DeviceLogin>[0], 'kind' | 'entry'> & { readonly change: (token: string) => Change },
): Promise<void> {
  const { kind, entry, change } = options;
  try {
    const token = await work.deviceLogin({ kind, entry, show: (prompt) => void (job.prompt = prompt) });
    job.problem = (await applyChange(work, visit, change(token))) ?? '';
  } catch (error) {
    // Whatever it is, the page must not wait for ever.
    const known = error instanceof LoginError || error instanceof UserError || error instanceof RequestError;
    job.problem = known
      ? error.message
      : visit.reader.say('This did not work: an error of the agent. Its log says more.');
    if (!known) work.failed(error);
  }
  job.state = job.problem === '' ? 'done' : 'failed';
}

export function showDevice(work: PageWork, visit: Visit, id: string): PageAnswer {
  const { say } = visit.reader;
  const job = work.devices.get(id);
  if (job === undefined) throw new RequestError(404, say('There is no such page.'));
  const { state, prompt, problem, home } = job;
  if (state === 'done') {
    work.devices.delete(id);
    return redirect(home);
  }
  const content =
    state === 'failed'
      ? html`<p class="notice error">${told(problem)}</p>
          <div class="row"><a class="button" href="${home}">${say('Back')}</a></div>`
      : prompt === undefined
        ? html`<p>${say('Asking the provider for a code …')}</p>`
        : html`<p>
              ${say('Open this page of the provider on any device, log in there, and type the code. This page goes on by itself.')}
            </p>
            ${facts([
              [say('Page'), html`<a href="${prompt.url}" rel="noreferrer" target="_blank">${prompt.url}</a>`],
              [say('Code'), html`<code class="secret" id="code">${prompt.code}</code>`],
            ])}`;
  const again =
    state === 'waiting' && html`<div class="row"><a class="button" href="/device/${id}">${say('Look again')}</a></div>`;
  return {
    status: 200,
    type: 'text/html; charset=utf-8',
    body: page(visit, say('Log in at the provider'), content, again),
  };
}
