// Which address is which page. The first pattern that fits answers; what is in brackets is handed on.
import { postDoctor, postSupport } from './checkup-page.ts';
import { showCommand, showCommands, postCommand } from './command-page.ts';
import { showDevice } from './device-page.ts';
import { local, mailbox, relay, submission } from './entries.ts';
import type { Entry } from './entries.ts';
import { postEntry, removeEntry, showEntry } from './entry-page.ts';
import { showMailboxes, showSending } from './list-pages.ts';
import { postQuarantine, downloadHeld, showHeld, showQuarantine } from './quarantine-pages.ts';
import { postQueue, showQueue, showQueued } from './queue-pages.ts';
import { RequestError } from './request.ts';
import type { PageAnswer } from './request.ts';
import { postPassword, showLog, showSettings } from './settings-page.ts';
import { postAdopt, postAnswer, postFetch, showState } from './state-page.ts';
import { postUsers } from './users-page.ts';
import type { PageWork, Visit } from './work.ts';

type Handler = (work: PageWork, visit: Visit, ...found: readonly [string, string]) => PageAnswer | Promise<PageAnswer>;
type Route = readonly [method: 'GET' | 'POST', pattern: RegExp, handler: Handler];

/** A new one is `+`, which is no name of an entry. */
function entryRoutes(entry: Entry): readonly Route[] {
  const { home } = entry;
  const one = (name: string): string | undefined => (name === '+' ? undefined : name);
  const named = new RegExp('^' + home + '/([a-z0-9-]+|\\+)$');
  return [
    ['GET', named, (work, visit, name) => showEntry(work, visit, entry, one(name))],
    ['POST', named, (work, visit, name) => postEntry(work, visit, entry, one(name))],
    [
      'POST',
      new RegExp('^' + home + '/([a-z0-9-]+)/remove$'),
      (work, visit, name) => removeEntry(work, visit, entry, name),
    ],
  ];
}

const id = '([A-Za-z0-9._-]+)';
const routes: readonly Route[] = [
  ['GET', /^\/$/, showState],
  ['POST', /^\/fetch$/, postFetch],
  ['POST', /^\/adopt$/, postAdopt],
  ['GET', /^\/mailboxes$/, showMailboxes],
  ['POST', /^\/mailboxes\/([a-z0-9-]+)\/answer$/, postAnswer],
  ...entryRoutes(mailbox),
  ['GET', /^\/sending$/, showSending],
  ...entryRoutes(relay),
  ['GET', /^\/local$/, (work, visit) => showEntry(work, visit, local)],
  ['POST', /^\/local$/, (work, visit) => postEntry(work, visit, local)],
  ['GET', /^\/submission$/, (work, visit) => showEntry(work, visit, submission)],
  ['POST', /^\/submission$/, (work, visit) => postEntry(work, visit, submission)],
  ['POST', /^\/users\/([a-z]+)$/, postUsers],
  ['GET', /^\/queue$/, showQueue],
  ['POST', /^\/queue\/flush$/, (work, visit) => postQueue(work, visit, 'flush')],
  ['GET', new RegExp('^/queue/' + id + '$'), showQueued],
  ['POST', new RegExp('^/queue/' + id + '/([a-z]+)$'), (work, visit, mail, act) => postQueue(work, visit, act, mail)],
  ['GET', /^\/quarantine$/, showQuarantine],
  ['GET', new RegExp('^/quarantine/' + id + '$'), showHeld],
  ['GET', new RegExp('^/quarantine/' + id + '/mail\\.eml$'), downloadHeld],
  [
    'POST',
    new RegExp('^/quarantine/' + id + '/([a-z]+)$'),
    (work, visit, mail, act) => postQuarantine(work, visit, act, mail),
  ],
  ['GET', /^\/device\/([0-9a-f]{24})$/, showDevice],
  ['GET', /^\/log$/, showLog],
  ['POST', /^\/doctor$/, postDoctor],
  ['POST', /^\/support$/, postSupport],
  ['GET', /^\/commands$/, showCommands],
  ['GET', /^\/commands\/([^/]+)$/, showCommand],
  ['POST', /^\/commands\/([^/]+)$/, postCommand],
  ['GET', /^\/settings$/, showSettings],
  ['POST', /^\/settings\/password$/, postPassword],
];

/** Throws RequestError when there is no such page. */
export async function answerVisit(work: PageWork, visit: Visit): Promise<PageAnswer> {
  const { method, path } = visit.request;
  for (const [wanted, pattern, handler] of routes) {
    const found = wanted === method ? pattern.exec(path) : null;
    if (found !== null) return handler(work, visit, decode(found[1]), decode(found[2]));
  }
  throw new RequestError(404, visit.reader.say('There is no such page.'));
}

function decode(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? '');
  } catch {
    throw new RequestError(400, 'found a broken address, expected a whole one');
  }
}
