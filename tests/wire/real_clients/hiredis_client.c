/* hiredis, the C client. hiredis_client PORT: prints what tests/wire/compat.py reads. */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int port;
static char why[256]; /* the last error that was not expected */

/* One command: is the reply as it should be? `expected`: a status or text, ":7", "*3", "-WRONGTYPE" (how it begins), "nil". */
static int is(redisReply *reply, const char *expected)
{
	char number[32];
	int right = 0;

	if (reply == NULL)
		return 0;
	switch (reply->type) {
	case REDIS_REPLY_INTEGER:
		(void)snprintf(number, sizeof number, ":%lld", reply->integer);
		right = strcmp(number, expected) == 0;
		break;
	case REDIS_REPLY_ARRAY:
		(void)snprintf(number, sizeof number, "*%zu", reply->elements);
		right = strcmp(number, expected) == 0;
		break;
	case REDIS_REPLY_NIL:
		right = strcmp(expected, "nil") == 0;
		break;
	case REDIS_REPLY_ERROR:
		right = expected[0] == '-' && strncmp(reply->str, expected + 1, strlen(expected) - 1) == 0;
		if (!right)
			(void)snprintf(why, sizeof why, "%s", reply->str);
		break;
	default:
		right = strcmp(reply->str, expected) == 0;
		break;
	}
	freeReplyObject(reply);
	return right;
}

#define IS(context, expected, ...) is(redisCommand(context, __VA_ARGS__), expected)

static int feature_connect(redisContext *c)
{
	return IS(c, "PONG", "PING") && IS(c, "x y", "ECHO %s", "x y") &&
	       IS(c, "OK", "CLIENT SETNAME compat");
}

static int feature_strings(redisContext *c)
{
	static const char bytes[] = "\x00\xff\r\n";
	redisReply *reply;
	int right;

	if (!IS(c, "OK", "SET a %b", bytes, (size_t)4))
		return 0;
	reply = redisCommand(c, "GET a");
	right = reply != NULL && reply->len == 4 && memcmp(reply->str, bytes, 4) == 0;
	freeReplyObject(reply);
	return right && IS(c, "nil", "SET a 1 NX") && IS(c, "OK", "MSET b 1 c 2") &&
	       IS(c, "*3", "MGET b none c");
}

static int feature_numbers(redisContext *c)
{
	return IS(c, ":1", "INCR n") && IS(c, ":42", "INCRBY n 41") && IS(c, "42.5", "INCRBYFLOAT n 0.5");
}

static int feature_expiry(redisContext *c)
{
	return IS(c, "OK", "SET e 1 EX 100") && IS(c, ":100", "TTL e") && IS(c, ":1", "PERSIST e") &&
	       IS(c, ":-1", "TTL e");
}

static int feature_bits(redisContext *c)
{
	return IS(c, ":0", "SETBIT bits 7 1") && IS(c, ":1", "BITCOUNT bits") &&
	       IS(c, "*2", "BITFIELD bits GET u8 0 SET u8 8 1");
}

static int feature_hashes(redisContext *c)
{
	return IS(c, ":2", "HSET h f 1 g 2") && IS(c, "*4", "HGETALL h") && IS(c, ":6", "HINCRBY h f 5") &&
	       IS(c, "nil", "HGET h x");
}

static int feature_scan(redisContext *c)
{
	char cursor[32] = "0";
	size_t found = 0;

	for (int i = 0; i < 1000; i++)
		if (!IS(c, "OK", "SET scan:%d v", i))
			return 0;
	do {
		redisReply *reply = redisCommand(c, "SCAN %s MATCH scan:* COUNT 100", cursor);

		if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
			return 0;
		(void)snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
		found += reply->element[1]->elements;
		freeReplyObject(reply);
	} while (strcmp(cursor, "0") != 0);
	return found == 1000;
}

static int feature_pipeline(redisContext *c)
{
	redisReply *reply;

	for (int i = 0; i < 1000; i++)
		if (redisAppendCommand(c, "SET p%d %d", i, i) != REDIS_OK)
			return 0;
	for (int i = 0; i < 1000; i++)
		if (redisGetReply(c, (void **)&reply) != REDIS_OK || !is(reply, "OK"))
			return 0;
	return 1;
}

static int feature_transaction(redisContext *c)
{
	return IS(c, "OK", "MULTI") && IS(c, "QUEUED", "SET t 1") && IS(c, "QUEUED", "INCR t") &&
	       IS(c, "*2", "EXEC");
}

static int feature_watch(redisContext *c)
{
	redisContext *other = redisConnect("127.0.0.1", port);
	int right = IS(c, "OK", "WATCH w") && IS(other, "OK", "SET w 1") && IS(c, "OK", "MULTI") &&
		    IS(c, "QUEUED", "SET w 2") && IS(c, "nil", "EXEC");

	redisFree(other);
	return right;
}

static int feature_publish(redisContext *c)
{
	redisContext *listener = redisConnect("127.0.0.1", port);
	redisReply *reply = NULL;
	int right = IS(listener, "*3", "SUBSCRIBE news") && IS(listener, "*3", "PSUBSCRIBE n?ws") &&
		    IS(c, ":2", "PUBLISH news hello");

	right = right && redisGetReply(listener, (void **)&reply) == REDIS_OK && is(reply, "*3");
	right = right && redisGetReply(listener, (void **)&reply) == REDIS_OK && is(reply, "*4");
	redisFree(listener);
	return right;
}

static int feature_events(redisContext *c)
{
	redisContext *listener = redisConnect("127.0.0.1", port);
	redisReply *reply = NULL;
	int right = IS(c, "OK", "CONFIG SET notify-keyspace-events KEA") &&
		    IS(listener, "*3", "SUBSCRIBE __keyspace@0__:watched") && IS(c, "OK", "SET watched 1");

	right = right && redisGetReply(listener, (void **)&reply) == REDIS_OK && is(reply, "*3");
	redisFree(listener);
	return right;
}

static int feature_errors(redisContext *c)
{
	return IS(c, "OK", "SET s text") && IS(c, "-WRONGTYPE", "HGET s f") &&
	       IS(c, "-ERR unknown command", "NONSENSE") && IS(c, "text", "GET s");
}

static int feature_large(redisContext *c)
{
	size_t size = 1 << 20;
	char *bytes = malloc(size);
	redisReply *reply;
	int right;

	memset(bytes, 0xa5, size);
	right = IS(c, "OK", "SET large %b", bytes, size);
	reply = redisCommand(c, "GET large");
	right = right && reply != NULL && reply->len == size && memcmp(reply->str, bytes, size) == 0;
	freeReplyObject(reply);
	free(bytes);
	return right;
}

static int feature_own(redisContext *c)
{
	return IS(c, "OK", "PD.USE alice") && IS(c, "OK", "SET k hers") && IS(c, "OK", "PD.USE") &&
	       IS(c, "hers", "GET {alice}k");
}

static int feature_lists(redisContext *c)
{
	return IS(c, ":2", "RPUSH l a b");
}

static int feature_scripts(redisContext *c)
{
	return IS(c, ":1", "EVAL %s 0", "return 1");
}

#define FEATURE(name)                 \
	{                             \
#name, feature_##name \
	}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(redisContext *c);
	} features[] = { FEATURE(connect),     FEATURE(strings), FEATURE(numbers), FEATURE(expiry),
			 FEATURE(bits),        FEATURE(hashes),  FEATURE(scan),    FEATURE(pipeline),
			 FEATURE(transaction), FEATURE(watch),   FEATURE(publish), FEATURE(events),
			 FEATURE(errors),      FEATURE(large),   FEATURE(own),     FEATURE(lists),
			 FEATURE(scripts) };
	redisContext *c;

	port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	c = redisConnect("127.0.0.1", port);
	if (c == NULL || c->err != 0)
		return 1;
	(void)printf("version\t%d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
		(void)snprintf(why, sizeof why, "the reply is another");
		if (features[i].run(c))
			(void)printf("%s\tok\n", features[i].name);
		else
			(void)printf("%s\tfail\t%s\n", features[i].name, why);
	}
	redisFree(c);
	return 0;
}
