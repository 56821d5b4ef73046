/** A failure; `code` is stable, `QUEUE_FULL` for example. */
export class VisionError extends Error {
  readonly name: 'VisionError'
  /** Stable name of the kind of failure. */
  readonly code: string
  /** Stable number of the kind of failure. */
  readonly number: number
  /** What the caller can do about it; may be empty. */
  readonly hint: string
  /** Whether the same call may succeed another time though nothing is changed. */
  readonly retryable: boolean
  /** Milliseconds after which to try again, where that is known. */
  readonly retryAfterMs: number | undefined
}

/** Every kind of failure, with its stable name and number. */
export function errorKinds(): { code: string; number: number; hint: string }[]

/** Raw 8-bit pixels, row by row; alpha is dropped. */
export interface RawImage {
  data: Uint8Array | Uint8ClampedArray
  /** Columns. */
  width: number
  /** Rows. */
  height: number
  /** 3 for RGB (the default), 4 for RGBA, as from a canvas. */
  channels?: 3 | 4
  /** Bytes from one row to the next; `width * channels` if not given. */
  rowStride?: number
}

/** A path, a `file:` URL, the bytes of a JPEG, PNG, WebP, GIF or BMP file, or raw pixels. Bytes are copied. */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | RawImage

/** Row-major numbers with the sizes of their axes. */
export interface Tensor {
  data: Float32Array
  shape: number[]
}

export interface RequestOptions {
  /** Cancels the request; the Promise then rejects with the signal's reason. */
  signal?: AbortSignal
  /** Milliseconds from acceptance within which the answer is of use. */
  deadlineMs?: number
  /** Urgent requests go first; who has waited for long rises. `normal` if not given. */
  priority?: 'high' | 'normal' | 'low'
  /** Whose request it is; tenants share the engine by their weights, whoever sends how much. */
  tenant?: string
  /** The header of W3C Trace Context, carried to the answer; a malformed one is ignored. */
  traceparent?: string
  /** Which of the engine's models it is for; the one that the engine was made with if not given. */
  model?: string
}

export interface ClassifyOptions extends RequestOptions {
  /** At most this many labels; 5 if not given. */
  topK?: number
  /** No label below this score. */
  minScore?: number
}

export interface Prediction {
  label: string
  /** Between 0 and 1 for softmax and sigmoid heads. */
  score: number
  classIndex: number
}

/** Milliseconds; the parts add up to `total`. */
export interface Timing {
  queue: number
  decode: number
  preprocess: number
  batchWait: number
  compute: number
  postprocess: number
  total: number
}

export interface Classification {
  /** Best first. */
  predictions: Prediction[]
  /** The best label; undefined if none reaches `minScore`. */
  label: string | undefined
  /** Its score. */
  score: number | undefined
  /** Images that ran in the same batch, this one included. */
  batchSize: number
  timing: Timing
  /** As the request had it; undefined if it had none or a malformed one. */
  traceparent: string | undefined
}

export interface EngineOptions {
  /** `auto`, `cpu` or `cuda:N`. */
  device?: string
  /** Largest batch, at least 1; the model's own limit may lower it. */
  maxBatchSize?: number
  /** How long the first request of a batch may wait for others, in milliseconds. */
  maxQueueDelayMs?: number
  /** Whether it does: never, always, or as long as that is measured to pay. */
  window?: 'latency' | 'throughput' | 'adaptive'
  /** Sizes that batches are filled up to; empty leaves them to the device. */
  batchBuckets?: number[]
  /** Requests accepted and not yet dispatched; one more is refused with `QUEUE_FULL`. */
  queueCapacity?: number
  /** Bytes of files and tensors accepted and not yet decoded; one more is refused with `QUEUE_FULL`. */
  encodedBudget?: number
  /** Bytes that all decoders may take at one time. */
  decodeBudget?: number
  /** Shares of tenants beside each other, 1 to 1000; 1 for those that are not named. */
  tenantWeights?: Record<string, number>
  /** Results in order of acceptance; errors that end a request early are not held back. */
  preserveOrder?: boolean
  /** Milliseconds after which a request rises to the next priority. */
  ageingMs?: number
  /** Milliseconds after which a batch that does not end is answered with `BACKEND_STUCK`. */
  stuckAfterMs?: number
  /** Milliseconds that requests wait while the device is lost, before `DEVICE_LOST`. */
  outagePatienceMs?: number
  /** Milliseconds that closing waits for what was accepted. */
  closeTimeoutMs?: number
  /** Threads that decode and preprocess; 0 takes one per available CPU. */
  decodeThreads?: number
  /** Threads that one batch may compute on; 0 takes one per available CPU. */
  threads?: number
  /** Direct convolution only: slower, less memory, nearer to exact. */
  precise?: boolean
  /** Path of a file of `vision tune` for this model and CPU; empty goes without. */
  tuning?: string
  /** Path of a file to record in for `vision replay`; empty goes without. */
  trace?: string
  /** Element type that the network is computed in; results are f32 in any case. */
  precision?: 'auto' | 'f32' | 'f16' | 'bf16'
  /** Whether every worker first runs images whose answers are known; without, an engine is never ready. */
  prove?: boolean
  /** Milliseconds after which each worker does so again; 0 for never. */
  selfTestEveryMs?: number
  /** Bytes of this machine's memory that all models may come to in the worst case; 0 for no limit. */
  memoryLimit?: number
  /** The same for the memory of each device. */
  deviceMemoryLimit?: number
  /** Batches that each device works on at one time; 0 takes as many as keep it busy. */
  instances?: number
  /** Results that are kept for pictures that come again, byte for byte; 0 keeps none. */
  cacheEntries?: number
  /** Bytes of such results. */
  cacheBytes?: number
  /** Largest width times height of a picture. */
  maxPixels?: number
  /** Largest width, and height, of a picture. */
  maxSide?: number
  /** Largest file of a picture, in bytes. */
  maxEncodedBytes?: number
  /** Most scans of a progressive JPEG. */
  maxProgressiveScans?: number
}

/** How many values fell into each bucket. */
export interface Histogram {
  /** Upper ends of the buckets, ascending. */
  ends: number[]
  /** Values above the end before and not above this one; what is above the last is in `count` alone. */
  buckets: number[]
  /** Of all values. */
  sum: number
  /** Of all values. */
  count: number
}

/** Why a request was refused, or answered without a result. */
export type Refusal =
  | 'queue_full'
  | 'bytes_full'
  | 'too_costly'
  | 'deadline_infeasible'
  | 'closed'
  | 'cancelled'
  | 'deadline_exceeded'
  | 'backend_stuck'
  | 'backend_lost'

/** A model of an engine at one moment. arrived = delivered + the sum of refused + inFlight, always. */
/** What the cache of results did; all 0 without one. */
export interface CacheCounters {
  /** Requests answered from it. */
  hits: number
  /** Requests that were not. */
  misses: number
  /** Of those, that waited for the result of another request for the same picture. */
  joined: number
  /** Results dropped for newer ones. */
  evicted: number
  /** Results in it. */
  entries: number
  /** Bytes of these. */
  bytes: number
}

/** Memory of one kind. */
export interface MemoryItem {
  /** What it is for. */
  what: string
  /** Where it lies: 'host', 'pinned', or the name of a device. */
  place: string
  /** How many there are. */
  count: number
  /** Bytes of one. */
  each: number
}

/** The most memory that a model in an engine comes to, in bytes, budgets included. */
export interface MemoryPlan {
  /** By what it is for and where it lies. */
  items: MemoryItem[]
  /** This machine's memory that is not pinned. */
  host: number
  /** Page-locked memory. */
  pinned: number
  /** In the memory of all devices. */
  device: number
}

export interface Metrics {
  /** The model's name in the engine. */
  model: string
  /** Counts the models that had this name, from 1; a new one starts counting anew. */
  version: number
  /** Requests that came. */
  arrived: number
  /** Of those, accepted. */
  accepted: number
  /** Accepted and answered with a result or an error of the request's own, such as a corrupt picture. */
  delivered: number
  refused: Record<Refusal, number>
  batches: number
  /** Images in them. */
  images: number
  /** Images that filled batches up to a bucket. */
  paddingImages: number
  /** Batches split for want of memory. */
  batchSplits: number
  /** Workers given up because a batch did not end. */
  workersStuck: number
  workersLost: number
  workersRebuilt: number
  selfTests: number
  /** Of those, failed. */
  selfTestsFailed: number
  /** How often memory was taken, or something compiled or captured, for a run: 0, unless a worker was replaced. */
  coldPaths: number
  /** Accepted and not yet given to a worker. */
  queued: number
  /** Of those, without a decoder. */
  waiting: number
  /** Accepted and not yet answered. */
  inFlight: number
  /** Bytes of files accepted and not yet decoded. */
  encodedBytes: number
  /** Bytes that decoders take. */
  decodeBytes: number
  /** Bytes taken at the start: weights, arenas, batches, outputs. */
  memoryBytes: number
  isReady: boolean
  cache: CacheCounters
  memory: MemoryPlan
  /** Of requests with a result, as are the others: waiting for a decode thread. */
  queueSeconds: Histogram
  decodeSeconds: Histogram
  preprocessSeconds: Histogram
  batchWaitSeconds: Histogram
  computeSeconds: Histogram
  postprocessSeconds: Histogram
  /** From acceptance to the answer. */
  totalSeconds: Histogram
  /** Images of the batch that each request was in. */
  batchSizeImages: Histogram
}

/** A loaded model, tied to no device. */
export class Model {
  private constructor()
  /** Loads an .onnx file, a .safetensors file or a model directory, away from the event loop. */
  static load(path: string | URL): Promise<Model>
  /** Name from the configuration, or that of the file. */
  get name(): string
  /** One per class; empty if the files name none. */
  get labels(): string[]
}

/** One model on one device, behind a queue that batches. */
export class Engine {
  private constructor()
  /** The options an engine has if none are given. */
  static get defaults(): Required<EngineOptions>
  /** Prepares the model, takes all memory and starts the threads, away from the event loop. */
  static create(model: Model | string | URL, options?: EngineOptions): Promise<Engine>
  /** The model that requests are for if they name none. */
  get model(): Model
  /** The device taken. */
  get device(): string
  /** Largest batch, after the model's own limit. */
  get maxBatchSize(): number
  /** Names of the loaded models, `default` first. */
  get models(): string[]
  /** Loads another model beside the first and proves it, while requests go on. */
  load(name: string, model: Model | string | URL, options?: EngineOptions): Promise<void>
  /** Hands all later requests to a new version; resolves when the old one has answered its own. */
  swap(name: string, model: Model | string | URL): Promise<void>
  /** Answers what a model has accepted, and gives its memory back. */
  unload(name: string): Promise<void>
  /** Whether requests should be sent here. */
  get isReady(): boolean
  /** The same, and why not. */
  readiness(): { isReady: boolean; reason: string | undefined }
  /** Everything counted and measured so far of a model; of `default` if none is named. */
  metrics(model?: string): Metrics
  /** The same of all models as text that Prometheus reads. */
  prometheus(): string
  /** Device, options, plan and memory, for people. */
  describe(): string
  /** Labels with scores. */
  classify(image: ImageInput, options?: ClassifyOptions): Promise<Classification>
  /** The pooled feature before the classifier. */
  embed(image: ImageInput, options?: RequestOptions): Promise<Float32Array>
  /** Every output of the model for a picture, without softmax. */
  outputs(image: ImageInput, options?: RequestOptions): Promise<Record<string, Tensor>>
  /** Every output of the model for input tensors that are preprocessed already. */
  run(inputs: Record<string, Tensor>, options?: RequestOptions): Promise<Record<string, Tensor>>
  /** Accepts nothing more, answers what was accepted, then stops. */
  close(): Promise<void>
}
