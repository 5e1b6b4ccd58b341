// The options of the agent's own page.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { certificateSchema, closed } from '#shared/config-fields.ts';
import { explain, hostSchema, portSchema, secretSchema } from '#shared/config.ts';

export const pageSchema = Type.Object(
  {
    host: explain(
      'Address to listen on; 0.0.0.0 for all networks of this machine.',
      hostSchema({ default: '127.0.0.1' }),
    ),
    port: explain('Port to listen on. The page speaks HTTPS alone.', portSchema(8_421)),
    password: explain(
      'Where the password of the page stands. Written there in clear it is replaced by its hash at the next start; whoever has forgotten it writes a new one into the file.',
      secretSchema,
    ),
    tls: explain(
      '`keyFile` and `certFile`, read again when they change. By default a certificate that the agent makes for itself.',
      Type.Optional(certificateSchema),
    ),
  },
  closed,
);
export type PageOptions = Static<typeof pageSchema>;
