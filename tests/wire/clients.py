"""redis-cli and redis-benchmark, as they come."""

from processes import HOST, need_program


def expect(printed, wanted):
    if printed.strip() != wanted.strip():
        raise AssertionError(f"printed {printed!r} instead of {wanted!r}")


def test_cli_set_and_get(world):
    expect(world.redis_cli("PING"), "PONG")
    expect(world.redis_cli("SET", "greeting", "hello world"), "OK")
    expect(world.redis_cli("GET", "greeting"), "hello world")
    expect(world.redis_cli("--no-raw", "GET", "nothing"), "(nil)")
    expect(world.redis_cli("--no-raw", "INCR", "counter"), "(integer) 1")


def test_cli_value_from_stdin(world):
    value = bytes(range(1, 256)) * 100
    expect(world.redis_cli("-x", "SET", "binary", input=value), "OK")
    expect(world.redis_cli("STRLEN", "binary"), str(len(value)))


def test_cli_resp3(world):
    world.redis_cli("HSET", "h", "one", "1", "two", "2")
    printed = world.redis_cli("-3", "--no-raw", "HGETALL", "h")
    for line in ('1# "one" => "1"', '2# "two" => "2"'):
        assert line in printed, printed
    expect(world.redis_cli("-3", "--no-raw", "GET", "nothing"), "(nil)")


def test_cli_json_output(world):
    world.redis_cli("HSET", "h", "one", "1")
    expect(world.redis_cli("-3", "--json", "HGETALL", "h"), '{"one":"1"}')


def test_cli_scan(world):
    lines = "".join(f"SET item:{number} {number}\n" for number in range(2500))
    world.redis_cli(input=lines.encode())
    found = world.redis_cli("--scan").split()
    assert sorted(found) == sorted(f"item:{number}" for number in range(2500)), f"{len(found)} keys"
    found = world.redis_cli("--scan", "--pattern", "item:12*").split()
    assert sorted(found) == sorted(f"item:{number}" for number in range(2500) if str(number).startswith("12")), found


def test_cli_bigkeys(world):
    world.redis_cli("SET", "large", "x" * 1000)
    world.redis_cli("HSET", "h", "f", "v")
    printed = world.redis_cli("--bigkeys")
    assert "Biggest string found '\"large\"' has 1000 bytes" in printed, printed


def test_cli_multi(world):
    printed = world.redis_cli("--no-raw", input=b"MULTI\nSET a 1\nINCR a\nEXEC\nMULTI\nSET a 9\nDISCARD\nGET a\n")
    expect(printed, "OK\nQUEUED\nQUEUED\n1) OK\n2) (integer) 2\nOK\nQUEUED\nOK\n\"2\"")


def test_cli_multi_with_a_mistake(world):
    printed = world.redis_cli("--no-raw", input=b"MULTI\nSET a 1\nNONSENSE\nEXEC\nGET a\n")
    assert "EXECABORT Transaction discarded because of previous errors." in printed, printed
    assert printed.strip().endswith("(nil)"), printed


def test_cli_errors(world):
    for words, text in ((("SET", "onlykey"), "ERR wrong number of arguments for 'set' command"),
                        (("NONSENSE", "a", "b"), "ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b'"),
                        (("SET", "a", "b", "EX", "0"), "ERR invalid expire time in 'set' command"),
                        (("SET", "a", "b", "WRONG"), "ERR syntax error")):
        printed = world.redis_cli(*words, check=False)
        assert text in printed, f"{words}: {printed!r}"
    world.redis_cli("SET", "s", "text")
    assert "WRONGTYPE Operation against a key holding the wrong kind of value" in world.redis_cli("HGET", "s", "f")
    assert "ERR value is not an integer or out of range" in world.redis_cli("INCR", "s")


def test_cli_mass_insert(world):
    data = b"".join(b"*3\r\n$3\r\nSET\r\n$7\r\nk%06d\r\n$3\r\nabc\r\n" % number for number in range(20000))
    printed = world.redis_cli("--pipe", input=data)
    assert "errors: 0, replies: 20000" in printed, printed
    expect(world.redis_cli("DBSIZE"), "20000")


def test_cli_repeat_and_latency_of_commands(world):
    printed = world.redis_cli("-r", "3", "INCR", "n")
    expect(printed, "1\n2\n3")


def test_cli_server_commands(world):
    info = world.redis_cli("INFO")
    for field in ("redis_version:", "tcp_port:%d" % world.server.port, "process_id:%d" % world.server.pid,
                  "connected_clients:", "used_memory:", "total_commands_processed:", "# Keyspace"):
        assert field in info, f"INFO lacks {field}"
    assert "# Server" not in world.redis_cli("INFO", "clients")
    assert int(world.redis_cli("COMMAND", "COUNT")) > 100
    assert "summary" in world.redis_cli("COMMAND", "DOCS", "get")
    assert world.redis_cli("CONFIG", "GET", "databases").startswith("databases\n")
    expect(world.redis_cli("CONFIG", "GET", "appendonly"), "appendonly\nyes")
    assert "cluster support disabled" in world.redis_cli("CLUSTER", "INFO", check=False)


def test_info_figures_are_true(world):
    world.redis_cli("SET", "a", "1")
    world.redis_cli("SET", "b", "1", "EX", "1000")
    keyspace = world.redis_cli("INFO", "keyspace")
    assert "db0:keys=2,expires=1" in keyspace, keyspace
    expect(world.redis_cli("DBSIZE"), "2")


def run_benchmark(world, *words):
    program = need_program("redis-benchmark", "redis-tools")
    _, stdout, stderr = world.run(program, "-h", HOST, "-p", world.server.port, "-q", *words, timeout=120)
    assert "WARN" not in stderr + stdout and "rror" not in stderr + stdout, f"{stdout[-500:]} {stderr[-500:]}"
    return [line for line in stdout.replace("\r", "\n").split("\n") if "requests per second" in line]


def test_benchmark(world):
    lines = run_benchmark(world, "-t", "set,get,incr,hset,mset", "-n", "10000", "-c", "20", "-r", "1000")
    assert len(lines) == 5, lines


def test_benchmark_pipelined(world):
    lines = run_benchmark(world, "-t", "set,get,incr,hset,mset", "-n", "50000", "-P", "16", "-d", "100", "-r", "1000")
    assert len(lines) == 5, lines


def test_benchmark_ping_both_ways(world):
    assert len(run_benchmark(world, "-t", "ping", "-n", "5000")) == 2


def test_benchmark_resp3(world):
    assert len(run_benchmark(world, "-3", "-t", "set,get", "-n", "5000")) == 2


def test_perdure_bench(world):
    """Its own load generator, on its own server: figures and no errors."""
    for test in ("set", "get", "mixed", "hset", "incr"):
        world.perdure("bench", "--port", world.server.port, "--test", test, "--requests", "5000", "--clients", "10",
                      "--pipeline", "4", "--keys", "1000")
    status, _, stderr = world.perdure("bench", "--port", "1", "--requests", "10", check=False)
    assert status != 0 and "nobody listens" in stderr, stderr
