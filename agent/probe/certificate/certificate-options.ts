// The options of the certificates that are watched.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, secondsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, portSchema } from '#shared/config.ts';
import { endpointOptions } from '../../net/endpoint-options.ts';

const serverSchema = Type.Object(
  {
    protocol: explain(
      'How TLS is asked for where it does not begin at once.',
      Type.Union([Type.Literal('smtp'), Type.Literal('pop3'), Type.Literal('imap')]),
    ),
    host: explain('The server.', hostSchema()),
    port: explain('Its port.', portSchema(465)),
    tls: explain(
      'implicit: TLS from the first byte (465, 995, 993); starttls: asked for (587, 110, 143).',
      Type.Union([Type.Literal('implicit'), Type.Literal('starttls')], { default: 'implicit' }),
    ),
    ...endpointOptions,
  },
  closed,
);

export const certificatesSchema = Type.Object(
  {
    configured: explain(
      'The servers of `accounts`, `relays` and `local` that are spoken to with TLS.',
      Type.Boolean({ default: true }),
    ),
    servers: explain(
      'Further ones, such as those that the clients of the local mail server use.',
      Type.Array(serverSchema, { default: [], maxItems: 32 }),
    ),
    intervalSeconds: explain(
      'Pause between two looks, give or take a tenth.',
      secondsSchema(21_600, { minimum: 60, maximum: 86_400 }),
    ),
  },
  closed,
);
export type CertificatesOptions = Static<typeof certificatesSchema>;
