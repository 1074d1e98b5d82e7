// A page in jsdom: a DOM in Node that keeps a browser's rules for requests to other origins, but
// no browser. What to play comes as JSON on standard input; it stays open until it is ended.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')

const installed = createRequire(`${process.cwd()}/`)
const { JSDOM, VirtualConsole } = installed('jsdom')

const { window } = new JSDOM('<!doctype html><title>Shop</title>', {
  url: 'http://shop.example/basket?from=mail',
  runScripts: 'outside-only',
  pretendToBeVisual: true,
  virtualConsole: new VirtualConsole(),
})
window.leave = () => window.dispatchEvent(new window.Event('pagehide'))
const library = join(process.cwd(), 'node_modules/@segment/analytics-next/dist/umd/index.js')
window.eval(readFileSync(library, 'utf8'))
window.eval(readFileSync(join(__dirname, 'browser_scenario.js'), 'utf8'))
window.play(JSON.parse(readFileSync(0, 'utf8')))
setTimeout(() => process.exit(), 60_000)
