-- One message of 200 bytes, answered when it is durable.
package.path = debug.getinfo(1).source:sub(2):match("^(.*)/[^/]*$") .. "/?.lua;" .. package.path
local common = require("requests")

local opening, ending = '{"role":"user","content":"', '"}'
local body = opening .. string.rep("x", 200 - #opening - #ending) .. ending

function init(arguments)
  request = common.prepare(arguments, function(path)
    return wrk.format("POST", path .. "?durability=durable", { ["Content-Type"] = "application/json" }, body)
  end)
end

done = common.done
