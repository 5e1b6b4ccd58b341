// The page in the language of its reader. The English text is its own key, so that a page can be read in the code; a German
// one that is missing does not compile.
import { german } from './words-german.ts';

export type Language = 'en' | 'de';
export type Word = keyof typeof german;
/** `{name}` in the text is replaced. */
export type Say = (word: Word, values?: Readonly<Record<string, string | number>>) => string;
export type Reader = { readonly language: Language; readonly say: Say };

export function readerOf(language: Language): Reader {
  return {
    language,
    say(word, values = {}) {
      const text = language === 'de' ? german[word] : word;
      return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
    },
  };
}

/** What the reader chose, else the first that the browser asks for and we have. */
export function languageOf(chosen: string | undefined, accepted: string | undefined): Language {
  if (chosen === 'de' || chosen === 'en') return chosen;
  const first = (accepted ?? '')
    .split(',')
    .map((part) => part.trim().slice(0, 2).toLowerCase())
    .find((part) => part === 'de' || part === 'en');
  return first === 'de' ? 'de' : 'en';
}

/** `5 s`, `12 min`, `3 h`, `4 d`: the same in both languages but for the day. */
export function duration({ language }: Reader, seconds: number): string {
  if (seconds < 90) return Math.max(0, Math.round(seconds)) + ' s';
  if (seconds < 5_400) return Math.round(seconds / 60) + ' min';
  if (seconds < 172_800) return Math.round(seconds / 3_600) + ' h';
  return Math.round(seconds / 86_400) + (language === 'de' ? ' Tage' : ' d');
}

/** Empty for 0, which stands for never. Local time of the agent. */
export function instant({ language }: Reader, at: number): string {
  if (at === 0) return '';
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const [day, month] = [two(date.getDate()), two(date.getMonth() + 1)];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  const year = date.getFullYear();
  return (language === 'de' ? day + '.' + month + '.' + year : year + '-' + month + '-' + day) + ' ' + time;
}

export function bytes(count: number): string {
  if (count < 1_000) return count + ' B';
  if (count < 1_000_000) return (count / 1_000).toFixed(1) + ' kB';
  return (count / 1_000_000).toFixed(1) + ' MB';
}
