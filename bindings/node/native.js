// Finds the addon that was built for this platform.
'use strict'

const { platform, arch } = process
const name = `libvision.${platform}-${arch}${platform === 'linux' ? '-gnu' : ''}.node`

try {
  module.exports = require(`./${name}`)
} catch (cause) {
  const why = cause.code === 'MODULE_NOT_FOUND' ? `this package has no ${name}` : cause.message
  throw new Error(`libvision does not run on ${platform} ${arch}: ${why}`, { cause })
}
