// The command line, made from the table of commands. Exit codes: 0 fine; 1 the agent says trouble, or it could not be done;
// 2 wrong usage or configuration; 3 no agent runs.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { Check } from 'typebox/value';
import { UserError } from '#shared/failure.ts';
import { agentCommand } from '#shared/version.ts';
import { checkedSchema, troublesSchema } from '../control/answers.ts';
import { commandSpecs } from '../control/commands.ts';
import type { CommandName, CommandSpec } from '../control/commands.ts';
import { loadAgentConfig } from '../config.ts';
import { askAgent } from './client.ts';
import { addConfigCommands } from './config-check.ts';
import { exitCodeOf } from './render-check.ts';
import { addDoctor } from './doctor.ts';
import { addEnrol } from './enrol.ts';
import { addInit } from './init.ts';
import { renderAnswer } from './render.ts';
import type { ExitCode, SiteCommands, Terminal } from './site.ts';
import { addSupportBundle } from './support-bundle.ts';
import { clean } from './table.ts';
import { addUserCommands } from './user.ts';

export type { ExitCode, Terminal };

type Where = { readonly config?: string; readonly socket?: string };

const name = 'mailferry';
const defaultConfig = 'agent.yaml';

/** `args` without the program's name. Never throws for what a person did. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = 0;
  const program = buildProgram(terminal, async (command, given, json, where) => {
    code = await runCommand(command, given, json, where, terminal);
  });
  const site: SiteCommands = {
    terminal,
    prepare: (command) => prepare(command, terminal),
    configFile: () => resolve(terminal.folder, program.opts<Where>().config ?? defaultConfig),
    socket() {
      const { socket } = program.opts<Where>();
      return socket === undefined ? undefined : resolve(terminal.folder, socket);
    },
    finish: (exit) => void (code = exit),
  };
  addLogin(program, terminal);
  addUserCommands(program, site);
  addConfigCommands(program, site);
  addInit(program, site);
  addEnrol(program, site);
  addDoctor(program, site);
  addSupportBundle(program, site);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    // Commander has said what is wrong; asking for help is not wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof UserError)) throw error;
    terminal.error(error.message + '\n');
    return 2;
  }
}

type Run = (
  command: CommandName,
  given: Readonly<Record<string, string>>,
  json: boolean,
  where: Where,
) => Promise<void>;

function buildProgram(terminal: Terminal, run: Run): Command {
  const program = prepare(new Command(name), terminal)
    .description('Asks the mailferry agent that runs on this machine.')
    .option('--config <file>', 'the configuration of the agent (default: ' + defaultConfig + ' in this folder)')
    .option('--socket <file>', 'the socket of the agent, instead of the one its configuration implies');
  const groups = new Map<string, Command>();
  for (const [full, spec] of Object.entries(commandSpecs)) {
    const words = full.split(' ');
    const last = words.at(-1) ?? full;
    const parent = words.length === 1 ? program : groupOf(program, groups, words[0] ?? full, terminal);
    const command = prepare(new Command(last), terminal).description(spec.help);
    parent.addCommand(command);
    addArguments(command, spec);
    command.option('--json', 'the answer as JSON').action(async () => {
      const given = collect(spec, command.args);
      const json = command.opts()['json'] === true;
      await run(full as CommandName, given, json, program.opts()); // a key of commandSpecs
    });
  }
  return program;
}

/** Like `user` it asks no agent. */
function addLogin(program: Command, terminal: Terminal): void {
  const command = prepare(new Command('login'), terminal)
    .description('Logs an account or a relay with oauth in: shows a page and a code, and writes the refresh token.')
    .argument('<account>', 'the id of the account or relay');
  command.action(async () => {
    const { config } = program.opts<Where>();
    const { logInAccount } = await import('./login.ts');
    await logInAccount({
      configFile: resolve(terminal.folder, config ?? defaultConfig),
      account: command.args[0] ?? '',
      out: terminal.out,
      ...(terminal.clock === undefined ? {} : { clock: terminal.clock }),
    });
  });
  program.addCommand(command);
}

function groupOf(program: Command, groups: Map<string, Command>, word: string, terminal: Terminal): Command {
  const known = groups.get(word);
  if (known !== undefined) return known;
  const group = prepare(new Command(word), terminal).description('Commands about the ' + word + '.');
  groups.set(word, group);
  program.addCommand(group);
  return group;
}

function prepare(command: Command, terminal: Terminal): Command {
  return command
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.error });
}

function addArguments(command: Command, spec: CommandSpec): void {
  const required: readonly string[] = spec.arguments.required ?? [];
  for (const [argument, schema] of Object.entries(spec.arguments.properties)) {
    const text = 'description' in schema ? String(schema.description) : '';
    command.argument(required.includes(argument) ? '<' + argument + '>' : '[' + argument + ']', text);
  }
}

function collect(spec: CommandSpec, words: readonly string[]): Readonly<Record<string, string>> {
  const names = Object.keys(spec.arguments.properties);
  return Object.fromEntries(words.flatMap((word, index) => (names[index] === undefined ? [] : [[names[index], word]])));
}

async function runCommand(
  command: CommandName,
  given: Readonly<Record<string, string>>,
  json: boolean,
  where: Where,
  terminal: Terminal,
): Promise<ExitCode> {
  const place = findSocket(where, terminal.folder);
  const timeoutMs = (commandSpecs[command].timeoutSeconds + 5) * 1_000;
  const answer = await askAgent({ path: place.socket, request: { command, arguments: given }, timeoutMs });
  if (answer.ok === true) return show(command, answer.value, json, terminal);
  if (answer.ok === undefined) {
    const expected = answer.reason === 'nobody' ? 'a running agent; start it with: ' + place.start : 'an answer';
    terminal.error(
      'Cannot reach the agent at ' + place.socket + ': ' + clean(answer.text) + ', expected ' + expected + '\n',
    );
    return answer.reason === 'nobody' || command === 'check' ? 3 : 1;
  }
  terminal.error(clean(answer.message) + '\n');
  return command === 'check' ? 3 : 1;
}

function show(command: CommandName, value: unknown, json: boolean, terminal: Terminal): ExitCode {
  const troubles = Check(troublesSchema, value) ? value.troubles : [];
  const lines = json ? undefined : renderAnswer(command, value, terminal.now());
  // An agent of another version may answer in a shape that we cannot show; what it says is still shown.
  terminal.out((lines?.join('\n') ?? JSON.stringify(value, undefined, 2)) + '\n');
  if (command === 'check') return Check(checkedSchema, value) ? exitCodeOf(value) : 3;
  if (troubles.length === 0) return 0;
  if (!json) terminal.out('\nTrouble:\n' + troubles.map((trouble) => '  ' + clean(trouble)).join('\n') + '\n');
  return 1;
}

/** Throws UserError when nothing says where the agent is. */
function findSocket(where: Where, folder: string): { readonly socket: string; readonly start: string } {
  if (where.socket !== undefined)
    return { socket: resolve(folder, where.socket), start: agentCommand() + ' --config FILE' };
  const file = resolve(folder, where.config ?? defaultConfig);
  if (where.config === undefined && !existsSync(file)) {
    throw new UserError(
      'Cannot find the agent: no --config, no --socket and no ' +
        defaultConfig +
        ' in this folder, expected --config FILE (the configuration that the agent was started with)',
    );
  }
  const loaded = loadAgentConfig(file);
  return {
    socket: join(loaded.path(loaded.value.state), 'agent.sock'),
    start: agentCommand() + ' --config ' + (where.config ?? defaultConfig),
  };
}
