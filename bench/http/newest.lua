-- A session's last 20 messages.
package.path = debug.getinfo(1).source:sub(2):match("^(.*)/[^/]*$") .. "/?.lua;" .. package.path
local common = require("requests")

function init(arguments)
  request = common.prepare(arguments, function(path)
    return wrk.format("GET", path .. "?order=desc&limit=20")
  end)
end

done = common.done
