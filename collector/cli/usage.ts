// The words of `mailferry-collector`: what each verb takes and does.

export const verbWords = {
  enrol: {
    usage: 'enrol TENANT AGENT [--hours N]',
    help: 'Prints a code with which the agent enrols; an agent that is enrolled goes on until the code is used',
  },
  rotate: {
    usage: 'rotate TENANT AGENT [--hours N]',
    help: 'Takes the secret of the agent from it at once, throws it out, and prints a new code',
  },
  revoke: {
    usage: 'revoke TENANT AGENT',
    help: 'The agent is thrown out at once and cannot come back without a new code; its mail goes on',
  },
  agents: {
    usage: 'agents',
    help: 'The agents that are enrolled, invited, or revoked, and whether they are connected',
  },
  ask: {
    usage: 'ask TENANT AGENT COMMAND [NAME=VALUE ...] [--minutes N]',
    help: 'Has the agent carry out a command of its own; those that change something only if its owner allows it',
  },
  configure: {
    usage: 'configure TENANT AGENT [--minutes N] < FILE',
    help: 'Proposes changes of its configuration to an agent, sealed to its key; FILE: {"note": TEXT, "edits": [...]}',
  },
  audit: {
    usage: 'audit [--limit N]',
    help: 'What was done to agents, newest first',
  },
  rejected: {
    usage: 'rejected [--limit N]',
    help: 'Messages of agents that could not be read and were kept aside, newest first',
  },
  'renew-authority': {
    usage: 'renew-authority',
    help: 'Makes the next authority now: agents are told at once, it signs half a year later',
  },
  backup: {
    usage: 'backup FOLDER',
    help: 'Copies accounts, authority and counts into an empty folder, while the collector runs',
  },
} as const;

export type VerbName = keyof typeof verbWords;

/** What `mailferry-collector --help` prints. */
export function usageText(): string {
  const verbs = Object.values(verbWords);
  const width = Math.max(...verbs.map(({ usage }) => usage.length));
  return [
    'Usage: mailferry-collector --config FILE VERB ...',
    '',
    ...verbs.map(({ usage, help }) => '  ' + usage.padEnd(width) + '  ' + help),
    '',
  ].join('\n');
}
