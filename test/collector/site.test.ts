// What a code and the word of the site say of the authority, for each way in which a broker may have a certificate.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { systemClock } from '#shared/clock.ts';
import { decodeCode, fingerprintOf } from '#shared/enrolment.ts';
import { decodeSite } from '#shared/wire.ts';
import { createSiteWords } from '../../collector/site.ts';
import { createLab } from '../lab/lab.ts';

const origin = { tenant: 'acme', agent: 'nas-1' };
const urls = ['mqtts://collector.example.net:8883'];
const secret = 'a-secret-of-more-than-128-bits';

const words = (chain: string | undefined, addresses: readonly string[] = urls) =>
  createSiteWords({ urls: addresses, authority: undefined, chain, clock: systemClock });
const said = (chain: string | undefined) => {
  const site = decodeSite(Buffer.from(words(chain).message() ?? ''));
  assert.ok(site.ok);
  return { code: decodeCode(words(chain).code(origin, secret, 1_000_000)), authorities: site.value.authorities };
};

test('a private authority behind the certificate is named by its fingerprint, and given whole to who is enrolled', async (t) => {
  const { ca, certFile } = await createLab(t).certificate();
  const leaf = readFileSync(certFile, 'utf8');
  const { code, authorities } = said(leaf + ca);
  assert.equal(code.fingerprint, fingerprintOf(new X509Certificate(ca).raw));
  assert.deepEqual(authorities, [new X509Certificate(ca).toString()]);
  assert.deepEqual([code.tenant, code.agent, code.secret, code.expires], ['acme', 'nas-1', secret, 1_000]);
});

test('a public authority is left to the system of the agent, and so is a certificate alone', async (t) => {
  const { certFile } = await createLab(t).certificate();
  const leaf = readFileSync(certFile, 'utf8');
  for (const chain of [undefined, leaf, leaf + rootCertificates[0]]) {
    const { code, authorities } = said(chain);
    assert.equal(code.fingerprint, undefined);
    assert.deepEqual(authorities, []);
  }
});

test('without an address there is no code, and nothing to be said', () => {
  assert.equal(words(undefined, []).message(), undefined);
  assert.throws(() => words(undefined, []).code(origin, secret, 1), {
    name: 'UserError',
    message: /option broker.urls is empty, expected at least one address .* such as mqtts:/,
  });
});
