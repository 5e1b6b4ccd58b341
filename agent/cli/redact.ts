// Takes out of a text what must not leave the house: every secret that is known, everything that looks like one, and the
// part of a mail address that names a person. In doubt a word too much goes.

const patterns: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '[private key]'],
  // user:password@ of an address.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, '$1[secret]@'],
  [/\b(AUTH\s+[A-Z0-9-]+\s+)\S+/gi, '$1[secret]'],
  [/\b((?:PASS|APOP\s+\S+)\s+)\S+/g, '$1[secret]'],
  [/\b((?:proxy-)?authorization"?\s*[:=]\s*"?)[^"\r\n]+/gi, '$1[secret]'],
  [/\b(Bearer\s+|Basic\s+)[A-Za-z0-9+/_.~=-]+/g, '$1[secret]'],
  // password=..., "token": "...", client_secret: ...; a path that a configuration names is no secret.
  [
    /((?:pass(?:word|wort|wd)?|kennwort|secret|token|api[_-]?key|private[_-]?key|cookie)["']?[ \t]*[:=][ \t]*)(?![ \t]*(?:\{|\[secret))(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]]+)/gi,
    '$1[secret]',
  ],
  // Subjects are what a mail is about.
  [/\b(subject"?\s*[:=]\s*"?)[^"\r\n]*/gi, '$1[subject]'],
  // Long words without a meaning: keys, hashes, tokens.
  [/(?<![A-Za-z0-9+/_=.-])(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{28,}={0,2}/g, '[key]'],
];

/** The shortest secret that is looked for by itself: a shorter one would take half of every word. */
const shortest = 4;

export function createRedactor(secrets: readonly string[]): (text: string) => string {
  const forms = secrets
    .filter((secret) => secret.length >= shortest)
    .flatMap((secret) => [
      secret,
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      Buffer.from(secret).toString('hex'),
      JSON.stringify(secret).slice(1, -1),
    ])
    .sort((a, b) => b.length - a.length);
  const known = [...new Set(forms)];
  return (text) => {
    let clean = text;
    for (const form of known) clean = clean.replaceAll(form, '[secret]');
    for (const [pattern, replacement] of patterns) clean = clean.replaceAll(pattern, replacement);
    return maskAddresses(clean);
  };
}

/** The domain stays: without it no trouble of routes can be understood. */
function maskAddresses(text: string): string {
  return text.replaceAll(
    /([A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u0080-\uffff-]+)@([A-Za-z0-9.\u0080-\uffff-]+)/g,
    (_, local: string, domain: string) => local.slice(0, 1) + '***@' + domain,
  );
}
