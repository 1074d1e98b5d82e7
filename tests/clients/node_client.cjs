// Posts calls with a stock library for Node. What to post comes as JSON on standard input.
const { createRequire } = require('node:module')
const { readFileSync } = require('node:fs')

const installed = createRequire(`${process.cwd()}/`)

async function segment({ host, key, calls, options }, errors) {
  const { Analytics } = installed('@segment/analytics-node')
  const analytics = new Analytics({ writeKey: key, host, ...options })
  analytics.on('error', (error) => errors.push(String(error.reason ?? error.code)))
  for (const { type, ...call } of calls) analytics[type](call)
  await analytics.closeAndFlush({ timeout: 30_000 })
}

async function rudder({ host, key, calls, options }, errors) {
  const Analytics = installed('@rudderstack/rudder-sdk-node')
  const analytics = new Analytics(key, {
    dataPlaneUrl: host,
    logLevel: 'none',
    errorHandler: (error) => errors.push(String(error)),
    ...options,
  })
  for (const { type, ...call } of calls) analytics[type](call)
  await analytics.flush()
}

async function main() {
  const job = JSON.parse(readFileSync(0, 'utf8'))
  for (const call of job.calls) if (call.timestamp) call.timestamp = new Date(call.timestamp)
  const errors = []
  const post = { '@segment/analytics-node': segment, '@rudderstack/rudder-sdk-node': rudder }
  await post[job.library](job, errors)
  console.log(JSON.stringify({ errors }))
  process.exit(0)
}

main()
