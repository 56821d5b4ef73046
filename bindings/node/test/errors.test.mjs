// What a caller gets wrong comes back as a VisionError that names it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Engine, Model, VisionError, errorKinds } from 'libvision'
import { modelPath, pictures } from './shipped_model.mjs'

let engine
before(async () => {
  engine = await Engine.create(modelPath)
})
after(() => engine.close())

const rejects = (promise, code, message) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof VisionError && error instanceof Error)
    assert.equal(error.code, code)
    assert.equal(error.number, errorKinds().find((kind) => kind.code === code).number)
    assert.match(error.message, message)
    return true
  })

test('files that are not there', async () => {
  await rejects(Model.load('/nowhere'), 'FILE_NOT_FOUND', /nowhere/)
  await rejects(engine.classify('nowhere.jpg'), 'FILE_NOT_FOUND', /nowhere\.jpg/)
})

test('bytes that are no picture', async () => {
  await rejects(engine.classify(Buffer.alloc(0)), 'IMAGE_FORMAT_UNKNOWN', /./)
  await rejects(engine.classify(Buffer.from('hello')), 'IMAGE_FORMAT_UNKNOWN', /./)
})

test('values of the wrong type', async () => {
  for (const wrong of [undefined, null, 42, {}, [], new Float32Array(3)]) {
    await rejects(engine.classify(wrong), 'INVALID_ARGUMENT', /an image is/)
  }
  await rejects(engine.run({ input: [1, 2] }), 'INVALID_ARGUMENT', /"input"/)
  await rejects(engine.run(null), 'INVALID_ARGUMENT', /inputs/)
  await rejects(Model.load(3), 'INVALID_ARGUMENT', /path/)
})

test('raw pixels that do not fit their size', async () => {
  const data = new Uint8Array(10)
  await rejects(engine.classify({ data, width: 4, height: 4 }), 'INVALID_ARGUMENT', /./)
  await rejects(engine.classify({ data, width: 1.5, height: 1 }), 'INVALID_ARGUMENT', /width/)
  await rejects(engine.classify({ data, width: 1, height: 1, channels: 2 }), 'INVALID_ARGUMENT', /channels/)
  await rejects(engine.classify({ data, height: 1 }), 'INVALID_ARGUMENT', /width/)
})

test('options out of range', async () => {
  await rejects(Engine.create(modelPath, { maxBatchSize: 0 }), 'INVALID_ARGUMENT', /max_batch_size|maxBatchSize/)
  await rejects(Engine.create(modelPath, { maxBatchSize: -1 }), 'INVALID_ARGUMENT', /maxBatchSize/)
  await rejects(Engine.create(modelPath, { batchSize: 4 }), 'INVALID_ARGUMENT', /batchSize.*maxBatchSize/)
  await rejects(Engine.create(modelPath, { device: 'cuda:0' }), 'DEVICE_UNAVAILABLE', /cuda/i)
  await rejects(Engine.create(modelPath, { device: 'gpu' }), 'INVALID_ARGUMENT', /gpu/)
  await rejects(engine.classify(pictures[0], { topK: 0 }), 'INVALID_ARGUMENT', /top_k|topK/)
})

test('tensors that do not fit the model', async () => {
  const tensor = (shape) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape })
  await rejects(engine.run({ input: tensor([1, 3, 5, 5]) }), 'SHAPE_MISMATCH', /input/)
  await rejects(engine.run({ pixels: tensor([1, 3, 112, 112]) }), 'INVALID_ARGUMENT', /pixels/)
  await rejects(engine.run({ input: { data: new Float32Array(2), shape: [3] } }), 'SHAPE_MISMATCH', /input/)
})

test('an aborted signal rejects with its reason', async () => {
  await assert.rejects(engine.classify(pictures[0], { signal: AbortSignal.abort('no more') }), (reason) => {
    assert.equal(reason, 'no more')
    return true
  })
  // The delay keeps the request in its batch until the abort.
  const slow = await Engine.create(modelPath, { maxQueueDelayMs: 60_000, window: 'throughput' })
  const controller = new AbortController()
  const answer = slow.classify(pictures[0], { signal: controller.signal })
  controller.abort(new Error('changed my mind'))
  await assert.rejects(answer, /changed my mind/)
  await slow.close()
})

test('a full queue refuses at once', async () => {
  const small = await Engine.create(modelPath, {
    maxQueueDelayMs: 60_000,
    window: 'throughput',
    queueCapacity: 4,
    maxBatchSize: 8
  })
  const accepted = pictures.slice(0, 4).map((picture) => small.classify(picture))
  await rejects(small.classify(pictures[4]), 'QUEUE_FULL', /./)
  await small.close()
  for (const answer of await Promise.all(accepted)) assert.ok(answer.label)
})

test('numbers and names of errors are all different', () => {
  const kinds = errorKinds()
  assert.ok(kinds.length > 20)
  assert.equal(new Set(kinds.map(({ code }) => code)).size, kinds.length)
  assert.equal(new Set(kinds.map(({ number }) => number)).size, kinds.length)
})
