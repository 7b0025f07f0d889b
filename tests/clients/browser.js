// A browser without a window: opens a page for the Node AppServer, then our own page, and says what it saw.
'use strict'
const fs = require('node:fs')
const http = require('node:http')
const { chromium } = require(`${process.env.NODE_MODULES}/playwright-core`)

async function main() {
  const [, , chrome, base, key] = process.argv
  // The page's own server: another origin than the gateway's.
  const page = fs.readFileSync(`${__dirname}/page.html`)
  const site = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(page))
  await new Promise(ready => site.listen(0, '127.0.0.1', ready))
  const browser = await chromium.launch({ executablePath: chrome, args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server'] })
  try {
    const tab = await browser.newPage()
    const query = new URLSearchParams({ server: base, key })
    await tab.goto(`http://127.0.0.1:${site.address().port}/?${query}`)
    await tab.waitForFunction(() => document.getElementById('out').textContent !== '', { timeout: 60000 })
    const theirs = await tab.textContent('#out')

    const faults = []
    const ours = await browser.newPage()
    ours.on('console', message => { if (message.type() === 'error') faults.push(message.text()) })
    ours.on('pageerror', error => faults.push(String(error)))
    ours.on('request', request => { if (!request.url().startsWith(base)) faults.push(`loads ${request.url()}`) })
    await ours.goto(`${base}/view/sitefit.gh`)
    await ours.waitForFunction(() => document.getElementById('state').dataset.bad !== undefined, { timeout: 60000 })
    const refused = await ours.textContent('#state')
    faults.length = 0
    await ours.fill('#key', key)
    await ours.click('#use')
    await ours.fill('#in-site_width', '30', { timeout: 60000 })
    await ours.fill('#in-site_depth', '40')
    await ours.click('button[type=submit]')
    await ours.waitForSelector('#out-gfa', { timeout: 60000 })
    const gfa = await ours.textContent('#out-gfa')
    const title = await ours.textContent('#title')
    await ours.fill('#in-site_width', '1')
    // The browser's own check would keep the form back; the gateway's word is wanted.
    await ours.evaluate(() => { document.getElementById('form').noValidate = true })
    await ours.click('button[type=submit]')
    await ours.waitForFunction(() => document.getElementById('in-site_width-wrong').textContent !== '', { timeout: 60000 })
    const wrong = await ours.textContent('#in-site_width-wrong')
    const about = faults.filter(fault => !fault.includes('status of 422') && !fault.includes('favicon'))
    process.stdout.write(JSON.stringify({ theirs, refused, gfa, title, wrong, faults: about }))
  } finally {
    await browser.close()
    site.close()
  }
}

main().catch(error => { console.error(error); process.exit(1) })
