// What the agent's own page needs from configuration, state folder and machine. Nearly all of it is loaded with the first
// browser: an agent whose page nobody opens pays for a socket.
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { UserError, describe } from '#shared/failure.ts';
import { readPem } from '#shared/pem.ts';
import type { Loaded } from '#shared/config.ts';
import { writeSecretFile } from './accounts/secret-file.ts';
import { loadAgentConfig } from './config.ts';
import type { AgentConfig } from './config.ts';
import type { CommandTable } from './control/commands.ts';
import type { PageOptions } from './page/options.ts';
import { createPagePassword } from './page/page-password.ts';
import type { PagePassword } from './page/page-password.ts';
import { createPageServer } from './page/page.ts';
import type { Serving, Tls } from './page/page.ts';
import type { LogLine, PageWork } from './page/work.ts';
import type { Throttle } from './page/web.ts';
import type { Ground } from './rooms.ts';
import { usersFileOf } from './users/users-file.ts';

export type PageSetup = {
  readonly base: Pick<Ground, 'loaded' | 'clock' | 'log' | 'state' | 'lifecycle' | 'version'>;
  readonly page: PageOptions;
  readonly commands: CommandTable;
  /** The newest first. */
  readonly logLines: () => readonly LogLine[];
};

/** Throws UserError naming the option when password or certificate cannot be read. */
export async function openPage(setup: PageSetup): Promise<void> {
  const { base, page } = setup;
  const { loaded, clock, lifecycle } = base;
  const log = base.log.child({ room: 'page' });
  const secret = page.password;
  const read = (): string => loaded.secret(['page', 'password'], secret);
  read();
  if (page.tls !== undefined) readOwnTls(loaded, page.tls);
  const write = 'file' in secret ? (text: string) => writeSecretFile(loaded.path(secret.file), text) : undefined;
  const password = createPagePassword({ read, write, log });
  await password.seal();
  const server = createPageServer({
    host: page.host,
    port: page.port,
    open: () => openServing({ ...setup, base: { ...base, log } }, password),
    clock,
    log,
  });
  lifecycle.onStop('page', server.stop);
  await server.start();
}

async function openServing(setup: PageSetup, password: PagePassword): Promise<Serving> {
  const { base } = setup;
  const { clock, log, loaded, state } = base;
  const [
    { openHttps },
    { createWeb },
    { createSessions },
    { createSettings },
    { createTryOut },
    { createDeviceLogin },
    { createThrottle },
  ] = await Promise.all([
    import('./page/https.ts'),
    import('./page/web.ts'),
    import('./page/sessions.ts'),
    import('./settings.ts'),
    import('./try-out.ts'),
    import('./page-login.ts'),
    import('./send/submission/throttle.ts'),
  ]);
  const sessions = createSessions(clock);
  const throttle = createThrottle(clock);
  // What the page has saved meanwhile counts.
  const current = (): Loaded<AgentConfig> => loadAgentConfig(loaded.file);
  let fingerprint = '';
  const work: PageWork = {
    commands: setup.commands,
    settings: createSettings({ file: loaded.file }),
    tryOut: createTryOut({ loaded: current, clock, log }),
    deviceLogin: createDeviceLogin({ loaded: current, clock, signal: base.lifecycle.signal }),
    devices: new Map(),
    commandLine: createCommandLine(base),
    failed: (error) => log.error({ error: describe(error) }, 'page failed'),
    logLines: setup.logLines,
    usersFile: usersFileOf(state.folder),
    stateFolder: state.folder,
    changePassword: async (old, fresh, address) => {
      await refuseWrong(password, throttle, old, address);
      await password.change(fresh);
    },
    endOtherSessions: sessions.closeOthers,
    fingerprint: () => fingerprint,
    version: base.version,
  };
  const { tenant, agent } = loaded.value;
  const web = createWeb({ work, sessions, password, throttle, clock, log, site: tenant + ' / ' + agent });
  return openHttps({
    web,
    readTls: () => readTls(setup),
    onCertificate: (shown) => (fingerprint = shown),
    clock,
    log,
  });
}

/** One at a time: each may hold a whole log in memory. */
function createCommandLine({ clock, loaded }: PageSetup['base']): PageWork['commandLine'] {
  let last: Promise<unknown> = Promise.resolve();
  return (args) => {
    const result = last.then(async () => {
      const { runCli } = await import('./cli/program.ts');
      let out = '';
      const add = (text: string): void => void (out += text);
      const terminal = { out: add, error: add, folder: dirname(loaded.file), now: clock.now, clock };
      return { code: await runCli(['--config', loaded.file, ...args], terminal), out };
    });
    last = result.catch(() => {});
    return result;
  };
}

/** A session that was left open is not enough to lock its owner out. */
async function refuseWrong(password: PagePassword, throttle: Throttle, old: string, address: string): Promise<void> {
  const user = 'page';
  if (!throttle.mayTry(user, address))
    throw new UserError('Cannot change the password: too many wrong ones, wait a minute');
  if (await password.isRight(old)) return throttle.succeeded(user, address);
  throttle.failed(user, address);
  throw new UserError('Cannot change the password: the present one is wrong');
}

function readOwnTls(loaded: Loaded<AgentConfig>, tls: NonNullable<PageOptions['tls']>): Tls {
  return {
    key: readPem(loaded, ['page', 'tls', 'keyFile'], tls.keyFile),
    cert: readPem(loaded, ['page', 'tls', 'certFile'], tls.certFile),
  };
}

async function readTls({ base, page }: PageSetup): Promise<Tls> {
  if (page.tls !== undefined) return readOwnTls(base.loaded, page.tls);
  const { openOwnCertificate } = await import('./send/submission/own-certificate.ts');
  const own = [hostname(), 'localhost', '127.0.0.1', ...(/^(?:0\.0\.0\.0|::)$/.test(page.host) ? [] : [page.host])];
  const usable = (one: string): boolean => isIP(one) !== 0 || /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(one);
  const names = [...new Set(own.map((one) => one.toLowerCase()))].filter(usable);
  const { key, cert } = await openOwnCertificate({
    folder: base.state.folder,
    prefix: 'page',
    names,
    now: base.clock.now,
  });
  return { key, cert };
}
