// Pictures in, labels out, in every form that a caller may hand a picture in.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { after, before, test } from 'node:test'
import { Engine, Model, VisionError } from 'libvision'
import { expected, modelPath, pictures } from './shipped_model.mjs'

let engine
before(async () => {
  engine = await Engine.create(modelPath, { maxQueueDelayMs: 5 })
})
after(() => engine.close())

const png = pictures.find((path) => path.endsWith('.png'))

test('the committed answer comes out', async () => {
  const entry = expected.pictures.find(({ file }) => png.endsWith(file))
  const answer = await engine.classify(png)
  const [[, label, score]] = entry.top5
  assert.equal(answer.label, label)
  assert.ok(Math.abs(answer.score - score) < 1e-4)
  assert.equal(answer.predictions.length, 5)
  assert.equal(engine.model.labels[answer.predictions[0].classIndex], answer.label)
})

test('path, URL, Buffer and ArrayBuffer give the same bits', async () => {
  const bytes = readFileSync(png)
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const answers = await Promise.all([png, pathToFileURL(png), bytes, copy].map((image) => engine.embed(image)))
  for (const answer of answers) assert.deepEqual(answer, answers[0])
})

test('raw RGB, RGBA and rows with gaps give the same bits', async () => {
  const [width, height] = [40, 30]
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) >> 3)
  const rgba = new Uint8ClampedArray(width * height * 4)
  const wide = new Uint8Array(height * (width * 3 + 5))
  for (let pixel = 0; pixel < width * height; pixel++) {
    const color = rgb.subarray(pixel * 3, pixel * 3 + 3)
    rgba.set([...color, pixel & 255], pixel * 4)
    wide.set(color, Math.floor(pixel / width) * (width * 3 + 5) + (pixel % width) * 3)
  }
  const [a, b, c] = await Promise.all([
    engine.embed({ data: rgb, width, height }),
    engine.embed({ data: rgba, width, height, channels: 4 }),
    engine.embed({ data: wide, width, height, rowStride: width * 3 + 5 })
  ])
  assert.deepEqual(b, a)
  assert.deepEqual(c, a)
})

test('32 at once share batches, and no score depends on its neighbours', async () => {
  const alone = []
  for (const picture of pictures.slice(0, 32)) alone.push(await engine.classify(picture))
  const together = await Promise.all(pictures.slice(0, 32).map((picture) => engine.classify(picture)))
  assert.ok(together.some(({ batchSize }) => batchSize > 1))
  assert.ok(together.every(({ batchSize }) => batchSize <= engine.maxBatchSize))
  together.forEach((answer, i) => assert.deepEqual(answer.predictions, alone[i].predictions))
})

test('outputs of a picture equal run() on its tensor', async () => {
  const shape = [2, 3, 112, 112]
  const data = Float32Array.from({ length: 2 * 3 * 112 * 112 }, (_, i) => Math.sin(i))
  const { logits } = await engine.run({ input: { data, shape } })
  const half = data.length / 2
  const second = await engine.run({ input: { data: data.subarray(half), shape: [1, 3, 112, 112] } })
  assert.deepEqual(logits.shape, [2, engine.model.labels.length])
  assert.deepEqual(logits.data.subarray(engine.model.labels.length), second.logits.data)
  const outputs = await engine.outputs(png)
  assert.deepEqual(outputs.logits.shape, [1, engine.model.labels.length])
})

test('the event loop turns while pictures are classified', async () => {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await Promise.all(pictures.map((picture) => engine.classify(picture)))
  clearInterval(timer)
  assert.ok(turns > 0)
})

test('timings add up', async () => {
  const { timing } = await engine.classify(png)
  const { total, ...parts } = timing
  const sum = Object.values(parts).reduce((a, b) => a + b)
  assert.ok(Math.abs(sum - total) <= 0.01 * total, `${sum} of ${total}`)
})

test('one model serves several engines; CommonJS sees the same classes', async () => {
  const model = await Model.load(modelPath)
  const other = await Engine.create(model, { maxBatchSize: 2 })
  assert.equal(other.maxBatchSize, 2)
  assert.equal((await other.classify(png)).label, (await engine.classify(png)).label)
  assert.match(other.describe(), /cpu/)
  await other.close()
  await assert.rejects(other.classify(png), { code: 'ENGINE_CLOSED' })
  assert.equal(createRequire(import.meta.url)('libvision').VisionError, VisionError)
})
