-- What wrk sends, by the words after `--`, and what it says at the end: one line of JSON.
function init(words)
   for _, word in ipairs(words) do
      if word == "post" then
         wrk.method = "POST"
         wrk.body = string.rep("x", 4096)
         wrk.headers["Content-Type"] = "application/octet-stream"
      elseif word == "new" then -- heads that never came before
         local count = 0
         request = function()
            count = count + 1
            return wrk.format(nil, wrk.path .. "?n=" .. count)
         end
      elseif word == "direct" then
         wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCHMARK_TOKEN")
      end
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
      summary.requests,
      errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50),
      latency:percentile(99)
   ))
end
