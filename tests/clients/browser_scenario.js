// What a page does with the browser library; `job` says where to post, as whom, and what.
window.play = async (job) => {
  const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load(
    {
      writeKey: job.key,
      cdnSettings: {
        integrations: { 'Segment.io': { apiKey: job.key } },
        metrics: { flushTimer: 100 },
      },
    },
    { integrations: { 'Segment.io': { apiHost: job.host, protocol: 'http', ...job.settings } } },
  )
  analytics.setAnonymousId(job.device)
  for (const [call, ...given] of job.calls) await analytics[call](...given)
  if (job.leaves) window.leave()
}
