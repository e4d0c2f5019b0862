-- redis-lua, with its defaults. redis_lua.lua PORT: prints what tests/wire/compat.py reads.
local redis = require("redis")
local port = tonumber(arg[1])
local r = redis.connect("127.0.0.1", port)

local features = {
	{ "connect", function() assert(r:ping()) end },
	{ "strings", function()
		r:set("a", "\0\255\r\n")
		assert(r:get("a") == "\0\255\r\n")
		r:mset({ b = "1", c = "2" })
		assert(r:mget({ "b", "c" })[2] == "2")
	end },
	{ "numbers", function() assert(r:incr("n") == 1 and r:incrby("n", 41) == 42) end },
	{ "expiry", function() r:setex("e", 100, "1"); assert(r:ttl("e") == 100 and r:persist("e")) end },
	{ "hashes", function() r:hmset("h", { f = "1", g = "2" }); assert(r:hgetall("h").g == "2") end },
	{ "pipeline", function()
		local replies = r:pipeline(function(p) for i = 1, 1000 do p:set("p" .. i, i) end end)
		assert(#replies == 1000)
	end },
	{ "transaction", function()
		local replies = r:transaction(function(t) t:set("t", "1"); t:incr("t") end)
		assert(replies[2] == 2)
	end },
	{ "watch", function()
		local other = redis.connect("127.0.0.1", port)
		local fine = pcall(function()
			r:transaction({ watch = "w", cas = true, retry = 0 }, function(t)
				other:set("w", "changed")
				t:multi()
				t:set("w", "mine")
			end)
		end)
		assert(not fine and r:get("w") == "changed")
	end },
	{ "publish", function()
		local listener = redis.connect("127.0.0.1", port)
		for message, abort in listener:pubsub({ subscribe = { "news" } }) do
			if message.kind == "subscribe" then
				assert(r:publish("news", "hello") == 1)
			else
				assert(message.payload == "hello")
				abort()
			end
		end
	end },
	{ "errors", function()
		r:set("s", "text")
		local fine, why = pcall(function() return r:hget("s", "f") end)
		assert(not fine and why:find("WRONGTYPE"))
		assert(r:get("s") == "text")
	end },
	{ "large", function() local text = ("x"):rep(1048576); r:set("large", text); assert(r:get("large") == text) end },
	{ "server", function() assert(r:info().server.redis_version and r:dbsize() > 0) end },
	{ "lists", function() assert(r:rpush("l", "a", "b") == 2) end },
	{ "scripts", function() assert(r:eval("return 1", 0) == 1) end },
}

print("version\t" .. redis._VERSION:gsub("^redis%-lua ", ""))
for _, feature in ipairs(features) do
	local fine, why = pcall(feature[2])
	if fine then
		print(feature[1] .. "\tok")
	else
		print(feature[1] .. "\tfail\t" .. tostring(why):gsub("%s+", " "))
	end
end
