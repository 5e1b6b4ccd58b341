// The pages over plain HTTP with a made-up agent behind them: for what needs no browser and no servers.
import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLog } from '#shared/log.ts';
import { createCommands } from '../../../agent/control/commands.ts';
import type { CommandWork } from '../../../agent/control/commands.ts';
import { createPagePassword } from '../../../agent/page/page-password.ts';
import { createSessions } from '../../../agent/page/sessions.ts';
import { createWeb } from '../../../agent/page/web.ts';
import type { PageWork, TryOut } from '../../../agent/page/work.ts';
import { createThrottle } from '../../../agent/send/submission/throttle.ts';
import { createSettings } from '../../../agent/settings.ts';
import { UserError } from '#shared/failure.ts';
import { createHandClock } from '../../collector/web/hand-clock.ts';
import { sampleHeld, sampleMail, sampleStatus } from '../control/sample.ts';

const typed = `tenant: acme
agent: nas-1
state: state
local: {domains: [example.org]}   # ours
accounts:
  - id: info
    preset: gmx
    user: info@example.org
    password: {file: info-password}
    recipients: [info@example.org]
    pins: ['sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']   # not on the page
`;

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string };

export async function openSite(
  t: TestContext,
  options: {
    readonly commands?: Partial<CommandWork>;
    readonly text?: string;
    readonly work?: Partial<PageWork>;
  } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-page-'));
  const file = join(folder, 'agent.yaml');
  writeFileSync(file, options.text ?? typed);
  writeFileSync(join(folder, 'info-password'), 'stored secret\n');
  const clock = createHandClock();
  const log = createLog({ level: 'silent', name: 'test' });
  let applied = 0;
  const held = new Map([[sampleHeld.id, sampleHeld]]);
  const commands = createCommands({
    status: () => sampleStatus,
    queueList: () => [sampleMail],
    queueShow: (id) => (id === sampleMail.id ? sampleMail : undefined),
    queue: () => undefined,
    fetch: async () => sampleStatus.accounts,
    quarantine: () => ({
      summary: () => ({ count: held.size }),
      list: async () => [...held.values()],
      show: async (id) => {
        const mail = held.get(id);
        if (mail === undefined) throw new UserError('Cannot show mail: it is not there');
        return { ...mail, header: 'Subject: ' + mail.subject, file: join(folder, 'held.eml') };
      },
      release: async (id) => ({ id, recipients: [] }),
      drop: async (id) => ({ id }),
    }),
    reload: async () => {
      applied += 1;
      return { changes: [], reopened: [], restart: [] };
    },
    ...options.commands,
  });
  let secret = 'a good password';
  const password = createPagePassword({ read: () => secret, write: async (text) => void (secret = text), log });
  const sessions = createSessions(clock);
  const throttle = createThrottle(clock);
  const tried: Parameters<TryOut>[0][] = [];
  const work: PageWork = {
    commands,
    settings: createSettings({ file }),
    tryOut: async (asked) => {
      tried.push(asked);
      return { level: 'ok', found: 'logged in', expected: '', remedy: '' };
    },
    deviceLogin: () => Promise.reject(new UserError('no provider here')),
    devices: new Map(),
    commandLine: async (args) => ({ code: 0, out: args.join(' ') }),
    failed: () => {},
    logLines: () => [{ at: clock.now(), level: 'error', text: '<b>bold</b> failure' }],
    usersFile: join(folder, 'users.json'),
    stateFolder: folder,
    changePassword: async (old, fresh) => {
      if (!(await password.isRight(old))) throw new UserError('the present one is wrong');
      await password.change(fresh);
    },
    endOtherSessions: sessions.closeOthers,
    fingerprint: () => 'AA:BB',
    version: '0.1.0',
    ...options.work,
  };
  const web = createWeb({ work, sessions, password, throttle, clock, log, site: 'acme / nas-1' });
  const server = createServer((incoming, outgoing) => void web(incoming, outgoing).catch(() => outgoing.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo; // of a TCP server

  function ask(
    method: string,
    path: string,
    given: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', ...given.headers };
    const asked = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (part: string) => void (body += part));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
    });
    asked.on('error', reject);
    asked.end(given.body);
    return promise;
  }

  /** The cookie of a session and the token of its forms. */
  async function logIn(given = 'a good password') {
    const answer = await ask('POST', '/login', { body: new URLSearchParams({ password: given }).toString() });
    const cookie = (answer.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? '';
    const { body } = await ask('GET', '/settings', { headers: { cookie } });
    const token = /name="token" value="([^"]+)"/.exec(body)?.[1] ?? '';
    const get = (path: string) => ask('GET', path, { headers: { cookie } });
    const post = (path: string, form: Readonly<Record<string, string>> = {}, headers = {}) =>
      ask('POST', path, { headers: { cookie, ...headers }, body: new URLSearchParams({ token, ...form }).toString() });
    return { answer, cookie, token, get, post };
  }

  return {
    folder,
    file,
    clock,
    port,
    work,
    tried,
    ask,
    logIn,
    applied: () => applied,
    storedPassword: () => secret,
  };
}
