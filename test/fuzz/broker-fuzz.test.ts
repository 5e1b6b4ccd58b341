import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzBroker } from './broker-fuzz.ts';

test('mutated packets neither end the broker nor reach anybody else; each report of an agent is acknowledged', async (t) => {
  const { packets, connections, survived, forged, reports, acknowledged } = await fuzzBroker({ count: 1_000, seed: 7 });
  t.diagnostic([packets, connections, survived, reports].join(' '));
  assert.ok(packets >= 1_000 && survived > 0 && survived < connections);
  assert.equal(forged, 0);
  assert.ok(reports > 10);
  assert.equal(acknowledged, reports);
});
