// What a person reads after changing the queue: what happens now to whom, and who may get the mail twice.
import type { Flushed, QueueChange } from '../control/answers.ts';
import { clean } from './table.ts';

export type ChangeCommand = 'queue hold' | 'queue release' | 'queue retry' | 'queue drop';

const words: Readonly<Record<ChangeCommand, string>> = {
  'queue hold': 'held, not sent until it is released, to ',
  'queue release': 'released, sent now to ',
  'queue retry': 'tried now for ',
  'queue drop': 'removed; it is not sent to ',
};

export function renderChange(command: ChangeCommand, change: QueueChange): readonly string[] {
  const { id, mayHaveArrived, recipients } = change;
  const lines = [id + ': ' + words[command] + (recipients.length === 0 ? 'nobody' : recipients.join(', '))];
  if (mayHaveArrived.length > 0)
    lines.push(
      id + ': an earlier try ended without an answer; it may have arrived already at ' + mayHaveArrived.join(', '),
    );
  return lines.map(clean);
}

export function renderFlushed({ mails }: Flushed): readonly string[] {
  return [mails === 0 ? 'Nothing waits for a try.' : mails + (mails === 1 ? ' mail is' : ' mails are') + ' tried now.'];
}
