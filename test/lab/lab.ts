// The lab of one test: real servers, a bad line, and scripted misbehaviour, all on loopback, all in one temporary folder.
// Promise: when the test is over, every process is gone and the folder is removed, also when the test failed.
import { chmodSync, mkdtempSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { createCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { startChild } from './child.ts';
import type { Child, ChildOptions } from './child.ts';
import { createClamd } from './clamd.ts';
import type { Clamd } from './clamd.ts';
import { launchChromium } from './chromium.ts';
import { createDovecot } from './dovecot.ts';
import type { Dovecot } from './dovecot.ts';
import { createPostfix } from './postfix.ts';
import type { Postfix, PostfixOptions } from './postfix.ts';
import { createInfluxdb } from './influxdb.ts';
import type { Influxdb } from './influxdb.ts';
import { createMosquitto } from './mosquitto.ts';
import type { Mosquitto } from './mosquitto.ts';
import { createPortFinder } from './port.ts';
import { startProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';
import { createRbldnsd } from './rbldnsd.ts';
import type { Rbldnsd, RbldnsdOptions } from './rbldnsd.ts';
import { createRspamd } from './rspamd.ts';
import type { Rspamd } from './rspamd.ts';
import { startScriptedBotApi } from './scripted-bot-api.ts';
import type { ScriptedBotApi, ScriptedBotApiOptions } from './scripted-bot-api.ts';
import { startScriptedDns } from './scripted-dns.ts';
import type { ScriptedDns, ScriptedDnsOptions } from './scripted-dns.ts';
import { startScriptedPop3 } from './scripted-pop3.ts';
import type { ScriptedPop3, ScriptedPop3Options } from './scripted-pop3.ts';
import { startScriptedSmtp } from './scripted-smtp.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions } from './scripted-smtp.ts';
import type { RealServer } from './real-server.ts';

/** What of node:test's TestContext is needed. */
export type Owner = { readonly after: (work: () => Promise<void>) => void };
type Users = Readonly<Record<string, string>>;

export type Lab = {
  readonly dir: string;
  readonly freePort: () => Promise<number>;
  /** For localhost and 127.0.0.1; asked without names it is always the same one. */
  readonly certificate: (names?: readonly string[]) => Promise<Certificate>;
  /** A process of the test's own, stopped with the lab. `logFile` is NAME.log in the lab's folder when not given. */
  readonly run: (options: Omit<ChildOptions, 'logFile'> & { readonly logFile?: string }) => Promise<Child>;
  /** Work at the end of the test, before what was started earlier is stopped. */
  readonly onStop: (work: () => void | Promise<void>) => void;
  readonly dovecot: (options: { readonly users: Users; readonly extra?: string }) => Promise<Dovecot>;
  readonly postfix: (options: PostfixOptions) => Promise<Postfix>;
  readonly mosquitto: (options?: { readonly users?: Users; readonly extra?: string }) => Promise<Mosquitto>;
  readonly influxdb: () => Promise<Influxdb>;
  readonly rbldnsd: (options: RbldnsdOptions) => Promise<Rbldnsd>;
  readonly rspamd: () => Promise<Rspamd>;
  readonly clamd: (options?: { readonly maxStreamBytes?: number }) => Promise<Clamd>;
  readonly chromium: () => Promise<Browser>;
  readonly proxy: (options: { readonly to: { readonly host: string; readonly port: number } }) => Promise<Proxy>;
  readonly scriptedPop3: (options: ScriptedPop3Options) => Promise<ScriptedPop3>;
  readonly scriptedSmtp: (options: ScriptedSmtpOptions) => Promise<ScriptedSmtp>;
  readonly scriptedDns: (options: ScriptedDnsOptions) => Promise<ScriptedDns>;
  readonly scriptedBotApi: (options?: ScriptedBotApiOptions) => Promise<ScriptedBotApi>;
};

export function createLab(owner: Owner): Lab {
  const dir = mkdtempSync(join(tmpdir(), 'mailferry-lab-'));
  chmodSync(dir, 0o755); // servers look in under users of their own
  const freePort = createPortFinder();
  const stops: (() => void | Promise<void>)[] = [];
  const certificates = new Map<string, Promise<Certificate>>();
  let serial = 0;

  owner.after(async () => {
    // Last in, first out: what was started later may use what was started before.
    const failures: unknown[] = [];
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
      await Promise.resolve()
        .then(stop)
        .catch((error: unknown) => void failures.push(error));
    }
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    if (failures.length > 0) throw failures[0];
  });

  const folder = async (name: string): Promise<string> => {
    serial += 1;
    const path = join(dir, name + '-' + serial);
    await mkdir(path, { mode: 0o755 });
    return path;
  };
  const certificate = (names: readonly string[] = ['localhost', '127.0.0.1']): Promise<Certificate> => {
    const key = names.join(',');
    const known = certificates.get(key);
    if (known !== undefined) return known;
    const made = folder('certificate').then((path) => createCertificate({ folder: path, names }));
    certificates.set(key, made);
    return made;
  };
  /** Killed at the end: nobody reads the files any more, and an orderly stop takes dovecot a second. */
  const started = async <T extends RealServer>(service: T): Promise<T> => {
    stops.push(() => service.crash());
    await service.start();
    return service;
  };
  const closing = <T extends { readonly close: () => Promise<void> }>(server: T): T => {
    stops.push(() => server.close());
    return server;
  };

  return {
    dir,
    freePort,
    certificate,
    run: async (options) => {
      const child = await startChild({ logFile: join(dir, options.name + '.log'), ...options });
      stops.push(() => child.stop());
      return child;
    },
    onStop: (work) => void stops.push(work),
    dovecot: async (options) =>
      started(
        await createDovecot({
          ...options,
          folder: await folder('dovecot'),
          certificate: await certificate(),
          freePort,
        }),
      ),
    postfix: async (options) =>
      started(
        await createPostfix({
          ...options,
          folder: await folder('postfix'),
          certificate: await certificate(),
          freePort,
        }),
      ),
    mosquitto: async (options = {}) =>
      started(await createMosquitto({ ...options, folder: await folder('mosquitto'), freePort })),
    influxdb: async () => started(await createInfluxdb({ folder: await folder('influxdb'), freePort })),
    rbldnsd: async (options) => started(await createRbldnsd({ ...options, folder: await folder('rbldnsd'), freePort })),
    rspamd: async () => started(await createRspamd({ folder: await folder('rspamd'), freePort })),
    clamd: async (options = {}) => started(await createClamd({ ...options, folder: await folder('clamd'), freePort })),
    chromium: async () => closing(await launchChromium()),
    proxy: async (options) => closing(await startProxy(options)),
    scriptedPop3: async (options) => closing(await startScriptedPop3(options)),
    scriptedSmtp: async (options) => closing(await startScriptedSmtp(options)),
    scriptedDns: async (options) =>
      closing(await startScriptedDns({ ...options, port: options.port ?? (await freePort()) })),
    scriptedBotApi: async (options) => closing(await startScriptedBotApi(options)),
  };
}
