// conf/ and WIZARD_UIFILES/ of a package: are they what DSM reads, and does everything that they name exist?
import { isRecord, parseJson } from '#shared/json.ts';
import { readInfo } from './info.ts';
import type { FoundEntry } from './tar.ts';

export type Files = ReadonlyMap<string, FoundEntry>;

/** `inner`: what package.tgz holds. */
export function checkConf(files: Files, inner: Files): readonly string[] {
  return [...checkPrivilege(files), ...checkResource(files, inner), ...checkUnits(files, inner)];
}

function checkPrivilege(files: Files): readonly string[] {
  return withJson(files, 'conf/privilege', (value) => {
    const runAs = get(value, 'defaults', 'run-as');
    const found =
      runAs === 'package' ? [] : ['conf/privilege: run-as ' + JSON.stringify(runAs) + ', expected "package"'];
    // DSM 7 refuses them in what Synology has not signed.
    const rights = everything(value).filter((word) => ['capabilities', 'tool', 'root', 'system'].includes(word));
    return [...found, ...rights.map((word) => 'conf/privilege: ' + word + ', expected no special rights')];
  });
}

function checkResource(files: Files, inner: Files): readonly string[] {
  return withJson(files, 'conf/resource', (value) => {
    const named = (path: unknown, what: string, program: boolean): readonly string[] => {
      const entry = typeof path === 'string' ? inner.get(path) : undefined;
      if (entry === undefined)
        return ['conf/resource: ' + what + ' ' + JSON.stringify(path) + ' is not in package.tgz'];
      return program && entry.mode !== 0o755 ? ['conf/resource: ' + what + ' ' + entry.name + ' cannot be run'] : [];
    };
    const found: string[] = [];
    if (isRecord(value) && 'port-config' in value) {
      const path = get(value, 'port-config', 'protocol-file');
      found.push(...named(path, 'protocol-file', false), ...checkPorts(files, inner.get(String(path))));
    }
    if (isRecord(value) && 'syslog-config' in value)
      found.push(...named(get(value, 'syslog-config', 'logrotate-relpath'), 'logrotate-relpath', false));
    const links = get(value, 'usr-local-linker', 'bin');
    if (Array.isArray(links)) for (const link of links as unknown[]) found.push(...named(link, 'bin', true));
    if (isRecord(value) && 'systemd-user-unit' in value && unitsOf(files).length === 0)
      found.push('conf/resource: systemd-user-unit, but there is no conf/systemd/pkguser-*.service');
    return found;
  });
}

/** What the firewall shows must be the port behind the button. */
function checkPorts(files: Files, services: FoundEntry | undefined): readonly string[] {
  if (services === undefined) return [];
  const text = services.data.toString('utf8');
  const ports = [...text.matchAll(/^dst\.ports="(\d+)\/tcp"$/gm)].map(([, port]) => Number(port));
  const sections = [...text.matchAll(/^\[([a-z_]+)\]$/gm)];
  const found = ports.filter((port) => port < 1_024).map((port) => services.name + ': port ' + port + ' needs root');
  if (ports.length === 0 || ports.length !== sections.length)
    found.push(services.name + ': expected one dst.ports="PORT/tcp" in each [section]');
  const own = readInfo(files.get('INFO')?.data.toString('utf8') ?? '').fields.get('adminport');
  if (!ports.includes(Number(own))) found.push(services.name + ': lacks adminport ' + own + ' of INFO');
  return found;
}

const unitsOf = (files: Files): readonly FoundEntry[] =>
  [...files.values()].filter(({ name }) => /^conf\/systemd\/pkguser-[a-z-]+\.service$/.test(name));

function checkUnits(files: Files, inner: Files): readonly string[] {
  const own = readInfo(files.get('INFO')?.data.toString('utf8') ?? '').fields.get('package');
  const target = '/var/packages/' + own + '/target/';
  return unitsOf(files).flatMap(({ name, data }) => {
    const commands = [...data.toString('utf8').matchAll(/^(Exec\w+)=-?(\S+)/gm)];
    const wrong = commands.flatMap(([, key = '', path = '']) =>
      path.startsWith(target) && inner.get(path.slice(target.length))?.mode === 0o755
        ? []
        : [name + ': ' + key + '=' + path + ' is no program of package.tgz'],
    );
    return commands.some(([, key]) => key === 'ExecStart') ? wrong : [...wrong, name + ': no ExecStart'];
  });
}

const wizard = /^WIZARD_UIFILES\/((?:install|upgrade|uninstall)_uifile)(_[a-z]{3})?$/;
const itemTypes = ['"textfield"', '"password"', '"singleselect"', '"multiselect"', '"combobox"'];

export function checkWizards(files: Files): readonly string[] {
  const names = [...files.keys()].filter((name) => name.startsWith('WIZARD_UIFILES/') && !name.endsWith('/'));
  const keys = new Map<string, readonly string[]>();
  const problems = names.flatMap((name) => {
    if (!wizard.test(name)) return [name + ': DSM knows no wizard of this name'];
    return withJson(files, name, (value) => {
      const found = readWizard(name, value);
      keys.set(name, found.keys);
      return found.problems;
    });
  });
  const translated = names.flatMap((name) => {
    const base = 'WIZARD_UIFILES/' + (wizard.exec(name)?.[1] ?? '');
    const same = [...(keys.get(base) ?? [])].sort().join() === [...(keys.get(name) ?? [])].sort().join();
    return same ? [] : [name + ': asks for other things than ' + base];
  });
  return [...problems, ...translated];
}

function readWizard(
  name: string,
  value: unknown,
): { readonly keys: readonly string[]; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const keys: string[] = [];
  const list = (found: unknown): readonly unknown[] => (Array.isArray(found) ? (found as unknown[]) : []);
  if (list(value).length === 0) problems.push(name + ': expected a list of steps');
  for (const step of list(value)) {
    if (typeof get(step, 'step_title') !== 'string') problems.push(name + ': a step without step_title');
    for (const item of list(get(step, 'items'))) {
      const type = JSON.stringify(get(item, 'type') ?? 'textfield');
      if (!itemTypes.includes(type)) problems.push(name + ': unknown type ' + type);
      for (const sub of list(get(item, 'subitems'))) {
        keys.push(String(get(sub, 'key')));
        const text = get(sub, 'validator', 'regex', 'expr') ?? '//';
        if (!isPattern(text)) problems.push(name + ': ' + JSON.stringify(text) + ' is no pattern');
      }
    }
  }
  // They become variables of a shell.
  for (const key of keys)
    if (!/^wizard_[a-z_]+$/.test(key)) problems.push(name + ': key ' + key + ', expected wizard_...');
  for (const key of new Set(keys))
    if (keys.filter((one) => one === key).length > 1) problems.push(name + ': key ' + key + ' for the second time');
  return { keys, problems };
}

function isPattern(text: unknown): boolean {
  try {
    return typeof text === 'string' && /^\/.*\/$/.test(text) && new RegExp(text.slice(1, -1)) instanceof RegExp;
  } catch {
    return false;
  }
}

function withJson(files: Files, name: string, check: (value: unknown) => readonly string[]): readonly string[] {
  const entry = files.get(name);
  if (entry === undefined) return [];
  const value = parseJson(entry.data.toString('utf8'));
  return value === undefined ? [name + ': no JSON'] : check(value);
}

function get(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), value);
}

/** All keys and texts in it. */
function everything(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return (value as unknown[]).flatMap(everything);
  return isRecord(value) ? Object.entries(value).flatMap(([key, one]) => [key, ...everything(one)]) : [];
}
