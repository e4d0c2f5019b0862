# redis-rb, with its defaults. redis_rb.rb PORT: prints what tests/wire/compat.py reads.
require "redis"

port = ARGV[0].to_i
r = Redis.new(port: port)

def check(condition, text = "not as it should be")
  raise text unless condition
end

features = {
  connect: -> { check r.ping == "PONG" },
  strings: lambda {
    bytes = "\x00\xff\r\n".b
    r.set("a", bytes)
    check r.get("a").b == bytes
    check r.set("a", "1", nx: true) == false
    r.mset("b", "1", "c", "2")
    check r.mget("b", "none", "c") == ["1", nil, "2"]
  },
  numbers: -> { check r.incr("n") == 1 && r.incrby("n", 41) == 42 && r.incrbyfloat("n", 0.5) == 42.5 },
  expiry: -> { r.set("e", "1", ex: 100); check r.ttl("e") == 100 && r.persist("e") && r.ttl("e") == -1 },
  bits: -> { r.setbit("bits", 7, 1); check r.bitcount("bits") == 1 },
  hashes: -> { r.hset("h", "f" => "1", "g" => "2"); check r.hgetall("h") == { "f" => "1", "g" => "2" } },
  scan: lambda {
    r.mset(*(0...1000).flat_map { |number| ["scan:#{number}", number] })
    check r.scan_each(match: "scan:*", count: 100).to_a.uniq.size == 1000
  },
  pipeline: -> { check r.pipelined { |p| 1000.times { |number| p.set("p#{number}", number) } }.all?("OK") },
  transaction: -> { check r.multi { |t| t.set("t", 1); t.incr("t") } == ["OK", 2] },
  watch: lambda {
    other = Redis.new(port: port)
    done = r.watch("w") do
      other.set("w", "changed")
      r.multi { |t| t.set("w", "mine") }
    end
    check done.nil? && r.get("w") == "changed"
  },
  publish: lambda {
    heard = []
    Redis.new(port: port).subscribe_with_timeout(10, "news") do |on|
      on.subscribe { check r.publish("news", "hello") == 1 }
      on.message { |channel, message| heard << [channel, message]; raise StopIteration }
    end rescue StopIteration
    check heard == [["news", "hello"]], heard.inspect
  },
  errors: lambda {
    r.set("s", "text")
    begin
      r.hget("s", "f")
      check false, "no error"
    rescue Redis::CommandError => error
      check error.message.start_with?("WRONGTYPE")
    end
    check r.get("s") == "text"
  },
  large: -> { text = "x" * (1 << 20); r.set("large", text); check r.get("large") == text },
  server: -> { check r.info["redis_version"] && r.dbsize.positive? && r.config(:get, "databases") == { "databases" => "1" } },
  own: -> { check r.call("PD.USE", "alice") == "OK"; r.set("k", "hers"); r.call("PD.USE"); check r.get("{alice}k") == "hers" },
  lists: -> { check r.rpush("l", %w[a b]) == 2 },
  scripts: -> { check r.eval("return 1") == 1 }
}

puts "version\t#{Redis::VERSION}"
features.each do |name, run|
  run.call
  puts "#{name}\tok"
rescue StandardError => error
  puts "#{name}\tfail\t#{error.class}: #{error.message.gsub(/\s+/, ' ')}"
end
