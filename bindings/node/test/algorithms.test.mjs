// How convolutions are computed: `precise` and `tuning`.
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Engine } from 'libvision'
import { modelPath, pictures } from './shipped_model.mjs'

test('precise finds the same', async () => {
  const fast = await Engine.create(modelPath)
  const precise = await Engine.create(modelPath, { precise: true })
  for (const picture of pictures.slice(0, 3)) {
    const [expected, found] = await Promise.all([fast.classify(picture), precise.classify(picture)])
    assert.equal(found.label, expected.label)
    assert.ok(Math.abs(found.score - expected.score) < 1e-4)
  }
  await Promise.all([fast.close(), precise.close()])
})

test('what is no tuning is refused by name', async () => {
  const tuning = join(mkdtempSync(join(tmpdir(), 'libvision-')), 'tuning.json')
  writeFileSync(tuning, '{}')
  await assert.rejects(Engine.create(modelPath, { tuning }), { code: 'TUNING_MISMATCH', message: /tuning\.json/ })
})
