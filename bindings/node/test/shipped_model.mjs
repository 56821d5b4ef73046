// The model that ships with the project, its pictures and the committed answers.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const root = process.env.LIBVISION_ROOT
if (!root) throw new Error('LIBVISION_ROOT must name the checkout')

export const modelPath = join(root, 'examples/model')
const folder = join(modelPath, 'pictures')
export const pictures = readdirSync(folder).sort().map((name) => join(folder, name))
export const expected = JSON.parse(readFileSync(join(modelPath, 'expected.json'), 'utf8'))
