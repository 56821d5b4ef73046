// The public classes. The addon calls back with plain objects; here they become Promises and errors.
'use strict'

const { fileURLToPath } = require('node:url')
const native = require('./native.js')
const { VisionError } = require('./errors.js')

/** Starts native work and gives a Promise of what its callback gets. */
function promised(start) {
  return new Promise((resolve, reject) => {
    start((outcome) => (outcome.error ? reject(new VisionError(outcome.error)) : resolve(outcome)))
  })
}

function invalid(message) {
  const kind = native.errorKinds().find(({ code }) => code === 'INVALID_ARGUMENT')
  return new VisionError({ ...kind, message })
}

/** A misspelt option would be ignored, and its default taken. */
function checkNames(options, known) {
  if (options === null || typeof options !== 'object') throw invalid(`options are an object, found ${typeof options}`)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw invalid(`no option "${name}"; there are ${known.join(', ')}`)
  }
}

const requestOptions = ['signal', 'deadlineMs', 'priority', 'tenant', 'traceparent', 'model']
const classifyOptions = ['topK', 'minScore', ...requestOptions]

/** A path, the bytes of a file, or raw pixels, as the addon takes them. */
function nativeImage(image) {
  if (typeof image === 'string') return { path: image }
  if (image instanceof URL) return { path: fileURLToPath(image) }
  if (image instanceof Uint8Array) return { encoded: image }
  if (image instanceof ArrayBuffer) return { encoded: new Uint8Array(image) }
  if (image?.data instanceof Uint8Array || image?.data instanceof Uint8ClampedArray) {
    const { data, width, height, rowStride } = image
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return { pixels, width, height, channels: image.channels ?? 3, rowStride }
  }
  const found = image === null ? 'null' : (image?.constructor?.name ?? typeof image)
  throw invalid(
    `an image is a path, a file: URL, a Buffer or Uint8Array with the bytes of a file, ` +
      `or { data, width, height, channels }; found ${found}`
  )
}

function nativeInputs(inputs) {
  if (inputs === null || typeof inputs !== 'object') {
    throw invalid('inputs are an object: { name: { data: Float32Array, shape: number[] } }')
  }
  return Object.entries(inputs).map(([name, tensor]) => {
    if (!(tensor?.data instanceof Float32Array) || !Array.isArray(tensor.shape)) {
      throw invalid(`input "${name}" must be { data: Float32Array, shape: number[] }`)
    }
    return { name, data: tensor.data, shape: tensor.shape }
  })
}

function tensorsByName(answer) {
  return Object.fromEntries(answer.outputs.map(({ name, data, shape }) => [name, { data, shape }]))
}

class Model {
  #native

  constructor(key, nativeModel) {
    if (key !== construction) throw invalid('a model is made by `await Model.load(path)`')
    this.#native = nativeModel
  }

  static async load(path) {
    const name = path instanceof URL ? fileURLToPath(path) : path
    if (typeof name !== 'string') throw invalid(`a model is loaded from a path, found ${typeof path}`)
    const { model } = await promised((callback) => native.loadModel(name, callback))
    return new Model(construction, model)
  }

  get name() {
    return this.#native.name
  }

  get labels() {
    return this.#native.labels
  }

  static native(model) {
    return model.#native
  }
}

/** Known only here, so that classes whose making is asynchronous have no public constructor. */
const construction = Symbol('construction')
const nativeOf = Model.native
delete Model.native

/** A model, or the one at a path. */
async function modelOf(model) {
  return model instanceof Model ? model : Model.load(model)
}

/** A name must be text; the addon would say so in words of its own. */
function checkName(name) {
  if (typeof name !== 'string') throw invalid(`the name of a model is a string, found ${typeof name}`)
}

class Engine {
  #native
  #models

  constructor(key, nativeEngine, model) {
    if (key !== construction) throw invalid('an engine is made by `await Engine.create(model, options)`')
    this.#native = nativeEngine
    this.#models = new Map([['default', model]])
  }

  static get defaults() {
    return native.engineDefaults()
  }

  static async create(model, options = {}) {
    const loaded = await modelOf(model)
    checkNames(options, Object.keys(native.engineDefaults()))
    const { engine } = await promised((callback) => native.createEngine(nativeOf(loaded), options, callback))
    return new Engine(construction, engine, loaded)
  }

  get model() {
    return this.#models.get('default')
  }

  get device() {
    return this.#native.device
  }

  get maxBatchSize() {
    return this.#native.maxBatchSize
  }

  describe() {
    return this.#native.describe()
  }

  get models() {
    return this.#native.models
  }

  async load(name, model, options = {}) {
    checkName(name)
    checkNames(options, Object.keys(native.engineDefaults()))
    const loaded = await modelOf(model)
    await promised((callback) => this.#native.load(name, nativeOf(loaded), options, callback))
    this.#models.set(name, loaded)
  }

  async swap(name, model) {
    checkName(name)
    const loaded = await modelOf(model)
    await promised((callback) => this.#native.swap(name, nativeOf(loaded), callback))
    this.#models.set(name, loaded)
  }

  async unload(name) {
    checkName(name)
    await promised((callback) => this.#native.unload(name, callback))
    this.#models.delete(name)
  }

  get isReady() {
    return this.readiness().isReady
  }

  readiness() {
    const reason = this.#native.unreadyReason() ?? undefined
    return { isReady: reason === undefined, reason }
  }

  metrics(model = 'default') {
    checkName(model)
    const { metrics, error } = this.#native.metrics(model)
    if (error) throw new VisionError(error)
    return metrics
  }

  prometheus() {
    return this.#native.prometheus()
  }

  /** Submits through `start`, and cancels when the signal says so. */
  async #request(task, options = {}, start) {
    checkNames(options, task === 'classify' ? classifyOptions : requestOptions)
    const { signal, ...rest } = options
    signal?.throwIfAborted()
    let pending
    const abort = () => pending?.cancel()
    try {
      return await promised((callback) => {
        pending = start({ task, ...rest }, callback)
        signal?.addEventListener('abort', abort, { once: true })
      })
    } catch (error) {
      // A caller that aborted expects its own reason, as from fetch().
      if (signal?.aborted && error.code === 'CANCELLED') throw signal.reason
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #image(task, image, options) {
    return this.#request(task, options, (request, callback) =>
      this.#native.submit(nativeImage(image), request, callback)
    )
  }

  async classify(image, options) {
    const { predictions, batchSize, timing, traceparent } = await this.#image('classify', image, options)
    const { label, score } = predictions[0] ?? {}
    return { predictions, label, score, batchSize, timing, traceparent }
  }

  async embed(image, options) {
    return (await this.#image('embed', image, options)).outputs[0].data
  }

  async outputs(image, options) {
    return tensorsByName(await this.#image('run', image, options))
  }

  async run(inputs, options) {
    const answer = await this.#request('run', options, (request, callback) =>
      this.#native.submitTensors(nativeInputs(inputs), request, callback)
    )
    return tensorsByName(answer)
  }

  close() {
    return new Promise((resolve) => this.#native.close(() => resolve()))
  }

  [Symbol.asyncDispose ?? Symbol('no async disposal')]() {
    return this.close()
  }
}

module.exports = { Engine, Model, VisionError, errorKinds: native.errorKinds }
