// The schema of agent.db as steps: step i leads from version i to i + 1. A step that was shipped is never edited; a change is a
// further step. openDatabase() keeps a copy of the file before it takes one, and refuses a file of a newer program.
import { journalSchema } from '#shared/journal.ts';
import { loginSchema } from './accounts/login-memory.ts';
import { changesSchema } from './control/changes.ts';
import { remoteSchema } from './control/remote.ts';
import { roundTripSchema } from './probe/round-trip/trip-table.ts';
import { ledgerSchema } from './receive/ledger/ledger.ts';
import { spoolSchema } from './send/queue/spool-schema.ts';

const metaSchema = 'CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT';

export const stateSchema: readonly string[] = [
  [
    metaSchema,
    journalSchema,
    loginSchema,
    ledgerSchema,
    spoolSchema,
    roundTripSchema,
    remoteSchema,
    changesSchema,
  ].join(';\n'),
];
