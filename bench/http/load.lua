-- What wrk sends: the paths of a file one after another, creates with a fresh sku each time, or orders with a fresh key
-- of one piece of one of the first GOODS goods, chosen at random.
-- Arguments: "read" FILE FIRST | "create" PATH PREFIX BODY TOKEN | "order" PREFIX GOODS TOKEN. The result leaves as one
-- JSON line.

function init(args)
  if args[1] == "read" then
    local requests, position = {}, tonumber(args[3])
    for path in io.lines(args[2]) do requests[#requests + 1] = wrk.format("GET", path) end
    function request()
      position = position % #requests + 1
      return requests[position]
    end
  elseif args[1] == "order" then
    local prefix, goods, serial = args[2], tonumber(args[3]), 0
    local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. args[4] }
    math.randomseed(1)
    function request()
      serial = serial + 1
      headers["Idempotency-Key"] = prefix .. serial
      local body = string.format('{"items": [{"goods_id": %d, "quantity": 1}]}', math.random(goods))
      return wrk.format("POST", "/shopdemo/orders", headers, body)
    end
  else
    local path, prefix, body, serial = args[2], args[3], args[4], 0
    local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. args[5] }
    local head, tail = body:match("^(.-)SKU(.*)$")
    function request()
      serial = serial + 1
      return wrk.format("POST", path, headers, head .. prefix .. serial .. tail)
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "refused": %d, "broken": %d, "p50": %.1f, "p99": %.1f}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
