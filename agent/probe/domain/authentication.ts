// What the mailbox's provider itself found when our last probe arrived: better than any look at DNS, but of one sender alone.
import type { Finding } from '../check.ts';
import { speakOf } from './look.ts';

const names = { spf: 'SPF', dkim: 'DKIM', dmarc: 'DMARC' } as const;

/** `results`: such as { spf: 'pass' }; empty when the provider writes none, or no probe came back yet. */
export function checkAuthentication(domain: string, results: Readonly<Record<string, string>>): readonly Finding[] {
  const say = speakOf(domain, 'authentication');
  const methods = (['spf', 'dkim', 'dmarc'] as const).filter((method) => results[method] !== undefined);
  if (methods.length === 0) return [];
  const bad = methods.filter((method) => results[method] !== 'pass');
  if (bad.length === 0)
    return [say('ok', 'the receiver found ' + methods.map((method) => names[method] + ' pass').join(', '))];
  return bad.map((method) => {
    const result = results[method] ?? '';
    // DMARC asks for one of the two: with it, the other may fail.
    const covered = method !== 'dmarc' && results['dmarc'] === 'pass';
    const level =
      covered || result === 'none'
        ? 'info'
        : result.endsWith('error') && result !== 'permerror'
          ? 'unknown'
          : 'warning';
    return say(
      level,
      'the receiver of the last round trip found ' + names[method] + ' ' + result,
      covered
        ? undefined
        : 'Compare with the findings about ' + method + ' above; the relay may sign or send otherwise than configured.',
    );
  });
}
