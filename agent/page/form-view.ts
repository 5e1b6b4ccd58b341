// A form as HTML. Each field has its label, its hint and a place for what is said about it; a screen reader hears all three.
import { html } from './html.ts';
import type { Content, Html } from './html.ts';
import type { Field, Values } from './form.ts';
import type { Reader } from './words.ts';

export type Said = { readonly level: 'ok' | 'warning' | 'error'; readonly text: string };
export type Saids = Readonly<Record<string, Said>>;

export function field(reader: Reader, one: Field, values: Values, saids: Saids): Html {
  const { say } = reader;
  const said = saids[one.name];
  const ids = [one.hint === undefined ? '' : one.name + '-hint', one.name + '-said'].join(' ').trim();
  const hint = one.hint !== undefined && html`<div class="hint" id="${one.name}-hint">${say(one.hint)}</div>`;
  const below = html`<div
    class="said ${said?.level ?? ''}"
    id="${one.name}-said"
    data-said="${one.name}"
    aria-live="polite"
  >
    ${said?.text ?? ''}
  </div>`;
  const when = one.when !== undefined && html`data-when="${one.when}"`;
  if (one.kind === 'radio')
    return html`<div
      class="field"
      role="radiogroup"
      aria-labelledby="${one.name}-label"
      aria-describedby="${ids}"
      ${when}
    >
      <span class="label" id="${one.name}-label">${say(one.label)}</span>${hint}
      ${choices(reader, one).map(
        ([value, label]) =>
          html`<label class="choice"
            ><input
              type="radio"
              name="${one.name}"
              value="${value}"
              ${values[one.name] === value && checked}
            />${label}</label
          >`,
      )}${below}
    </div>`;
  const common = html`id="${one.name}" name="${one.name}" aria-describedby="${ids}"
  aria-invalid="${String(said?.level === 'error')}"`;
  return html`<div class="field" ${when}>
    <label for="${one.name}">${say(one.label)}</label
    >${hint}${input(reader, one, values[one.name] ?? '', common)}${below}
  </div>`;
}

function input(reader: Reader, one: Field, value: string, common: Html): Html {
  const { placeholder = '', autocomplete = 'off' } = one;
  switch (one.kind) {
    case 'select':
      return html`<select ${common}>
        ${choices(reader, one).map(
          ([choice, label]) => html`<option value="${choice}" ${choice === value && selected}>${label}</option>`,
        )}
      </select>`;
    case 'lines':
      return html`<textarea ${common} rows="3" spellcheck="false" autocapitalize="none">${value}</textarea>`;
    default:
      return html`<input
        ${common}
        type="${one.kind}"
        value="${value}"
        placeholder="${placeholder}"
        autocomplete="${autocomplete}"
        spellcheck="false"
        autocapitalize="none"
      />`;
  }
}

const checked = html`checked`;
const selected = html`selected`;

function choices({ say }: Reader, one: Field): readonly (readonly [string, string])[] {
  return (one.choices ?? []).map(([value, label]) => [value, typeof label === 'string' ? say(label) : label.text]);
}

export type Tests = {
  /** Fields that say where the server is, and those that a login needs. */
  readonly place: readonly string[];
  readonly login: readonly string[];
  /** A password is stored already. */
  readonly known: boolean;
};

/** The form itself; `tests` when its entries are tried while they are typed. */
export function form(
  reader: Reader,
  options: {
    readonly action: string;
    readonly hidden: Content;
    readonly fields: readonly Content[];
    readonly tests?: Tests;
    readonly saids: Saids;
    readonly submit: string;
  },
): Html {
  const { action, hidden, fields, tests, saids, submit } = options;
  const { say } = reader;
  const general = saids[''];
  const data =
    tests &&
    html`data-check data-busy="${say('Trying …')}" data-place="${tests.place.join(' ')}"
    data-login="${tests.login.join(' ')}" data-known="${tests.known ? '1' : '0'}"`;
  return html`<form class="form" method="post" action="${action}" novalidate ${data}>
    ${hidden}${general && html`<p class="notice ${general.level}" role="alert">${general.text}</p>`}${[...fields]}
    ${tests && [spot('place', saids), spot('login', saids)]}
    <div class="row">
      <button class="main" name="action" value="save">${submit}</button>
      ${tests && html`<button name="action" value="login">${say('Test')}</button>`}
    </div>
  </form>`;
}

const spot = (name: string, saids: Saids): Html =>
  html`<div class="said ${saids[name]?.level ?? ''}" data-said="${name}" aria-live="polite">
    ${saids[name]?.text ?? ''}
  </div>`;
