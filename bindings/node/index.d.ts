/** A failure; `code` is stable, `QUEUE_FULL` for example. */
export class VisionError extends Error {
  readonly name: 'VisionError'
  /** Stable name of the kind of failure. */
  readonly code: string
  /** Stable number of the kind of failure. */
  readonly number: number
  /** What the caller can do about it; may be empty. */
  readonly hint: string
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
}

export interface EngineOptions {
  /** `auto`, `cpu` or `cuda:N`. */
  device?: string
  /** Largest batch, at least 1; the model's own limit may lower it. */
  maxBatchSize?: number
  /** How long the first request of a batch may wait for others, in milliseconds. */
  maxQueueDelayMs?: number
  /** Requests accepted and not yet dispatched; one more is refused with `QUEUE_FULL`. */
  queueCapacity?: number
  /** Threads that decode and preprocess; 0 takes one per available CPU. */
  decodeThreads?: number
  /** Threads that one batch may compute on; 0 takes one per available CPU. */
  threads?: number
  /** Direct convolution only: slower, less memory, nearer to exact. */
  precise?: boolean
  /** Path of a file of `vision tune` for this model and CPU; empty goes without. */
  tuning?: string
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
  get model(): Model
  /** The device taken. */
  get device(): string
  /** Largest batch, after the model's own limit. */
  get maxBatchSize(): number
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
