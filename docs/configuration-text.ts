// docs/configuration.md from the schemas themselves, so that it cannot tell other options or defaults than the programs have.
import type { TSchema } from 'typebox';
import { alertRules } from '#shared/alert-rules.ts';
import { expectation } from '#shared/config-problems.ts';
import { agentSchema } from '../agent/config.ts';
import { collectorSchema } from '../collector/config.ts';

/** One option as the page shows it. `block`: it only holds other options. */
type Option = {
  readonly path: string;
  readonly takes: string;
  readonly standard: string;
  readonly meaning: string;
  readonly block: boolean;
};

/** The JSON-Schema keywords that our schemas use, and `help`. */
type Node = {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly default?: unknown;
  readonly description?: string;
  readonly help?: string;
  readonly hidden?: boolean;
};

/** All options of a program, in the order of the schema. */
export function listOptions(schema: TSchema): readonly Option[] {
  return optionsIn(schema, '');
}

function optionsIn(node: Node, prefix: string): readonly Option[] {
  const required = node.required ?? [];
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const path = prefix + name;
    const inner = innerOptions(child, path);
    const option: Option = {
      path,
      takes: describeType(child),
      standard: describeDefault(child, required.includes(name)),
      meaning: child.help ?? '',
      block: inner.length > 0 && child.description === undefined,
    };
    return [option, ...inner];
  });
}

function innerOptions(node: Node, path: string): readonly Option[] {
  if (node.hidden === true) return []; // a secret: {file: PATH} or {env: NAME}, told once
  if (node.properties !== undefined) return optionsIn(node, path + '.');
  if (node.items !== undefined) return innerOptions(node.items, path + '[]');
  const [others] = Object.values(node.patternProperties ?? {});
  if (others !== undefined) return innerOptions(others, path + '.RULE');
  return (node.anyOf ?? []).flatMap((branch) => innerOptions(branch, path + kindOf(branch)));
}

/** Alternatives that are told apart by `kind` are shown with it: broker{embedded}.port. */
function kindOf(node: Node): string {
  const kind = node.properties?.['kind']?.const;
  return typeof kind === 'string' ? '{' + kind + '}' : '';
}

function describeType(node: Node): string {
  if (node.type === 'array' && node.items !== undefined) return 'a list of: ' + describeType(node.items);
  return expectation(node);
}

function describeDefault(node: Node, required: boolean): string {
  if ('default' in node) return '`' + (typeof node.default === 'string' ? node.default : flow(node.default)) + '`';
  if ('const' in node) return 'required'; // it says which alternative is meant
  return required ? 'required' : '';
}

/** YAML flow style: {days: 14}, [a, b]. */
function flow(value: unknown): string {
  return JSON.stringify(value).replaceAll('"', '').replaceAll(':', ': ').replaceAll(',', ', ');
}

export function buildConfigurationPage(): string {
  return [
    '# Configuration',
    '',
    'Written by `node docs/write-configuration.ts` from the schemas in `agent/config.ts` and `collector/config.ts`.',
    '',
    'Both files are YAML. An unknown option or a wrong value refuses the start with one line that names file, line, option,',
    'what was found and what was expected. Paths are relative to the file they stand in. A password never stands in the file',
    'itself but as `{file: PATH}` or `{env: NAME}`.',
    '',
    '`accounts[].id` is the option `id` of every entry of the list `accounts`; `broker{embedded}.port` is the option `port` of',
    '`broker` when its `kind` is `embedded`. Required options inside a block are required only when the block is there.',
    '',
    'Editors that know YAML check and complete the files by `docs/mailferry-agent.schema.json` and',
    '`docs/mailferry-collector.schema.json`, with a first line such as',
    '`# yaml-language-server: $schema=mailferry-agent.schema.json`. `mailferry config check` says what they cannot.',
    '',
    ...program('agent.yaml, on the NAS', agentSchema),
    ...program('collector.yaml, at the service provider', collectorSchema),
    ...rules(),
  ].join('\n');
}

function program(title: string, schema: TSchema): readonly string[] {
  const sections = new Map<string, Option[]>();
  for (const option of listOptions(schema)) {
    const [name = ''] = option.path.split(/[.[{]/);
    sections.set(name, [...(sections.get(name) ?? []), option]);
  }
  const flat = [...sections.values()].filter((options) => options.length === 1).flat();
  const lines = ['## ' + title, '', ...table(flat)];
  for (const [name, [block, ...options]] of sections) {
    if (block === undefined || options.length === 0) continue;
    lines.push('### ' + name, '', block.meaning + ' ' + presence(block), '', ...table(options));
  }
  return lines;
}

function presence(block: Option): string {
  if (block.standard === 'required') return 'Required.';
  return block.standard === '' ? 'Not there by default.' : 'Default: ' + block.standard + '.';
}

function table(options: readonly Option[]): readonly string[] {
  const rows = options.map(({ path, takes, standard, meaning, block }) => {
    const cells = ['`' + path + '`', block ? '' : takes, block && standard === '' ? '' : standard, meaning];
    return '| ' + cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ') + ' |';
  });
  return ['| option | takes | default | meaning |', '|---|---|---|---|', ...rows, ''];
}

function rules(): readonly string[] {
  const rows = alertRules.map((rule) => {
    const { source } = rule;
    const fires =
      source.kind === 'silence'
        ? 'no sign of life'
        : '`' + source.metric + '.' + source.field + '` ' + source.fire.op + ' ' + source.fire.value;
    const clears = source.kind === 'silence' ? 'a sign of life' : source.clear.op + ' ' + source.clear.value;
    const cells = ['`' + rule.id + '`', rule.severity, fires, rule.forSeconds, clears, rule.clearSeconds, rule.meaning];
    return '| ' + cells.join(' | ') + ' |';
  });
  return [
    '## Alert rules',
    '',
    'The ids for `alerts.rules`, with their defaults.',
    '',
    '| rule | severity | raised when | for seconds | resolved when | for seconds | meaning |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ];
}
