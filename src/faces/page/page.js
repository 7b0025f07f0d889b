// The page of a version. It knows what its address says, and asks the gateway for the rest.
'use strict'

const element = id => document.getElementById(id)
const here = location.pathname.replace(/\/+$/, '')
// /gh/sitefit:1.0.0 or /gh/sitefit/1.0.0
const named = /^\/gh\/([^:/]+)[:/]([^/]+)$/.exec(here)
let key = ''

function say(text, bad) {
  const state = element('state')
  state.textContent = text
  state.toggleAttribute('data-bad', Boolean(bad))
}

async function ask(address, options = {}) {
  const headers = { Accept: 'application/json', ...options.headers }
  if (key) headers.Authorization = `Bearer ${key}`
  const response = await fetch(address, { ...options, headers })
  const body = await response.json()
  return { response, body }
}

function refused({ response, body }) {
  if (response.status === 401) element('access').open = true
  say(body.detail || `status ${response.status}`, true)
}

function make(tag, text, more = {}) {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = text
  return Object.assign(made, more)
}

// Follows a reference inside the schema's own definitions.
const resolved = (schema, root) => schema.$ref ? { ...root.$defs?.[schema.$ref.split('/').pop()], ...schema } : schema

function field(name, schema, example) {
  const box = make('div', undefined, { className: 'field' })
  const id = `in-${name}`
  const unit = schema['x-unit'] ? ` (${schema['x-unit']})` : ''
  box.append(make('label', `${schema.title || name}${unit}`, { htmlFor: id }))
  const preset = schema.default ?? example
  let input
  if (schema.type === 'boolean') {
    input = make('input', undefined, { type: 'checkbox', checked: preset === true })
  } else if (schema.type === 'number' || schema.type === 'integer') {
    input = make('input', undefined, { type: 'number', step: schema.type === 'integer' ? '1' : 'any' })
    if (schema.minimum !== undefined) input.min = schema.minimum
    if (schema.maximum !== undefined) input.max = schema.maximum
    if (preset !== undefined) input.value = preset
  } else if (schema.type === 'string') {
    input = make('input', undefined, { type: 'text', value: preset ?? '' })
  } else {
    input = make('textarea', preset === undefined ? '' : JSON.stringify(preset), { rows: 2, spellcheck: false })
  }
  input.id = id
  input.name = name
  input.dataset.kind = schema.type || 'object'
  const help = make('small', schema.description || '', { id: `${id}-help` })
  input.setAttribute('aria-describedby', `${id}-help ${id}-wrong`)
  box.append(input, help, make('small', '', { className: 'wrong', id: `${id}-wrong` }))
  return box
}

function value(input) {
  if (input.type === 'checkbox') return input.checked
  if (input.value === '') return undefined
  if (input.type === 'number') return Number(input.value)
  if (input.dataset.kind === 'string') return input.value
  return JSON.parse(input.value)
}

function build(description) {
  const form = element('form')
  const root = description.inputs
  const properties = Object.entries(root.properties || {}).map(([name, schema]) => [name, resolved(schema, root)])
  properties.sort(([, a], [, b]) => (a['x-order'] ?? 0) - (b['x-order'] ?? 0))
  const example = description.examples[0]?.inputs ?? {}
  const groups = new Map()
  for (const [name, schema] of properties) {
    const group = schema['x-group'] || ''
    if (!groups.has(group)) {
      const box = make('fieldset')
      if (group) box.append(make('legend', group))
      groups.set(group, box)
      form.append(box)
    }
    groups.get(group).append(field(name, schema, example[name]))
  }
  form.append(make('button', 'Solve', { type: 'submit' }))
  form.hidden = false
  form.onsubmit = event => {
    event.preventDefault()
    solve(description, form).catch(error => say(String(error), true))
  }
}

async function solve(description, form) {
  const inputs = {}
  for (const wrong of form.querySelectorAll('.wrong')) wrong.textContent = ''
  for (const input of form.querySelectorAll('input, textarea')) {
    try {
      const given = value(input)
      if (given !== undefined) inputs[input.name] = given
    } catch {
      element(`${input.id}-wrong`).textContent = 'This is not JSON.'
      return say('An input cannot be read.', true)
    }
  }
  say('Solving …')
  element('result').hidden = true
  const text = JSON.stringify({ inputs })
  const quoted = text.replaceAll("'", "'\\''")
  const secret = key ? ' -H "Authorization: Bearer $KEY"' : ''
  element('curl').textContent = `curl${secret} '${location.origin}${description.solve}?lane=preview' -d '${quoted}'`
  element('calls').hidden = false
  const answer = await ask(`${description.solve}?lane=preview`, { method: 'POST', body: text })
  if (!answer.response.ok) {
    for (const violation of answer.body.violations ?? []) {
      const wrong = element(`in-${violation.pointer.split('/')[1]}-wrong`)
      if (wrong) wrong.textContent = violation.message
    }
    return refused(answer)
  }
  show(description, answer.body)
}

function show(description, body) {
  const rows = element('rows')
  rows.replaceChildren()
  const properties = description.outputs.properties || {}
  const order = name => properties[name]?.['x-order'] ?? 0
  for (const name of Object.keys(body.outputs).sort((a, b) => order(a) - order(b))) {
    const schema = properties[name] ?? {}
    const row = make('tr')
    const output = body.outputs[name]
    const shown = typeof output === 'object' ? JSON.stringify(output) : String(output)
    const unit = schema['x-unit'] && typeof output === 'number' ? ` ${schema['x-unit']}` : ''
    row.append(make('th', schema.title || name, { scope: 'row' }), make('td', shown + unit, { id: `out-${name}` }))
    rows.append(row)
  }
  const { cache, timings } = body.receipt
  element('timing').textContent = `${timings.total_ms} ms, cache: ${cache}`
  element('result').hidden = false
  say(body.warnings.length ? body.warnings.join(' · ') : 'Solved.')
}

async function list() {
  element('title').textContent = 'Definitions'
  const answer = await ask('/')
  if (!answer.response.ok) return refused(answer)
  say('')
  const items = answer.body.map(({ name, uri, description }) => {
    const item = make('li')
    item.append(make('a', description || name, { href: uri }), ` ${uri}`)
    return item
  })
  element('definitions').replaceChildren(...items)
  element('definitions').hidden = false
}

async function describe() {
  const [, definition, version] = named
  element('title').textContent = `${definition} ${version}`
  const answer = await ask(`/gh/${definition}:${version}`)
  if (!answer.response.ok) return refused(answer)
  const description = answer.body
  document.title = element('title').textContent = `${description.title || definition} ${description.version}`
  element('about').textContent = description.description || ''
  say(description.status === 'ready' ? '' : `This version is ${description.status}.`, description.status !== 'ready')
  element('form').replaceChildren()
  build(description)
}

const begin = () => (named ? describe() : list()).catch(error => say(String(error), true))

element('use').addEventListener('click', () => {
  key = element('key').value.trim()
  begin()
})
begin()
