// The options of an account that say what is fetched, when, and how long it stays at the provider.
import { Type } from 'typebox';
import { closed, secondsSchema, tlsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, portSchema } from '#shared/config.ts';
import { endpointOptions } from '../net/endpoint-options.ts';

export const fetchOptions = {
  keep: explain(
    'How long a mail that was handed over stays at the provider.',
    Type.Union(
      [
        Type.Literal('none'),
        Type.Literal('forever'),
        Type.Object(
          { days: explain('Days that the agent saw pass.', Type.Integer({ minimum: 1, maximum: 3_650 })) },
          closed,
        ),
      ],
      { default: { days: 14 }, description: 'none, forever or {days: N}' },
    ),
  ),
  intervalSeconds: explain(
    'Pause between two rounds when no mail comes, and up to a tenth more. Never under the minimum of the preset.',
    secondsSchema(15, { maximum: 86_400 }),
  ),
  busySeconds: explain(
    'Pause after a round that brought mail; each round that brings none makes it half as long again, up to intervalSeconds. Not used while idle waits for new mail. By default a third of intervalSeconds with a preset, whose minimum it never goes below; without one the same as intervalSeconds, since nothing is known about what the provider allows.',
    Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description: 'whole seconds, 1 to 86400' })),
  ),
  firstRun: explain(
    'What to do with the mails that are there when this mailbox is fetched for the first time. Not guessed: without it the account asks, unless the mailbox is empty.',
    Type.Optional(
      Type.Union(
        [
          Type.Literal('all'),
          Type.Literal('new-only'),
          Type.Object(
            {
              since: explain(
                'Mails that came before this day (UTC) stay at the provider.',
                Type.String({
                  pattern: '^\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])$',
                  description: 'a day as YYYY-MM-DD',
                }),
              ),
            },
            closed,
          ),
        ],
        { description: 'all, new-only or {since: YYYY-MM-DD}' },
      ),
    ),
  ),
  idle: explain(
    'Wakes the account when new mail comes, by IMAP IDLE at the same provider with the same login. Mail is fetched by POP3 all the same, and rounds come at their interval when it fails.',
    Type.Optional(
      Type.Object(
        {
          host: explain("The provider's IMAP server.", hostSchema()),
          port: explain('993 with implicit TLS, 143 with starttls or none.', portSchema(993)),
          tls: explain(
            'none: plain text; starttls: required, never optional; implicit: TLS from the first byte.',
            tlsSchema('implicit'),
          ),
          ...endpointOptions,
        },
        closed,
      ),
    ),
  ),
  maxSizeBytes: explain(
    'Larger mails stay at the provider; the status tells how many.',
    Type.Optional(Type.Integer({ minimum: 1_024, maximum: 10_737_418_240 })),
  ),
  session: explain(
    'What one session may do before it ends and the next begins; what was done until then is safe from a broken line.',
    Type.Optional(
      Type.Object(
        {
          messages: explain('Mails fetched.', Type.Integer({ minimum: 1, maximum: 100_000, default: 2_000 })),
          megabytes: explain(
            'Megabytes fetched; one mail may be larger.',
            Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1_000 }),
          ),
          minutes: explain(
            'No further mail is begun after these.',
            Type.Integer({ minimum: 1, maximum: 1_440, default: 30 }),
          ),
          deletions: explain(
            'Mails deleted that the session has not fetched.',
            Type.Integer({ minimum: 1, maximum: 100_000, default: 500 }),
          ),
        },
        closed,
      ),
    ),
  ),
  listEvery: explain(
    'Every so many rounds the mailbox is listed in full, also when its count and size have not changed.',
    Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 20 })),
  ),
};
