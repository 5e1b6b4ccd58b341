// The options of every server that the agent connects to: whom to believe that it is the right one.
import { Type } from 'typebox';
import { explain } from '#shared/config.ts';

export const endpointOptions = {
  caFile: explain(
    "PEM file of the authority that signed the server's certificate, when it is not a public one.",
    Type.Optional(Type.String({ minLength: 1 })),
  ),
  serverName: explain(
    'Name expected in the certificate, when it differs from `host`.',
    Type.Optional(Type.String({ minLength: 1 })),
  ),
  pins: explain(
    "Public keys of which one must be the server's, in addition to a valid certificate: `sha256/` and the base64 SHA-256 of the key. Name a second one as a backup for the day the server changes its key; the error tells the key that was found.",
    Type.Optional(
      Type.Unsafe<readonly string[]>(
        Type.Array(
          Type.String({ pattern: '^sha256/[A-Za-z0-9+/]{43}=$', description: 'sha256/ and 44 characters of base64' }),
          { minItems: 1 },
        ),
      ),
    ),
  ),
};
