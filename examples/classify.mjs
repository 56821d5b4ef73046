// Says what is on pictures: `classify [--embed | --run] MODEL PICTURE...`, one line each.
//
// The same program exists in Rust, C, C++ and Python beside this one; all print the same lines.
import { Engine } from 'libvision'

// Requests under way at a time, so that they fill batches and never the queue.
const WINDOW = 64

function firstValues(data) {
  const shown = Array.from(data.subarray(0, 4), (value) => value.toFixed(6))
  return ` | ${data.length}: ${shown.join(' ')}`
}

const tasks = {
  '--classify': async (engine, picture) =>
    (await engine.classify(picture, { topK: 5 })).predictions
      .map(({ label, score }) => ` | ${label} ${score.toFixed(6)}`)
      .join(''),
  '--embed': async (engine, picture) => firstValues(await engine.embed(picture)),
  '--run': async (engine, picture) => firstValues(Object.values(await engine.outputs(picture))[0].data)
}

async function main() {
  const words = process.argv.slice(2)
  const task = tasks[words[0]?.startsWith('--') ? words.shift() : '--classify']
  const [model, ...pictures] = words
  if (!task || pictures.length === 0) {
    console.error('usage: classify [--embed | --run] MODEL PICTURE...')
    return 2
  }
  let engine
  try {
    engine = await Engine.create(model)
  } catch (error) {
    console.error(`${error.code}: ${error.message}`)
    return 2
  }
  let status = 0
  for (let start = 0; start < pictures.length; start += WINDOW) {
    const window = pictures.slice(start, start + WINDOW)
    const answers = await Promise.allSettled(window.map((picture) => task(engine, picture)))
    answers.forEach(({ value, reason }, index) => {
      if (reason) status = 1
      console.log(window[index] + (reason ? ` | error ${reason.code}: ${reason.message}` : value))
    })
  }
  await engine.close()
  return status
}

process.exitCode = await main()
