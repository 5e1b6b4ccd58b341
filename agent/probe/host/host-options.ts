// The options of the readings of the machine.
import { Type } from 'typebox';
import { closed, secondsSchema } from '#shared/config-fields.ts';
import { explain } from '#shared/config.ts';

export const hostOptionsSchema = Type.Object(
  {
    intervalSeconds: explain('Pause between two readings.', secondsSchema(60, { minimum: 1, maximum: 3_600 })),
  },
  closed,
);
