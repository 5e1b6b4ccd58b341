// `mailferry support-bundle`: one text file with what somebody who helps wants to know. Promises: no secret, no whole mail
// address, no subject and no mail in it (redact.ts); plain text, so that it can be read before it is sent; for its owner alone.
import { createReadStream, readFileSync, readdirSync, statSync } from 'node:fs';
import { arch, freemem, release, totalmem, type as systemType, uptime } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Loaded } from '#shared/config.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { readVersion } from '#shared/version.ts';
import { readSecrets } from '../config-files.ts';
import { loadAgentConfig } from '../config.ts';
import type { AgentConfig } from '../config.ts';
import { replaceFile } from '../settings/replace-file.ts';
import { askAgent } from './client.ts';
import { diagnose } from './doctor.ts';
import { createRedactor } from './redact.ts';
import type { SiteCommands } from './site.ts';

type Flags = { readonly out?: string; readonly log?: string; readonly doctor: boolean };
type Section = readonly [title: string, text: string];

export function addSupportBundle(program: Command, site: SiteCommands): void {
  const { terminal, prepare } = site;
  const command = prepare(new Command('support-bundle'))
    .description(
      'Writes one text file for whoever helps: configuration, state and log, without secrets, addresses and mails.',
    )
    .option(
      '--out <file>',
      'the file to write (default: mailferry-support-TIME.txt in this folder); - for the terminal',
    )
    .option('--log <file>', "the agent's log, of which the end is taken")
    .option('--no-doctor', 'leaves away what `mailferry doctor` finds');
  command.action(async () => {
    const flags = command.opts<Flags>();
    const text = await collect(site, flags);
    if (flags.out === '-') terminal.out(text);
    else {
      const time = new Date(terminal.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
      const file = resolve(terminal.folder, flags.out ?? 'mailferry-support-' + time + '.txt');
      await write(file, text);
      terminal.out(
        'Written: ' + file + '\nRead it before you send it: secrets, addresses and subjects are taken out.\n',
      );
    }
    site.finish(0);
  });
  program.addCommand(command);
}

async function write(file: string, text: string): Promise<void> {
  try {
    await replaceFile(file, text, { mode: 0o600 });
  } catch (error) {
    throw new UserError('Cannot write ' + file + ': ' + describe(error) + ', expected a folder that can be written', {
      cause: error,
    });
  }
}

async function collect(site: SiteCommands, flags: Flags): Promise<string> {
  const { terminal } = site;
  const sections: Section[] = [['About', about(terminal.now())]];
  const loaded = load(site.configFile());
  let redact = createRedactor([]);
  if (loaded instanceof UserError) sections.push(['Configuration', 'It cannot be used:\n' + loaded.message]);
  else {
    redact = createRedactor(readSecrets(loaded));
    sections.push(['Configuration', showConfig(loaded)]);
    const folder = loaded.path(loaded.value.state);
    const socket = site.socket() ?? join(folder, 'agent.sock');
    if (flags.doctor) {
      const findings = await diagnose(terminal, loaded, { socket });
      sections.push(['Doctor', findings.map((one) => JSON.stringify(one)).join('\n')]);
    }
    for (const question of ['status', 'queue list', 'quarantine list'])
      sections.push(['Answer to ' + question, await ask(socket, question)]);
    sections.push(['State folder', describeFolder(folder)], ['agent.db', describeDatabase(join(folder, 'agent.db'))]);
  }
  if (flags.log !== undefined) sections.push(['Log', await readEnd(resolve(terminal.folder, flags.log))]);
  return sections.map(([title, text]) => '===== ' + title + '\n\n' + redact(text).trimEnd() + '\n').join('\n');
}

function load(file: string): Loaded<AgentConfig> | UserError {
  try {
    return loadAgentConfig(file);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

/** The options as the agent understands them, not the file: a comment may say anything. */
function showConfig(loaded: Loaded<AgentConfig>): string {
  const text = stringify(loaded.value, { lineWidth: 120 });
  // A key in front of the name of a block list.
  return text.replaceAll(/(- )[A-Za-z0-9]{16,}(\.[a-z0-9.-]+)/g, '$1[key]$2');
}

function about(now: number): string {
  const mebibytes = (bytes: number): string => Math.round(bytes / 1_048_576) + ' MiB';
  const lines = [
    'mailferry ' + readVersion() + ', Node ' + process.versions.node + ', OpenSSL ' + process.versions.openssl,
    systemType() + ' ' + release() + ' ' + arch() + ', up ' + Math.round(uptime() / 3_600) + ' h',
    'memory ' + mebibytes(totalmem()) + ', free ' + mebibytes(freemem()),
    'time ' + new Date(now).toISOString() + ', zone ' + Intl.DateTimeFormat().resolvedOptions().timeZone,
  ];
  try {
    // Synology's own: which DSM this is.
    lines.push(readFileSync('/etc.defaults/VERSION', 'utf8').slice(0, 1_000).trim());
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') lines.push('DSM version: ' + describe(error));
  }
  return lines.join('\n');
}

async function ask(path: string, command: string): Promise<string> {
  const answer = await askAgent({ path, request: { command, arguments: {} }, timeoutMs: 20_000 });
  if (answer.ok === true) return JSON.stringify(answer.value, undefined, 1).slice(0, 500_000);
  return answer.ok === false ? answer.message : 'no agent answers: ' + answer.text;
}

/** Names of mails say nothing, their number and age do. */
function describeFolder(folder: string): string {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .map((entry) => {
        const path = join(folder, entry.name);
        if (!entry.isDirectory()) {
          const { size, mtime, mode } = statSync(path);
          return entry.name + '  ' + size + ' bytes, ' + mtime.toISOString() + ', mode ' + (mode & 0o777).toString(8);
        }
        const files = readdirSync(path, { withFileTypes: true, recursive: true }).filter((one) => one.isFile());
        const bytes = files.reduce((sum, one) => sum + statSync(join(one.parentPath, one.name)).size, 0);
        return entry.name + '/  ' + files.length + ' files, ' + bytes + ' bytes';
      })
      .join('\n');
  } catch (error) {
    return describe(error);
  }
}

function describeDatabase(path: string): string {
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      const version = String(db.prepare('PRAGMA user_version').get()?.['user_version']);
      const names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
      const rows = names.map(({ name }) => {
        const quoted = '"' + String(name).replaceAll('"', '""') + '"';
        return String(name) + '  ' + String(db.prepare('SELECT count(*) AS n FROM ' + quoted).get()?.['n']) + ' rows';
      });
      return ['schema ' + version, ...rows].join('\n');
    } finally {
      db.close();
    }
  } catch (error) {
    return describe(error);
  }
}

const maxLogLines = 2_000;
const maxLogBytes = 1_048_576;

async function readEnd(file: string): Promise<string> {
  try {
    const start = Math.max(0, statSync(file).size - maxLogBytes);
    const lines: string[] = [];
    for await (const line of createInterface({ input: createReadStream(file, { start }) })) {
      lines.push(line);
      if (lines.length > maxLogLines) lines.shift();
    }
    return lines.join('\n');
  } catch (error) {
    throw new UserError('Cannot read the log ' + file + ': ' + describe(error) + ', expected --log FILE', {
      cause: error,
    });
  }
}
