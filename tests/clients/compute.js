// Drives the compute-rhino3d package of npm, unchanged: calls from standard input, what it gives on standard output.
'use strict'
const RhinoCompute = require(`${process.env.NODE_MODULES}/compute-rhino3d`)

async function main() {
  let text = ''
  for await (const part of process.stdin) text += part
  const { base, key, calls } = JSON.parse(text)
  RhinoCompute.url = `${base}/`
  RhinoCompute.apiKey = key
  const answers = []
  for (const { pointer, inputs } of calls) {
    const trees = inputs.map(([name, path, items]) => {
      const tree = new RhinoCompute.Grasshopper.DataTree(name)
      tree.append(path, items)
      return tree
    })
    const response = await RhinoCompute.Grasshopper.evaluateDefinition(pointer, trees, false)
    const retryAfter = response.headers.get('retry-after')
    answers.push({ status: response.status, retryAfter, body: await response.json() })
  }
  process.stdout.write(JSON.stringify(answers))
}

main().catch(error => { console.error(error); process.exit(1) })
