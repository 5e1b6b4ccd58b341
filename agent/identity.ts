// Whose state is this? Bound to the machine and the folder in which it was made (rules of safety 3 and 4): a copy of it, or
// an old one put back, would fetch and send the same mail again.
// Promise: written once a day at most.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

export type Marks = {
  /** The operating system's own id; empty when it has none, as in many containers. */
  readonly machine: string;
  /** The state folder's inode: another one after it was copied or restored. */
  readonly folder: string;
  /** Addresses of network cards that were given by their makers. */
  readonly cards: readonly string[];
};
export type Identity = {
  /** Why mail must not move before a person has said so; undefined when all is well. */
  readonly hold: () => string | undefined;
  /** Something else than the marks says that this state must not be used; kept until adopt(). */
  readonly doubt: (reason: string) => void;
  /** A person says that this state is to be used here. */
  readonly adopt: () => void;
  /** The agent lives; call it as often as you like. */
  readonly alive: () => void;
};

const dayMs = 86_400_000;
/** An agent that was away for longer with mail in its queue may be an old backup that somebody put back. */
const longestAwayDays = 3;

export function createIdentity(options: {
  readonly db: Database;
  readonly marks: Marks;
  readonly now: () => number;
  /** Mails in the queue. */
  readonly queued: () => number;
}): Identity {
  const { db, marks, now } = options;
  const select = db.prepare('SELECT value FROM meta WHERE key = ?');
  const upsert = db.prepare(
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const read = (key: string): string | undefined => {
    const value = select.get(key)?.['value'];
    return typeof value === 'string' ? value : undefined;
  };
  const today = (): number => Math.floor(now() / dayMs);
  const forget = db.prepare('DELETE FROM meta WHERE key = ?');
  let lastDay = Number(read('last-alive') ?? today());

  function adopt(): void {
    transaction(db, () => {
      upsert.run('identity', JSON.stringify(marks));
      upsert.run('last-alive', String(today()));
      upsert.run('adoption', randomUUID());
      forget.run('doubt');
    });
    lastDay = today();
  }

  const known = read('identity');
  if (known === undefined) adopt();

  return {
    hold() {
      const doubt = read('doubt');
      if (doubt !== undefined) return doubt;
      const moved = compareMarks(decodeMarks(read('identity')), marks);
      if (moved !== undefined) return moved;
      const away = today() - lastDay;
      const queued = options.queued();
      if (away <= longestAwayDays || queued === 0) return undefined;
      return (
        'this state was last used ' + away + ' days ago and has ' + queued + ' mails to send: an old backup, perhaps'
      );
    },
    doubt: (reason) => void upsert.run('doubt', reason),
    adopt,
    alive() {
      if (today() === lastDay) return;
      lastDay = today();
      upsert.run('last-alive', String(lastDay));
    },
  };
}

/** Names the last adoption of a state: the rooms see that it was used elsewhere, or is an old one. */
export function readAdoption(db: Database): string {
  return String(db.prepare("SELECT value FROM meta WHERE key = 'adoption'").get()?.['value'] ?? '');
}

/** What differs, for a person; undefined when it is the same machine and folder. */
export function compareMarks(before: Marks, here: Marks): string | undefined {
  if (before.machine !== '' && here.machine !== '' && before.machine !== here.machine)
    return 'this state belongs to another machine';
  // A card may be replaced or added; that none is left of several is another machine, as after a virtual one was cloned.
  const common = before.cards.some((card) => here.cards.includes(card));
  if (before.cards.length > 0 && here.cards.length > 0 && !common) return 'this state belongs to another machine';
  if (before.folder !== here.folder) return 'the state folder was copied, moved or restored';
  return undefined;
}

export function readMarks(folder: string): Marks {
  const sources = ['/etc/machine-id', '/var/lib/dbus/machine-id', '/proc/sys/kernel/syno_serial'];
  const machine = sources.map(readLine).find((text) => text !== '' && text !== 'uninitialized') ?? '';
  return { machine, folder: String(statSync(folder).ino), cards: readCards() };
}

function readLine(path: string): string {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8').trim().slice(0, 200) : '';
  } catch {
    return ''; // not for us to read: the other marks must do
  }
}

/** Those of containers and bridges are made up at each start; they have the second lowest bit set (IEEE 802, section 8.2). */
function readCards(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const macs = all.map(({ mac }) => mac).filter((mac) => mac !== '00:00:00:00:00:00' && (parseInt(mac, 16) & 2) === 0);
  return [...new Set(macs)].sort();
}

function decodeMarks(text: string | undefined): Marks {
  const value: unknown = JSON.parse(text ?? '{}');
  const field = (name: string): unknown =>
    typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
  const cards = field('cards');
  const textOf = (name: string): string => {
    const found = field(name);
    return typeof found === 'string' ? found : '';
  };
  return {
    machine: textOf('machine'),
    folder: textOf('folder'),
    cards: Array.isArray(cards) ? cards.map(String) : [],
  };
}
