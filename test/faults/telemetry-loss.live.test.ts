// The loss table: whatever dies on the way, what an agent has committed is stored exactly once, at its own time. One or two seeds
// a row; `npm run bench:telemetry:loss` runs ten.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLab } from '../lab/lab.ts';
import { judgeRow, rows } from './telemetry-rows.ts';
import { createTelemetrySite } from './telemetry-site.ts';

for (const kind of ['embedded', 'external'] as const)
  test('with the ' + kind + ' broker', { timeout: 600_000 }, async (t) => {
    const lab = createLab(t);
    const site = await createTelemetrySite(lab, kind);
    let apartMs = 0;
    for (const row of rows.filter((one) => one.site === kind)) {
      apartMs = Math.max(apartMs, row.apartMs ?? 0);
      await t.test(row.name + ': what was committed is stored once, at its own time', async (inner) => {
        const { holds, note } = await judgeRow({ ...row, apartMs }, site, row.restarts ? [1] : [1, 2]);
        inner.diagnostic(note);
        assert.ok(holds, note);
      });
    }
  });
