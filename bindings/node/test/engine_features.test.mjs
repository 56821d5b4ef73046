// What the engine promises beyond answers: the scene of ffi/tests/c/engine_features.c, and options.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { Engine } from 'libvision'
import { modelPath, pictures } from './shipped_model.mjs'

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const picture = pictures[0]
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)
const failure = (promise) => promise.then(() => assert.fail('an error was expected'), (error) => error)

function assertPartsAddUp({ total, ...parts }) {
  assert.ok(total > 0 && Math.abs(sum(Object.values(parts)) - total) <= total / 100)
}

let engine
before(async () => {
  engine = await Engine.create(modelPath)
})
after(() => engine.close())

test('the scene', async () => {
  // A batch of four that nobody fills up waits for an hour: two requests fill the queue.
  const waiting = await Engine.create(modelPath, {
    device: 'cpu',
    maxBatchSize: 4,
    queueCapacity: 2,
    maxQueueDelayMs: 3_600_000,
    window: 'throughput',
    batchBuckets: [4],
    tenantWeights: { gold: 3 }
  })
  const first = waiting.classify(picture, { priority: 'high', tenant: 'gold', traceparent })
  const controller = new AbortController()
  const { signal } = controller
  const second = failure(
    waiting.classify(picture, { tenant: 'unnamed before', traceparent: 'malformed, and ignored', signal })
  )

  const full = await failure(waiting.classify(picture))
  assert.equal(full.code, 'QUEUE_FULL')
  assert.ok(full.retryable && full.retryAfterMs > 0)

  controller.abort()
  assert.equal(await second, signal.reason)
  const late = await failure(waiting.classify(picture, { deadlineMs: 0.001 }))
  assert.match(late.code, /^DEADLINE_(INFEASIBLE|EXCEEDED)$/)
  assert.ok(late.retryable)

  await waiting.close()
  const answer = await first
  assert.equal(answer.traceparent, traceparent)
  assertPartsAddUp(answer.timing)

  const metrics = waiting.metrics()
  assert.deepEqual([metrics.arrived, metrics.delivered, metrics.inFlight], [4, 1, 0])
  assert.deepEqual([metrics.refused.queue_full, metrics.refused.cancelled], [1, 1])
  assert.equal(metrics.refused.deadline_infeasible + metrics.refused.deadline_exceeded, 1)
  assert.equal(metrics.arrived, metrics.delivered + sum(Object.values(metrics.refused)) + metrics.inFlight)
  assert.deepEqual([metrics.batches, metrics.images, metrics.paddingImages], [1, 1, 3])
  assert.ok(metrics.totalSeconds.count === 1 && metrics.totalSeconds.sum > 0)
  assert.deepEqual([metrics.batchSizeImages.ends[0], metrics.batchSizeImages.buckets[0]], [1, 1])
  assert.ok(metrics.memoryBytes > 0 && !metrics.isReady && !waiting.isReady)
  const { items, host, pinned, device } = metrics.memory
  assert.equal(host, sum(items.filter(({ place }) => place === 'host').map(({ count, each }) => count * each)))
  assert.ok(host > metrics.memoryBytes && pinned === 0 && device === 0)
  assert.deepEqual([metrics.cache.hits, metrics.cache.entries], [0, 0])
  assert.match(waiting.prometheus(), /reason="queue_full"} 1\n/)
})

test('the cache counts', async () => {
  const keeping = await Engine.create(modelPath, { device: 'cpu', cacheEntries: 4 })
  for (let i = 0; i < 2; i++) await keeping.classify(await readFile(picture))
  const { hits, misses, joined, evicted, entries, bytes } = keeping.metrics().cache
  assert.deepEqual([hits, misses, joined, evicted, entries], [1, 1, 0, 0, 1])
  assert.ok(bytes > 0)
  await keeping.close()
})

test('an engine that serves is ready and counts', async () => {
  assert.ok(engine.isReady)
  const before = engine.metrics().delivered
  const answers = await Promise.all(pictures.slice(0, 4).map((path) => engine.classify(path)))
  for (const { timing, traceparent } of answers) {
    assertPartsAddUp(timing)
    assert.equal(traceparent, undefined)
  }
  assert.equal(engine.metrics().delivered - before, 4)
})

test('every call takes the options of a request', async () => {
  const options = { priority: 'low', tenant: 'a', traceparent, deadlineMs: 60_000 }
  assert.ok((await engine.embed(picture, options)) instanceof Float32Array)
  assert.ok((await engine.outputs(picture, options)).logits.data instanceof Float32Array)
  assert.equal((await engine.classify(picture, { ...options, topK: 2 })).predictions.length, 2)
  assert.equal((await engine.classify(picture, {})).predictions.length, 5)
})

test('options that mean nothing are named', async () => {
  const requests = [
    [{ priority: 'urgent' }, /priority must be 'high', 'normal' or 'low', found 'urgent'/],
    [{ deadlineMs: -1 }, /deadlineMs/],
    [{ tenent: 'a' }, /no option "tenent"; there are topK, .*tenant/],
    [null, /options are an object/]
  ]
  for (const [options, message] of requests) {
    const error = await failure(engine.classify(picture, options))
    assert.deepEqual([error.code, error.retryable, error.retryAfterMs], ['INVALID_ARGUMENT', false, undefined])
    assert.match(error.message, message)
  }
  assert.match((await failure(engine.embed(picture, { topK: 1 }))).message, /no option "topK"/)
  const engines = [
    [{ window: 'slow' }, /window must be 'latency', 'throughput' or 'adaptive', found 'slow'/],
    [{ batchBuckets: [0] }, /batch_buckets must be from 1 to/],
    [{ batchBuckets: [1.5] }, /batchBuckets must be a whole number/],
    [{ tenantWeights: { a: 0 } }, /weight of tenant "a" must be from 1 to 1000, found 0/],
    [{ encodedBudget: 0 }, /encoded_budget must be from 1 to/],
    [{ decodeBudget: 2 ** 60 }, /decodeBudget must be a whole number/],
    [{ stuckAfterMs: NaN }, /stuckAfterMs/]
  ]
  for (const [options, message] of engines) {
    const error = await failure(Engine.create(modelPath, options))
    assert.equal(error.code, 'INVALID_ARGUMENT')
    assert.match(error.message, message)
  }
})

test('the defaults are those of the library, and can be given back', async () => {
  const { defaults } = Engine
  assert.deepEqual([defaults.window, defaults.maxPixels, defaults.batchBuckets], ['adaptive', 33_000_000, []])
  const again = await Engine.create(modelPath, defaults)
  await again.close()
})

test('models come and go while requests go on', async () => {
  const several = await Engine.create(modelPath)
  await several.load('other', modelPath, { maxBatchSize: 2 })
  assert.deepEqual(several.models, ['default', 'other'])
  assert.deepEqual(several.readiness(), { isReady: true, reason: undefined })
  const { predictions } = await several.classify(picture)
  assert.deepEqual((await several.classify(picture, { model: 'other' })).predictions, predictions)
  const { model, version, delivered, coldPaths, selfTestsFailed } = several.metrics('other')
  assert.deepEqual([model, version, delivered, coldPaths, selfTestsFailed], ['other', 1, 1, 0, 0])
  await several.swap('other', several.model)
  assert.equal(several.metrics('other').version, 2)
  await several.unload('other')
  assert.deepEqual(several.models, ['default'])
  const wrong = [
    several.classify(picture, { model: 'other' }),
    several.swap('other', modelPath),
    several.unload('default'),
    several.unload(3),
    several.load('third', modelPath, { batch: 3 }),
    several.load('default', modelPath)
  ]
  for (const { code } of await Promise.all(wrong.map(failure))) assert.equal(code, 'INVALID_ARGUMENT')
  assert.throws(() => several.metrics('other'), { code: 'INVALID_ARGUMENT' })
  await several.close()
  const { isReady, reason } = several.readiness()
  assert.ok(!isReady && /closed/.test(reason))
})

test('what does not hold is refused before it is taken', async () => {
  assert.equal((await failure(Engine.create(modelPath, { memoryLimit: 1000 }))).code, 'OUT_OF_MEMORY')
  assert.match((await failure(Engine.create(modelPath, { precision: 'f64' }))).message, /precision must be/)
})
