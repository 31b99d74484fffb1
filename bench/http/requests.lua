-- What append.lua and newest.lua share: `wrk ... -- FILE`, a file with a session's id a line; each request is for the
-- next one, so that all get the same and no two that are under way are for one session. Ends with a line of JSON.
local common = {}

function common.prepare(arguments, make)
  local requests, at = {}, 0
  for id in io.lines(arguments[1]) do
    requests[#requests + 1] = make("/v1/sessions/" .. id .. "/messages")
  end
  return function()
    at = at % #requests + 1
    return requests[at]
  end
end

function common.done(summary, latency)
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
      summary.errors.timeout))
end

return common
