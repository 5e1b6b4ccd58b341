// The commands about what the collector asked for: its proposals, which a person accepts here, and the list of all of it.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { UserError } from '#shared/failure.ts';
import { fingerprintOfKey } from '#shared/sealed.ts';
import type { Changes } from './changes.ts';
import type { Remote } from './remote.ts';

const closed = { additionalProperties: false } as const;
const none = Type.Object({}, closed);
export const changeArguments = Type.Object(
  {
    id: Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'the id of a proposed change, as `change list` shows it',
    }),
  },
  closed,
);

export const changeSpecs = {
  'change list': {
    help: 'Lists the changes of the configuration that the collector proposes and nobody has answered.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 10,
  },
  'change accept': {
    help: 'Changes the configuration as the collector proposes.',
    readOnly: false,
    arguments: changeArguments,
    timeoutSeconds: 120,
  },
  'change reject': {
    help: 'Drops a proposed change; the collector is told.',
    readOnly: false,
    arguments: changeArguments,
    timeoutSeconds: 10,
  },
  key: {
    help: 'Shows the public key to which a collector seals a configuration, and its fingerprint to be compared by phone.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 10,
  },
  audit: {
    help: 'Lists what the collector asked this agent for, and what came of it, the newest first.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 10,
  },
} as const;

export type ChangeWork = {
  readonly changes: Omit<Changes, 'propose'>;
  readonly remote: Pick<Remote, 'list'>;
  readonly publicKey: string;
};

const proposed = Type.Object({
  id: Type.String(),
  at: Type.Number(),
  expires: Type.Number(),
  note: Type.String(),
  lines: Type.Array(Type.String()),
});
export const changeListSchema = Type.Object({ proposals: Type.Array(proposed) });
export const decidedSchema = Type.Object({ id: Type.String(), text: Type.Optional(Type.String()) });
export const keySchema = Type.Object({ publicKey: Type.String(), fingerprint: Type.String() });
export const auditSchema = Type.Object({
  entries: Type.Array(
    Type.Object({
      id: Type.String(),
      at: Type.Number(),
      name: Type.String(),
      arguments: Type.String(),
      outcome: Type.String(),
      text: Type.String(),
    }),
  ),
});

const maxListed = 200;

/** `work` gives undefined when no report is configured: then nobody asks for anything. */
export function changeRuns(work: () => ChangeWork | undefined) {
  const need = (act: string): ChangeWork => {
    const found = work();
    if (found !== undefined) return found;
    throw new UserError('Cannot ' + act + ': no report is configured, so no collector proposes changes');
  };
  return {
    list: async () => ({ proposals: need('list changes').changes.list() }),
    accept: ({ id }: Static<typeof changeArguments>) => need('accept a change').changes.accept(id),
    reject: async ({ id }: Static<typeof changeArguments>) => need('reject a change').changes.reject(id),
    key: async () => {
      const { publicKey } = need('show the key');
      return { publicKey, fingerprint: fingerprintOfKey(publicKey) };
    },
    audit: async () => ({ entries: need('list what was asked').remote.list(maxListed) }),
  };
}
