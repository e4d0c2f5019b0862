<?php
// phpredis, with its defaults. php_redis.php PORT: prints what tests/wire/compat.py reads.
$port = (int)$argv[1];
$r = new Redis();
$r->connect("127.0.0.1", $port, 30);

function check($condition, $text = "not as it should be") {
	if (!$condition) throw new Exception($text);
}

$features = [
	"connect" => function () use ($r) { check($r->ping()); },
	"strings" => function () use ($r) {
		check($r->set("a", "\x00\xff\r\n") && $r->get("a") === "\x00\xff\r\n");
		check($r->set("a", "1", ["nx"]) === false && $r->mset(["b" => "1", "c" => "2"]));
		check($r->mget(["b", "none", "c"]) === ["1", false, "2"]);
	},
	"numbers" => function () use ($r) { check($r->incr("n") === 1 && $r->incrBy("n", 41) === 42 && $r->incrByFloat("n", 0.5) == 42.5); },
	"expiry" => function () use ($r) { check($r->setex("e", 100, "1") && $r->ttl("e") === 100 && $r->persist("e") && $r->ttl("e") === -1); },
	"bits" => function () use ($r) { $r->setBit("bits", 7, 1); check($r->bitCount("bits") === 1); },
	"hashes" => function () use ($r) { $r->hMSet("h", ["f" => "1", "g" => "2"]); check($r->hGetAll("h") === ["f" => "1", "g" => "2"]); },
	"scan" => function () use ($r) {
		for ($i = 0; $i < 300; $i++) $r->set("scan:$i", $i);
		$found = []; $cursor = null;
		while (($keys = $r->scan($cursor, "scan:*", 100)) !== false) foreach ($keys as $key) $found[$key] = 1;
		check(count($found) === 300);
	},
	"pipeline" => function () use ($r) {
		$p = $r->pipeline();
		for ($i = 0; $i < 1000; $i++) $p->set("p$i", $i);
		check(count(array_filter($p->exec())) === 1000);
	},
	"transaction" => function () use ($r) { check($r->multi()->set("t", 1)->incr("t")->exec() === [true, 2]); },
	"watch" => function () use ($r, $port) {
		$other = new Redis(); $other->connect("127.0.0.1", $port);
		$r->watch("w"); $other->set("w", "changed");
		check($r->multi()->set("w", "mine")->exec() === false && $r->get("w") === "changed");
	},
	"publish" => function () use ($r, $port) {
		$listener = new Redis(); $listener->connect("127.0.0.1", $port, 10, null, 0, 10);
		$child = pcntl_fork();
		if ($child === 0) {
			$writer = new Redis(); $writer->connect("127.0.0.1", $port);
			for ($i = 0; $i < 1000 && $writer->publish("news", "hello") < 1; $i++) usleep(10000);
			posix_kill(getmypid(), SIGKILL);
		}
		$heard = null;
		try {
			$listener->subscribe(["news"], function ($connection, $channel, $message) use (&$heard) {
				$heard = "$channel $message";
				throw new Exception("the only way out of subscribe()");
			});
		} catch (Exception $error) {
		}
		pcntl_waitpid($child, $status);
		check($heard === "news hello", (string)$heard);
	},
	"errors" => function () use ($r) {
		$r->set("s", "text"); $r->clearLastError();
		check($r->hGet("s", "f") === false && strpos($r->getLastError(), "WRONGTYPE") === 0 && $r->get("s") === "text");
	},
	"large" => function () use ($r) { $text = str_repeat("x", 1 << 20); check($r->set("large", $text) && $r->get("large") === $text); },
	"server" => function () use ($r) { check($r->info()["redis_version"] && $r->dbSize() > 0 && $r->config("GET", "databases") === ["databases" => "1"]); },
	"own" => function () use ($r) {
		check($r->rawCommand("PD.USE", "alice")); $r->set("k", "hers"); $r->rawCommand("PD.USE");
		check($r->get("{alice}k") === "hers");
	},
	"lists" => function () use ($r) { $r->clearLastError(); check($r->rPush("l", "a", "b") === 2, (string)$r->getLastError()); },
	"scripts" => function () use ($r) { $r->clearLastError(); check($r->eval("return 1") === 1, (string)$r->getLastError()); },
];

echo "version\t", phpversion("redis"), "\n";
foreach ($features as $name => $run) {
	try {
		$run();
		echo "$name\tok\n";
	} catch (Throwable $error) {
		echo "$name\tfail\t", preg_replace('/\s+/', " ", $error->getMessage()), "\n";
	}
}
