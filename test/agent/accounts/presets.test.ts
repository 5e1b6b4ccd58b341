import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { carefulIntervalSeconds, findPreset, presetNames, presets } from '../../../agent/accounts/presets.ts';
import type { Fact, Preset } from '../../../agent/accounts/presets.ts';

const all: readonly (readonly [string, Preset])[] = Object.entries(presets);

function factsOf(preset: Preset): readonly (readonly [string, Fact<unknown>])[] {
  const { pop3, smtp, minIntervalSeconds, userName, limits, hints, oauth, sending = [], smtpScope } = preset;
  return [
    ...Object.entries({
      pop3,
      smtp,
      minIntervalSeconds,
      userName,
      ...(oauth && { oauth }),
      ...(smtpScope && { smtpScope }),
    }),
    ...[...limits, ...hints].map((fact) => [fact.value, fact] as const),
    ...sending.map((fact) => [JSON.stringify(fact.value), fact] as const),
  ];
}

/** What may be relied on without a doubt. */
const firm = new Set(['vendor', 'ispdb']);

test('every provider of the plan has a preset', () => {
  assert.deepEqual(presetNames.toSorted(), [
    'all-inkl',
    'domainfactory',
    'gmail',
    'gmx',
    'hetzner',
    'host-europe',
    'ionos',
    'mailbox-org',
    'microsoft-365',
    'netcup',
    'outlook-com',
    'posteo',
    'strato',
    't-online',
    'united-domains',
    'web-de',
  ]);
  for (const name of presetNames) assert.match(name, /^[a-z0-9-]+$/);
  assert.equal(findPreset('toString'), undefined);
  assert.equal(findPreset(undefined), undefined);
});

for (const [name, preset] of all) {
  test('the preset ' + name + ' is complete, and every field that is not sure says why', () => {
    assert.ok(preset.title.length > 2);
    for (const server of [preset.pop3.value, preset.smtp.value]) {
      assert.ok([995, 465, 587].includes(server.port));
      assert.equal(server.tls, server.port === 587 ? 'starttls' : 'implicit');
      if (server.host !== undefined) assert.match(server.host, /^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
    }
    const seconds = preset.minIntervalSeconds.value;
    assert.ok(Number.isInteger(seconds) && seconds >= carefulIntervalSeconds && seconds <= 3_600);
    for (const [field, fact] of factsOf(preset)) {
      const place = name + ': ' + field;
      if (!firm.has(fact.source)) assert.ok(fact.doubt !== undefined, place + ' is from ' + fact.source);
      if (fact.doubt !== undefined) assert.ok(fact.doubt.length > 5, place);
      const unknown =
        typeof fact.value === 'object' && fact.value !== null && Object.values(fact.value).includes(undefined);
      if (unknown) assert.ok(fact.doubt !== undefined, place + ' is not known');
    }
    if (preset.oauth !== undefined)
      for (const url of [preset.oauth.value.tokenUrl, preset.oauth.value.deviceUrl])
        assert.equal(new URL(url).protocol, 'https:');
  });
}

test('the known minimum intervals', () => {
  assert.equal(presets['web-de'].minIntervalSeconds.value, 900);
  assert.equal(presets.gmail.minIntervalSeconds.value, 600);
});

test('docs/providers.md shows every preset with its doubts', () => {
  const page = readFileSync(new URL('../../../docs/providers.md', import.meta.url), 'utf8');
  for (const [name, preset] of all) {
    assert.ok(page.includes('| `' + name + '` |') && page.includes('(`' + name + '`)'), name);
    for (const [field, { doubt }] of factsOf(preset)) {
      if (doubt !== undefined) assert.ok(page.includes(doubt), name + ': ' + field);
    }
  }
});
