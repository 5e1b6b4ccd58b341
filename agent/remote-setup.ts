// What the collector may ask this agent for, put together from the table of commands, the configuration file and this agent's
// key.
import { UserError } from '#shared/failure.ts';
import type { Command } from '#shared/wire.ts';
import { createChanges } from './control/changes.ts';
import type { ProposedEdit } from './control/changes.ts';
import type { AgentConfig } from './config.ts';
import type { ChangeWork } from './control/change-commands.ts';
import type { CommandTable } from './control/commands.ts';
import { createRemote } from './control/remote.ts';
import type { Remote, RemoteReply } from './control/remote.ts';
import { openOwnKey } from './own-key.ts';
import type { Ground } from './rooms.ts';
import type { Edit } from './settings.ts';

export type RemoteSetup = {
  /** For the report; waits until the agent has started. Never throws. */
  readonly onCommand: (command: Command) => Promise<RemoteReply>;
  /** To be told to the collector. */
  readonly publicKey: string;
  readonly work: ChangeWork;
  /** The table is there: commands are carried out from now on. */
  readonly open: (commands: CommandTable) => void;
};

type RemoteBase = Omit<Ground, 'lifecycle' | 'remote'>;
type Tell = (reply: RemoteReply) => void;
export type FollowedRemote = {
  /** Undefined as long as no report was ever configured. */
  readonly current: () => RemoteSetup | undefined;
  /** The configuration that counts from now on, with its `report.allow`. */
  readonly take: (config: AgentConfig) => void;
  readonly open: (commands: CommandTable) => void;
};

/** Goes with the configuration: a right that the owner takes back is gone at once, and a report may be configured later. */
export function followRemote(base: RemoteBase, reply: Tell): FollowedRemote {
  /** The one list that is asked at every command. */
  const allow: string[] = [];
  let setup: RemoteSetup | undefined;
  let table: CommandTable | undefined;
  return {
    current: () => setup,
    take({ report }) {
      allow.splice(0, allow.length, ...(report?.allow ?? []));
      if (report === undefined || setup !== undefined) return;
      setup = setUpRemote(base, allow, reply);
      if (table !== undefined) setup.open(table);
    },
    open(commands) {
      table = commands;
      setup?.open(commands);
    },
  };
}

function setUpRemote(base: RemoteBase, allow: readonly string[], reply: Tell): RemoteSetup {
  const { config, clock, state } = base;
  const log = base.log.child({ room: 'remote' });
  const key = openOwnKey(state.folder, log);
  const opened = Promise.withResolvers<Remote>();
  let remote: Remote | undefined;
  let table: CommandTable | undefined;
  const settings = async () => (await import('./settings.ts')).createSettings({ file: base.loaded.file });
  const changes = createChanges({
    db: state.db,
    tenant: config.tenant,
    agent: config.agent,
    key: key.privateKey,
    preview: async (edits) => void (await settings()).preview({ edits: editsOf(edits) }),
    async apply(edits) {
      await (await settings()).change({ edits: editsOf(edits) });
      log.warn(
        { options: edits.map((edit) => edit.path.join('.')) },
        'the configuration was changed as the collector proposed',
      );
      return reload(table);
    },
    onDecided(id, outcome, text) {
      if (remote !== undefined) reply(remote.settle(id, outcome, text));
    },
    clock,
  });
  return {
    onCommand: async (command) => (await opened.promise).run(command),
    publicKey: key.publicKey,
    work: { publicKey: key.publicKey, changes, remote: { list: (limit) => remote?.list(limit) ?? [] } },
    open(commands) {
      table = commands;
      remote = createRemote({
        db: state.db,
        commands,
        allow,
        configure: changes.propose,
        clock,
        log,
      });
      opened.resolve(remote);
    },
  };
}

/** A value that came as JSON is plain. */
function editsOf(edits: readonly ProposedEdit[]): readonly Edit[] {
  return edits as readonly Edit[];
}

async function reload(table: CommandTable | undefined): Promise<string> {
  const command = table?.get('reload');
  if (command === undefined) return 'written; it counts at the next start of the agent';
  try {
    await command.run({});
    return 'written, and it counts';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return 'written; ' + error.message;
  }
}
