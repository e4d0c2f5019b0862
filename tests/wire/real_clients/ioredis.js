// ioredis, which Debian 12 does not have, with its defaults. ioredis.js PORT: prints what tests/wire/compat.py reads.
const assert = require("node:assert");
const path = require("node:path");

// Where `npm install ioredis` has put it.
const place = path.join(process.env.CLIENT_MODULES, "ioredis");
const Redis = require(place);

const port = Number(process.argv[2]);

async function another(work) {
	const other = new Redis(port);
	try {
		return await work(other);
	} finally {
		other.disconnect();
	}
}

function once(client, event) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error("no message came")), 10000);
		client.once(event, (...words) => {
			clearTimeout(timer);
			resolve(words);
		});
	});
}

const features = {
	async connect(client) {
		assert.equal(await client.ping(), "PONG");
		await another(async (other) => assert.equal(await other.echo("x"), "x"));
	},
	async strings(client) {
		const bytes = Buffer.from([0, 255, 13, 10]);
		await client.set("a", bytes);
		assert.deepEqual(await client.getBuffer("a"), bytes);
		assert.equal(await client.set("a", "1", "NX"), null);
		await client.mset({ b: "1", c: "2" });
		assert.deepEqual(await client.mget("b", "none", "c"), ["1", null, "2"]);
		assert.equal(await client.getdel("b"), "1");
	},
	async numbers(client) {
		assert.equal(await client.incr("n"), 1);
		assert.equal(await client.incrby("n", 41), 42);
		assert.equal(await client.incrbyfloat("n", 0.5), "42.5");
	},
	async expiry(client) {
		await client.set("e", "1", "EX", 100);
		assert.equal(await client.ttl("e"), 100);
		assert.equal(await client.persist("e"), 1);
		assert.equal(await client.pexpire("e", 20), 1);
		for (let tries = 0; await client.exists("e") && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
		assert.equal(await client.exists("e"), 0);
	},
	async bits(client) {
		assert.equal(await client.setbit("bits", 7, 1), 0);
		assert.equal(await client.bitcount("bits"), 1);
		assert.deepEqual(await client.bitfield("bits", "SET", "u8", 8, 200, "INCRBY", "u8", 8, 50), [0, 250]);
	},
	async hashes(client) {
		assert.equal(await client.hset("h", { f: "1", g: "2" }), 2);
		assert.deepEqual({ ...await client.hgetall("h") }, { f: "1", g: "2" });
		assert.equal(await client.hincrby("h", "f", 5), 6);
	},
	async scan(client) {
		await client.mset(Object.fromEntries(Array.from({ length: 1000 }, (_, number) => [`scan:${number}`, `${number}`])));
		const found = new Set();
		for await (const keys of client.scanStream({ match: "scan:*", count: 100 })) keys.forEach((key) => found.add(key));
		assert.equal(found.size, 1000);
	},
	async pipeline(client) {
		const pipeline = client.pipeline();
		for (let number = 0; number < 1000; number++) pipeline.set(`p${number}`, "v");
		assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === "OK"));
	},
	async transaction(client) {
		assert.deepEqual(await client.multi().set("t", "1").incr("t").exec(), [[null, "OK"], [null, 2]]);
	},
	async watch(client) {
		await another(async (other) => {
			await other.watch("w");
			await client.set("w", "changed");
			assert.equal(await other.multi().set("w", "mine").exec(), null);
			assert.equal(await client.get("w"), "changed");
		});
	},
	async publish(client) {
		await another(async (listener) => {
			const message = once(listener, "message");
			const matched = once(listener, "pmessage");
			await listener.subscribe("news");
			await listener.psubscribe("n?ws");
			assert.equal(await client.publish("news", "hello"), 2);
			assert.deepEqual(await message, ["news", "hello"]);
			assert.deepEqual(await matched, ["n?ws", "news", "hello"]);
			await listener.unsubscribe("news");
			await listener.punsubscribe("n?ws");
			assert.equal(await listener.ping(), "PONG");
		});
	},
	async events(client) {
		await client.config("SET", "notify-keyspace-events", "KEA");
		await another(async (listener) => {
			const event = once(listener, "message");
			await listener.subscribe("__keyevent@0__:set");
			await client.set("watched", "1");
			assert.deepEqual(await event, ["__keyevent@0__:set", "watched"]);
		});
	},
	async errors(client) {
		await client.set("s", "text");
		await assert.rejects(client.hget("s", "f"), /WRONGTYPE/);
		await assert.rejects(client.call("NONSENSE"), /unknown command/);
		assert.equal(await client.get("s"), "text");
	},
	async large(client) {
		const text = "x".repeat(1 << 20);
		await client.set("large", text);
		assert.equal(await client.get("large"), text);
	},
	async server(client) {
		assert.match(await client.info(), /redis_version:/);
		assert.ok(await client.dbsize() > 0);
		assert.deepEqual(await client.config("GET", "databases"), ["databases", "1"]);
		assert.ok((await client.command()).length > 100);
	},
	async own(client) {
		assert.equal(await client.call("PD.USE", "alice"), "OK");
		await client.set("k", "hers");
		assert.equal(await client.call("PD.USE"), "OK");
		assert.equal(await client.get("{alice}k"), "hers");
	},
	async lists(client) {
		assert.equal(await client.rpush("l", "a", "b"), 2);
	},
	async scripts(client) {
		assert.equal(await client.eval("return 1", 0), 1);
	},
};

async function main() {
	const client = new Redis(port);
	client.on("error", () => {});
	console.log(`version\t${require(path.join(place, "package.json")).version}`);
	for (const [name, run] of Object.entries(features)) {
		try {
			await run(client);
			console.log(`${name}\tok`);
		} catch (error) {
			console.log(`${name}\tfail\t${error.name}: ${String(error.message).replaceAll("\n", " ")}`);
		}
	}
	client.disconnect();
}

main();
