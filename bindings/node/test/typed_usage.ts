// Compiled, never run: the types say what the package does.
import { Engine, Model, VisionError, errorKinds, type Classification, type Metrics, type Tensor } from 'libvision'

export async function usage(signal: AbortSignal): Promise<number> {
  const model: Model = await Model.load(new URL('file:///model'))
  const engine: Engine = await Engine.create(model, { device: 'cpu', maxBatchSize: 4, maxQueueDelayMs: 0.5 })
  const answer: Classification = await engine.classify(Buffer.alloc(3), { topK: 3, minScore: 0.1, signal })
  const raw = { data: new Uint8ClampedArray(4), width: 1, height: 1, channels: 4 as const }
  const embedding: Float32Array = await engine.embed(raw, { deadlineMs: 100 })
  const outputs: Record<string, Tensor> = await engine.run({ input: { data: embedding, shape: [1, 256] } })
  const served: Classification = await engine.classify('a.jpg', {
    priority: 'high',
    tenant: 'a',
    traceparent: answer.traceparent
  })
  await engine.load('second', model, { precision: 'f16', cacheEntries: 10 })
  const metrics: Metrics = engine.metrics(engine.models[1])
  const { isReady, reason }: { isReady: boolean; reason: string | undefined } = engine.readiness()
  if (!isReady) throw new Error(reason)
  const refused: number = metrics.refused.queue_full + metrics.totalSeconds.count + served.batchSize
  const text: string = engine.isReady ? engine.prometheus() : `${refused}`
  const other: Engine = await Engine.create('model', { window: 'adaptive', tenantWeights: { a: 2 }, batchBuckets: [1, 8] })
  try {
    await other.outputs(text)
  } catch (error) {
    if (error instanceof VisionError && error.retryable) return error.retryAfterMs ?? 0
    if (error instanceof VisionError && error.code === errorKinds()[0].code) return error.number
  }
  await engine.close()
  // @ts-expect-error: an engine is made by Engine.create
  new Engine()
  // @ts-expect-error: no such policy
  await Engine.create(model, { window: 'slow' })
  // @ts-expect-error: no such priority
  await engine.embed(raw, { priority: 'urgent' })
  // @ts-expect-error: not an image
  await engine.classify(42)
  return (answer.score ?? 0) + answer.timing.total + outputs['logits'].data[0] + Engine.defaults.queueCapacity
}
