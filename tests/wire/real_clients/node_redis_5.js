// node-redis 5, which Debian 12 does not have, over RESP3. node_redis_5.js PORT: prints what tests/wire/compat.py reads.
const assert = require("node:assert");
const path = require("node:path");

// Where `npm install redis@5` has put it.
const place = path.join(process.env.CLIENT_MODULES, "redis");
const redis = require(place);

const url = `redis://127.0.0.1:${process.argv[2]}`;

async function another(client, work) {
	const other = client.duplicate();
	await other.connect();
	try {
		return await work(other);
	} finally {
		await other.close();
	}
}

function once(subscribe) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error("no message came")), 10000);
		subscribe((message, channel) => {
			clearTimeout(timer);
			resolve([message, channel]);
		}).catch(reject);
	});
}

const features = {
	async connect(client) {
		assert.equal(await client.ping(), "PONG");
		await another(client, async (other) => assert.equal(await other.echo("x"), "x"));
	},
	async strings(client) {
		const bytes = Buffer.from([0, 255, 13, 10]);
		await client.set("a", bytes);
		assert.deepEqual(await client.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer }).get("a"), bytes);
		assert.equal(await client.set("a", "1", { NX: true }), null);
		await client.mSet({ b: "1", c: "2" });
		assert.deepEqual(await client.mGet(["b", "none", "c"]), ["1", null, "2"]);
		assert.equal(await client.getDel("b"), "1");
	},
	async numbers(client) {
		assert.equal(await client.incr("n"), 1);
		assert.equal(await client.incrBy("n", 41), 42);
		assert.equal(await client.incrByFloat("n", 0.5), "42.5");
	},
	async expiry(client) {
		await client.set("e", "1", { EX: 100 });
		assert.equal(await client.ttl("e"), 100);
		assert.ok(await client.persist("e"));
		assert.ok(await client.pExpire("e", 20));
		await new Promise((resolve) => setTimeout(resolve, 100));
		assert.equal(await client.exists("e"), 0);
		assert.equal(await client.getEx("none", { type: "EX", value: 10 }), null);
	},
	async bits(client) {
		assert.equal(await client.setBit("bits", 7, 1), 0);
		assert.equal(await client.bitCount("bits"), 1);
	},
	async hashes(client) {
		assert.equal(await client.hSet("h", { f: "1", g: "2" }), 2);
		assert.deepEqual({ ...await client.hGetAll("h") }, { f: "1", g: "2" });
		assert.equal(await client.hIncrBy("h", "f", 5), 6);
	},
	async scan(client) {
		await client.mSet(Array.from({ length: 1000 }, (_, number) => [`scan:${number}`, `${number}`]).flat());
		const found = new Set();
		for await (const keys of client.scanIterator({ MATCH: "scan:*", COUNT: 100 })) keys.forEach((key) => found.add(key));
		assert.equal(found.size, 1000);
	},
	async pipeline(client) {
		const replies = await Promise.all(Array.from({ length: 1000 }, (_, number) => client.set(`p${number}`, "v")));
		assert.ok(replies.every((reply) => reply === "OK"));
	},
	async transaction(client) {
		assert.deepEqual(await client.multi().set("t", "1").incr("t").exec(), ["OK", 2]);
	},
	async watch(client) {
		await another(client, async (isolated) => {
			await isolated.watch("w");
			await client.set("w", "changed");
			await assert.rejects(isolated.multi().set("w", "mine").exec(), redis.WatchError);
			assert.equal(await client.get("w"), "changed");
		});
	},
	async publish(client) {
		await another(client, async (listener) => {
			const message = once((heard) => listener.subscribe("news", heard));
			const matched = once((heard) => listener.pSubscribe("n?ws", heard));
			while (await client.publish("news", "hello") < 2) await new Promise((resolve) => setTimeout(resolve, 10));
			assert.deepEqual(await message, ["hello", "news"]);
			assert.deepEqual(await matched, ["hello", "news"]);
			await listener.unsubscribe("news");
			await listener.pUnsubscribe("n?ws");
		});
	},
	async events(client) {
		await client.configSet("notify-keyspace-events", "KEA");
		await another(client, async (listener) => {
			const event = once((heard) => listener.subscribe("__keyevent@0__:set", heard));
			while ((await client.pubSubNumSub("__keyevent@0__:set"))["__keyevent@0__:set"] < 1);
			await client.set("watched", "1");
			assert.deepEqual(await event, ["watched", "__keyevent@0__:set"]);
			await listener.unsubscribe("__keyevent@0__:set");
		});
	},
	async errors(client) {
		await client.set("s", "text");
		await assert.rejects(client.hGet("s", "f"), /WRONGTYPE/);
		await assert.rejects(client.sendCommand(["NONSENSE"]), /unknown command/);
		assert.equal(await client.get("s"), "text");
	},
	async large(client) {
		const text = "x".repeat(1 << 20);
		await client.set("large", text);
		assert.equal(await client.get("large"), text);
	},
	async server(client) {
		assert.match(await client.info(), /redis_version:/);
		assert.ok(await client.dbSize() > 0);
		assert.deepEqual({ ...await client.configGet("databases") }, { databases: "1" });
		assert.ok((await client.command()).length > 100);
	},
	async resp3(client) {
		const hello = await client.sendCommand(["HELLO"]);
		assert.equal(hello.proto, 3);
		assert.equal(typeof (await client.sendCommand(["HGETALL", "h"])), "object");
		assert.equal(await client.sendCommand(["GET", "none"]), null);
		assert.deepEqual(await client.hRandFieldCountWithValues("h", 1000).then((all) => all.length), 2);
	},
	async own(client) {
		assert.equal(await client.sendCommand(["PD.USE", "alice"]), "OK");
		await client.set("k", "hers");
		assert.equal(await client.sendCommand(["PD.USE"]), "OK");
		assert.equal(await client.get("{alice}k"), "hers");
	},
	async lists(client) {
		assert.equal(await client.rPush("l", ["a", "b"]), 2);
	},
	async scripts(client) {
		assert.equal(await client.eval("return 1"), 1);
	},
};

async function main() {
	const client = redis.createClient({ url, RESP: 3 });
	client.on("error", () => {});
	console.log(`version\t${require(path.join(place, "package.json")).version}`);
	await client.connect();
	for (const [name, run] of Object.entries(features)) {
		try {
			await run(client);
			console.log(`${name}\tok`);
		} catch (error) {
			console.log(`${name}\tfail\t${error.name}: ${String(error.message).replaceAll("\n", " ")}`);
		}
	}
	await client.close();
}

main();
