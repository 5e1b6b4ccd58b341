// The published JSON Schemas, judged by a validator that is not ours (Ajv, inside fastify).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fastify } from 'fastify';
import { parse } from 'yaml';

const read = (name: string): string => readFileSync(new URL('../../' + name, import.meta.url), 'utf8');

/** Whether a configuration fits the published schema of a program. */
async function createJudge(program: 'agent' | 'collector') {
  const schema: unknown = JSON.parse(read('docs/mailferry-' + program + '.schema.json'));
  const app = fastify({
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        strict: true,
        strictTypes: false,
      },
    },
  });
  app.post('/', { schema: { body: schema } }, () => 'fits');
  await app.ready();
  return async (text: string) => {
    const config: unknown = parse(text);
    const answer = await app.inject({ method: 'POST', url: '/', payload: config as object });
    return { fits: answer.statusCode === 200, why: answer.body };
  };
}

test('the example of the README fits the published schema of each program', async () => {
  const examples = [...read('README.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  for (const [index, program] of (['agent', 'collector'] as const).entries()) {
    const { fits, why } = await (await createJudge(program))(examples[index] ?? '');
    assert.ok(fits, why);
  }
});

test('an editor finds misspelt options, wrong words, wrong numbers, and secrets that are written down', async () => {
  const judge = await createJudge('agent');
  const start = 'tenant: acme\nagent: nas-1\nstate: s\n';
  assert.ok((await judge(start)).fits);
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['tenant: acme\nagent: nas-1\n', /must have required property 'state'/],
    [start + 'acounts: []\n', /must NOT have additional properties/],
    [start + 'local: {domains: [a.test], port: 70000}\n', /must be <= 65535/],
    [start + 'local: {domains: [a.test], tls: startls}\n', /must be equal to constant/],
    [start + 'local: {domains: []}\n', /must NOT have fewer than 1 items/],
    [start + 'report: {url: "mqtts://c:1", password: hunter2}\n', /must be object/],
    ['tenant: ACME\nagent: nas-1\nstate: s\n', /must match pattern/],
  ];
  for (const [text, why] of wrong) {
    const answer = await judge(text);
    assert.equal(answer.fits, false, text);
    assert.match(answer.why, why);
  }
});
