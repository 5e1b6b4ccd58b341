// Who may hand in mail: the users of `users.json`, as `mailferry user` keeps them, and the account for the relay dialog of a
// mail server. Promise: a password is shown once, when it was made, and kept as a hash.
import { valueAt } from '../settings.ts';
import { hashPassword, makePassword } from '../users/password-hash.ts';
import { readUsers, writeUsers } from '../users/users-file.ts';
import type { StoredUser } from '../users/users-file.ts';
import { listOf } from './form.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { button, facts, page, table, token } from './layout.ts';
import { RequestError, redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import type { PageWork, Visit } from './work.ts';

const dialogName = 'relay-dialog';
const senderPattern = /^[^@\s<>]*@[^@\s<>]+$/;
const namePattern = /^[^\s/\u0000-\u001f\u007f]{1,200}$/;

export async function showUsers(work: PageWork, { reader, session }: Visit): Promise<Html> {
  const { say } = reader;
  const users = await readUsers(work.usersFile);
  const rows = users.map(({ name, senders }) => [
    name,
    senders.join(', '),
    html`${button(session, '/users/password', say('Another password'), { name })}${button(session, '/users/remove', say('Remove'), { name }, 'danger')}`,
  ]);
  const hasDialog = users.some((user) => user.name === dialogName);
  return html`<h2>${say('Who may hand in mail')}</h2>
    ${rows.length > 0 && table([say('Login name'), say('Senders'), ''], rows)}
    ${
      !hasDialog &&
      html`<div class="row">
        ${button(session, '/users/dialog', say('Make the account for the relay dialog of the mail server'), {}, 'main')}
      </div>`
    }
    <form class="form" method="post" action="/users/add">
      ${token(session)}
      <h3>${say('New user')}</h3>
      <div class="field">
        <label for="name">${say('Login name')}</label
        ><input
          type="text"
          id="name"
          name="name"
          required
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
        />
      </div>
      <div class="field">
        <label for="senders">${say('May send as')}</label>
        <div class="hint" id="senders-hint">${say('Addresses, or @domain.')}</div>
        <textarea id="senders" name="senders" required aria-describedby="senders-hint" spellcheck="false"></textarea>
      </div>
      <div class="row"><button>${say('Add')}</button></div>
    </form>`;
}

export async function postUsers(work: PageWork, visit: Visit, act: string): Promise<PageAnswer> {
  const { form } = visit.request;
  const name = (form.get('name') ?? '').trim();
  const users = await readUsers(work.usersFile);
  switch (act) {
    case 'add':
      return addUser(work, visit, users, name, listOf(form.get('senders') ?? ''));
    case 'dialog': {
      const domains = valueAt(work.settings.read().raw, ['local', 'domains']);
      const senders = (Array.isArray(domains) ? domains : []).map((domain) => '@' + String(domain));
      return addUser(work, visit, users, dialogName, senders);
    }
    case 'password': {
      const user = users.find((one) => one.name === name);
      if (user === undefined) throw new RequestError(404, 'there is no such user');
      return store(work, visit, users, user);
    }
    case 'remove':
      await writeUsers(
        work.usersFile,
        users.filter((one) => one.name !== name),
      );
      return redirect('/sending');
    default:
      throw new RequestError(404, 'there is no such action');
  }
}

async function addUser(
  work: PageWork,
  visit: Visit,
  users: readonly StoredUser[],
  name: string,
  senders: readonly string[],
): Promise<PageAnswer> {
  const { reader, session } = visit;
  const { say } = reader;
  const refuse = (text: string): PageAnswer => {
    session.notice = { level: 'warning', text };
    return redirect('/sending');
  };
  if (!namePattern.test(name)) return refuse(say('Not added: the login name must be one without blanks.'));
  const typed = valueAt(work.settings.read().raw, ['submission', 'users']);
  const others = (Array.isArray(typed) ? typed : []).map((user) => valueAt(user, ['name']));
  if (users.some((user) => user.name === name) || others.includes(name))
    return refuse(say('Not added: there is a user of that name.'));
  if (senders.length === 0 || !senders.every((sender) => senderPattern.test(sender)))
    return refuse(say('Not added: senders must be addresses, or @domain.'));
  const dialog = { nullSender: 'refuse', foreignSender: 'refuse', headerFrom: 'replace' } as const;
  const user = { name, hash: '', senders: [...senders], ...(name === dialogName && { mailServer: dialog }) };
  return store(work, visit, users, user);
}

/** With a new password, which this answer alone shows. */
async function store(
  work: PageWork,
  visit: Visit,
  users: readonly StoredUser[],
  user: StoredUser,
): Promise<PageAnswer> {
  const { say } = visit.reader;
  const password = makePassword();
  const stored = { ...user, hash: await hashPassword(password) };
  await writeUsers(work.usersFile, [...users.filter((one) => one.name !== user.name), stored]);
  const { raw } = work.settings.read();
  const host = valueAt(raw, ['submission', 'host']);
  const port = valueAt(raw, ['submission', 'port']);
  const shownHost = typeof host === 'string' && host !== '0.0.0.0' ? host : '127.0.0.1';
  return {
    status: 200,
    type: 'text/html; charset=utf-8',
    body: page(
      visit,
      say('Password of {name}', { name: user.name }),
      html`<p>
        ${say('It is shown this once. Type it where the mail server or program asks for the relay (outgoing server).')}
      </p>`,
      facts([
        [say('Server'), shownHost],
        [say('Port'), typeof port === 'number' ? port : 2_525],
        [say('Login name'), user.name],
        [say('Password'), html`<code class="secret" id="made">${password}</code>`],
        [say('May send as'), user.senders.join(', ')],
      ]),
      html`<div class="row"><a class="button main" href="/sending">${say('Written down')}</a></div>`,
    ),
  };
}
