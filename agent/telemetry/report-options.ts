// The options of the report to the collector.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, secondsSchema } from '#shared/config-fields.ts';
import { explain, secretSchema } from '#shared/config.ts';
import { urlPattern } from '#shared/enrolment.ts';

const addressPattern = '^[^@\\s<>]+@[^@\\s<>]+$';

const tellSchema = Type.Object(
  {
    afterHours: explain(
      'So long, give or take a tenth, no report is acknowledged before a person is told by mail, once a day until one is; 0: never.',
      Type.Integer({ minimum: 0, maximum: 720, default: 24, description: 'whole hours, 0 to 720' }),
    ),
    to: explain(
      'Addresses that are told through the first relay, besides the `operator` through the local server.',
      Type.Array(Type.String({ pattern: addressPattern, description: 'an address such as ops@example.net' }), {
        default: [],
        maxItems: 5,
      }),
    ),
    from: explain(
      "Sender of that mail; by default the relay's `user` when it is an address, else the `operator`.",
      Type.Optional(
        Type.String({ pattern: addressPattern, description: 'an address that the relay takes as a sender' }),
      ),
    ),
  },
  closed,
);

export const reportSchema = Type.Object(
  {
    url: explain(
      'The broker of the collector: mqtts://HOST:PORT, or wss://HOST/PATH (WebSocket) where a firewall lets nothing else out; mqtt: and ws: are not encrypted. What the collector says about its place later is tried first.',
      Type.String({
        pattern: urlPattern,
        description: 'mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH',
      }),
    ),
    user: explain(
      "The agent's account at the broker; by default TENANT/AGENT.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    password: explain('Password of that account; read again before each connection.', secretSchema),
    caFile: explain(
      "PEM file of the authority that signed the broker's certificate, when it is not a public one.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    flushSeconds: explain('How often gauges are written and batches are made.', secondsSchema(5, { maximum: 86_400 })),
    diskSeconds: explain(
      'Gauges alone wake no disk more often than this: meanwhile they go to the collector past the outbox, and wait in memory while it is not heard. Whatever is told about a mail is written at once, and with it what waits. A kill costs gauges of so long a time at most. 0: every flush is written. 600 lets the disks of a NAS sleep.',
      Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600, default: 0, description: 'whole seconds, 0 to 3600' })),
    ),
    maxOutboxBytes: explain(
      'The outbox drops its oldest batches above this size; at default rates this is far more than 7 days.',
      Type.Integer({ minimum: 1_048_576, maximum: 10_737_418_240, default: 268_435_456 }),
    ),
    maxOutboxDays: explain(
      'The outbox drops batches that have waited for longer, counted while the agent runs. No longer than the database of the collector keeps measurements.',
      Type.Integer({ minimum: 1, maximum: 365, default: 30, description: 'whole days, 1 to 365' }),
    ),
    allow: explain(
      'What the collector may do here besides looking, testing and fetching: names of commands such as `queue flush`, `queue` for all of a group, `configure` to change this configuration without asking, `details` to see addresses and subjects.',
      Type.Array(
        Type.String({ pattern: '^[a-z]+(?: [a-z-]+)?$', description: 'the name of a command or group, such as queue' }),
        { default: [] },
      ),
    ),
    tell: explain(
      'Who is told when the collector is not heard for long.',
      Type.Object(tellSchema.properties, { ...closed, default: {} }),
    ),
  },
  closed,
);

export type ReportConfig = Static<typeof reportSchema>;
