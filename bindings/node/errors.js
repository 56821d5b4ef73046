// The one error class, and how the addon's error objects become it.
'use strict'

class VisionError extends Error {
  constructor({ code, number, message, hint, retryable = false, retryAfterMs }) {
    super(message)
    this.name = 'VisionError'
    this.code = code
    this.number = number
    this.hint = hint
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs ?? undefined
  }
}

module.exports = { VisionError }
