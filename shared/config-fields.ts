// Options that the configurations of both programs have: one wording, one limit.
import { Type } from 'typebox';
import { explain } from './config.ts';
import { namePattern } from './topics.ts';

/** No option beyond those that are named. */
export const closed = { additionalProperties: false } as const;

export const idSchema = Type.String({ pattern: namePattern, description: 'a short name of a-z, 0-9 and -' });

export const secondsSchema = (standard: number, limits: { readonly minimum?: number; readonly maximum: number }) => {
  const { minimum = 1, maximum } = limits;
  const description = 'whole seconds, ' + minimum + ' to ' + maximum;
  return Type.Integer({ minimum, maximum, default: standard, description });
};

/** none: plain text; starttls: required, never optional; implicit: TLS from the first byte. */
export const tlsSchema = (standard: 'none' | 'starttls' | 'implicit') =>
  Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')], { default: standard });

export const certificateSchema = Type.Object(
  {
    keyFile: explain('PEM file of the private key.', Type.String({ minLength: 1 })),
    certFile: explain(
      'PEM file of the certificate, then those that lead to its authority.',
      Type.String({ minLength: 1 }),
    ),
  },
  closed,
);
