import libvision from './index.js'

export const { Engine, Model, VisionError, errorKinds } = libvision
export default libvision
