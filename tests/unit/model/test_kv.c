/* The kv model on a fake transaction: what Redis 7.0 replies, and what is stored. The replies in the tables are those of
 * a real redis-server; tests/wire/redis_oracle.py compares many more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/model/kv_session.h"

static void test_set_and_get(void **state)
{
	static const struct kv_case cases[] = {
		{ "GET a", "$-1|" },
		{ "SET a 1", "+OK|" },
		{ "get a", "$1|1|" },
		{ "SET a \"\"", "+OK|" },
		{ "GET a", "$0||" },
		{ "STRLEN a", ":0|" },
		{ "STRLEN b", ":0|" },
		{ "SET a", "-ERR wrong number of arguments for 'set' command|" },
		{ "SET a x EX 10", "+OK|" },
		{ "PTTL a", ":10000|" },
		{ "SET a y KEEPTTL", "+OK|" },
		{ "TTL a", ":10|" },
		{ "SET a z", "+OK|" },
		{ "TTL a", ":-1|" },
		{ "SET a x PX 1500", "+OK|" },
		{ "TTL a", ":2|" },
		{ "SET a x EXAT 1700000100", "+OK|" },
		{ "EXPIRETIME a", ":1700000100|" },
		{ "SET a x PXAT 1700000100500", "+OK|" },
		{ "PEXPIRETIME a", ":1700000100500|" },
		{ "EXPIRETIME a", ":1700000101|" },
		{ "SET a x EX 10 EX 20", "+OK|" },
		{ "TTL a", ":20|" },
		{ "SET a x EX 10 PX 20", SYNTAX },
		{ "SET a x EX 10 KEEPTTL", SYNTAX },
		{ "SET a x EX", SYNTAX },
		{ "SET a x NX XX", SYNTAX },
		{ "SET a x PERSIST", SYNTAX },
		{ "SET a x EX 0", "-ERR invalid expire time in 'set' command|" },
		{ "SET a x EX 1x", NO_INT },
		{ "SET a x EX 9223372036854775807", "-ERR invalid expire time in 'set' command|" },
		{ "SET a x PX 9223372036854775807", "-ERR invalid expire time in 'set' command|" },
		{ "SET a q NX", "$-1|" },
		{ "SET b q XX", "$-1|" },
		{ "SET b q NX", "+OK|" },
		{ "SET b r XX GET", "$1|q|" },
		{ "SET c r GET", "$-1|" },
		{ "SET c s NX GET", "$1|r|" },
		{ "GET c", "$1|r|" },
		{ "SET d s XX GET", "$-1|" },
		{ "EXISTS d", ":0|" },
		{ "SET c x EXAT 1", "+OK|" },
		{ "GET c", "$-1|" },
		{ "HSET h f v", ":1|" },
		{ "GET h", WRONG },
		{ "STRLEN h", WRONG },
		{ "GETSET h x", WRONG },
		{ "SET h x GET", WRONG },
		{ "SET h x NX", "$-1|" },
		{ "HGET h f", "$1|v|" },
		{ "SET h x", "+OK|" },
		{ "GET h", "$1|x|" },
		{ "@left 3 0", NULL },
		{ "@3", NULL },
		{ "GET none", "_|" },
		{ "SET a q NX", "_|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_string_kin(void **state)
{
	static const struct kv_case cases[] = {
		{ "SETNX a 1", ":1|" },
		{ "SETNX a 2", ":0|" },
		{ "GETSET a 3", "$1|1|" },
		{ "GETDEL a", "$1|3|" },
		{ "GETDEL a", "$-1|" },
		{ "SETEX a 10 x", "+OK|" },
		{ "PTTL a", ":10000|" },
		{ "PSETEX a 10 x", "+OK|" },
		{ "PTTL a", ":10|" },
		{ "SETEX a 0 x", "-ERR invalid expire time in 'setex' command|" },
		{ "PSETEX a -1 x", "-ERR invalid expire time in 'psetex' command|" },
		{ "GETEX a EX 100", "$1|x|" },
		{ "TTL a", ":100|" },
		{ "GETEX a", "$1|x|" },
		{ "TTL a", ":100|" },
		{ "GETEX a PERSIST", "$1|x|" },
		{ "TTL a", ":-1|" },
		{ "GETEX a PERSIST EX 1", SYNTAX },
		{ "GETEX a KEEPTTL", SYNTAX },
		{ "GETEX a EX 0", "-ERR invalid expire time in 'getex' command|" },
		{ "GETEX a PXAT 1", "$1|x|" },
		{ "EXISTS a", ":0|" },
		{ "GETEX a EX 10", "$-1|" },
		{ "GETEX a EX x", "$-1|" },
		{ "GETEX a BAD", SYNTAX },
		{ "@left 0 0", NULL },
		{ "MSET a 1 b 2 a 3", "+OK|" },
		{ "HSET h f v", ":1|" },
		{ "MGET a b h none", "*4|$1|3|$1|2|$-1|$-1|" },
		{ "MSET a", "-ERR wrong number of arguments for 'mset' command|" },
		{ "MSET a 1 b", "-ERR wrong number of arguments for 'mset' command|" },
		{ "MSETNX c 1 h 2", ":0|" },
		{ "EXISTS c", ":0|" },
		{ "MSETNX c 1 c 2", ":1|" },
		{ "GET c", "$1|2|" },
		{ "MSET h 1", "+OK|" },
		{ "@left 4 0", NULL },
		{ "@3", NULL },
		{ "MGET a none", "*2|$1|3|_|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_counters(void **state)
{
	static const struct kv_case cases[] = {
		{ "INCR a", ":1|" },
		{ "DECR b", ":-1|" },
		{ "INCRBY a 10", ":11|" },
		{ "DECRBY a 1", ":10|" },
		{ "GET a", "$2|10|" },
		{ "SET a 5 EX 100", "+OK|" },
		{ "INCR a", ":6|" },
		{ "TTL a", ":100|" },
		{ "SET a 9223372036854775807", "+OK|" },
		{ "INCR a", "-ERR increment or decrement would overflow|" },
		{ "DECRBY a -1", "-ERR increment or decrement would overflow|" },
		{ "DECRBY a -9223372036854775808", "-ERR decrement would overflow|" },
		{ "INCRBY a 9223372036854775808", NO_INT },
		{ "DECRBY b 9223372036854775807", ":-9223372036854775808|" },
		{ "GET b", "$20|-9223372036854775808|" },
		{ "SET a 01", "+OK|" },
		{ "INCR a", NO_INT },
		{ "SET a \"1 \"", "+OK|" },
		{ "INCR a", NO_INT },
		{ "SET a -0", "+OK|" },
		{ "INCR a", NO_INT },
		{ "SET a \"\"", "+OK|" },
		{ "INCR a", NO_INT },
		{ "HSET h f v", ":1|" },
		{ "INCR h", WRONG },
		{ "INCRBY h x", NO_INT },
		{ "INCRBYFLOAT f 3.0", "$1|3|" },
		{ "INCRBYFLOAT f 0.1", "$3|3.1|" },
		{ "INCRBYFLOAT f -3.1", "$1|0|" },
		{ "INCRBYFLOAT f 1e3", "$4|1000|" },
		{ "INCRBYFLOAT f 0x10", "$4|1016|" },
		{ "INCRBYFLOAT f 1.5e-17", "$4|1016|" },
		{ "INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity|" },
		{ "INCRBYFLOAT f nan", "-ERR value is not a valid float|" },
		{ "INCRBYFLOAT f \" 1\"", "-ERR value is not a valid float|" },
		{ "INCRBYFLOAT f 1x", "-ERR value is not a valid float|" },
		{ "INCRBYFLOAT f 1e5000", "-ERR value is not a valid float|" },
		{ "INCRBYFLOAT h 1", WRONG },
		{ "@3", NULL },
		{ "INCRBYFLOAT f 0.5", "$6|1016.5|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_ranges(void **state)
{
	static const struct kv_case cases[] = {
		{ "APPEND a abc", ":3|" },
		{ "APPEND a def", ":6|" },
		{ "GETRANGE a 0 -1", "$6|abcdef|" },
		{ "GETRANGE a 1 2", "$2|bc|" },
		{ "GETRANGE a -3 -2", "$2|de|" },
		{ "GETRANGE a 3 1", "$0||" },
		{ "GETRANGE a 0 -100", "$1|a|" },
		{ "GETRANGE a -100 -99", "$1|a|" },
		{ "GETRANGE a -99 -100", "$0||" },
		{ "GETRANGE a 5 1000", "$1|f|" },
		{ "GETRANGE a 6 6", "$0||" },
		{ "GETRANGE a -9223372036854775808 9223372036854775807", "$6|abcdef|" },
		{ "SUBSTR a 0 0", "$1|a|" },
		{ "GETRANGE none 0 -1", "$0||" },
		{ "GETRANGE none x -1", NO_INT },
		{ "SETRANGE a 2 XY", ":6|" },
		{ "GET a", "$6|abXYef|" },
		{ "SETRANGE a 8 Z", ":9|" },
		{ "STRLEN a", ":9|" },
		{ "SETRANGE a 0 \"\"", ":9|" },
		{ "SETRANGE none 5 \"\"", ":0|" },
		{ "EXISTS none", ":0|" },
		{ "SETRANGE a -1 x", "-ERR offset is out of range|" },
		{ "SETRANGE a 536870912 x",
		  "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|" },
		{ "SETRANGE none 9223372036854775807 x",
		  "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|" },
		{ "APPEND e \"\"", ":0|" },
		{ "EXISTS e", ":1|" },
		{ "SET t x EX 10", "+OK|" },
		{ "APPEND t y", ":2|" },
		{ "SETRANGE t 0 z", ":2|" },
		{ "TTL t", ":10|" },
		{ "HSET h f v", ":1|" },
		{ "APPEND h x", WRONG },
		{ "SETRANGE h 0 x", WRONG },
		{ "GETRANGE h 0 1", WRONG },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_zeros_fill_the_gap(void **state)
{
	struct kv_session session;

	(void)state;
	kv_session_init(&session);
	assert_string_equal(kv_run(&session, "SET a ab"), "+OK|");
	assert_string_equal(kv_run(&session, "SETRANGE a 4 c"), ":5|");
	assert_memory_equal(kv_run(&session, "GET a"), "$5|ab\0\0c|", 9);
	kv_session_done(&session);
}

static void test_keys(void **state)
{
	static const struct kv_case cases[] = {
		{ "MSET a 1 b 2 c 3", "+OK|" },
		{ "HSET h f v g w", ":2|" },
		{ "EXISTS a a none h", ":3|" },
		{ "TOUCH a none", ":1|" },
		{ "TYPE a", "+string|" },
		{ "TYPE h", "+hash|" },
		{ "TYPE none", "+none|" },
		{ "DEL a a none", ":1|" },
		{ "@left 3 2", NULL },
		{ "UNLINK h", ":1|" },
		{ "@left 2 0", NULL },
		{ "DBSIZE", ":2|" },
		{ "RENAME none x", "-ERR no such key|" },
		{ "RENAME b b", "+OK|" },
		{ "RENAMENX b b", ":0|" },
		{ "RENAMENX b c", ":0|" },
		{ "RENAMENX b d", ":1|" },
		{ "EXPIRE d 100", ":1|" },
		{ "RENAME d c", "+OK|" },
		{ "GET c", "$1|2|" },
		{ "TTL c", ":100|" },
		{ "HSET h f v g w", ":2|" },
		{ "EXPIRE h 50", ":1|" },
		{ "RENAME h i", "+OK|" },
		{ "HGETALL i", "*4|$1|f|$1|v|$1|g|$1|w|" },
		{ "TTL i", ":50|" },
		{ "@left 2 2", NULL },
		{ "HSET j x y f z", ":2|" },
		{ "RENAME i j", "+OK|" },
		{ "HGETALL j", "*4|$1|f|$1|v|$1|g|$1|w|" },
		{ "@left 2 2", NULL },
		{ "RENAME c j", "+OK|" },
		{ "GET j", "$1|2|" },
		{ "@left 1 0", NULL },
		{ "COPY j k", ":1|" },
		{ "COPY j k", ":0|" },
		{ "COPY none k", ":0|" },
		{ "COPY j j", "-ERR source and destination objects are the same|" },
		{ "COPY j k DB 1", "-ERR DB index is out of range|" },
		{ "COPY j k BAD", SYNTAX },
		{ "TTL k", ":100|" },
		{ "HSET h f v", ":1|" },
		{ "COPY h k DB 0 REPLACE", ":1|" },
		{ "HGETALL k", "*2|$1|f|$1|v|" },
		{ "COPY j h REPLACE", ":1|" },
		{ "@left 3 1", NULL },
		{ "FLUSHDB BAD", SYNTAX },
		{ "FLUSHDB SYNC ASYNC", SYNTAX },
		{ "FLUSHALL ASYNC", "+OK|" },
		{ "DBSIZE", ":0|" },
		{ "@left 0 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_expiry(void **state)
{
	static const struct kv_case cases[] = {
		{ "EXPIRE a 10", ":0|" },
		{ "TTL a", ":-2|" },
		{ "EXPIRETIME a", ":-2|" },
		{ "PERSIST a", ":0|" },
		{ "SET a 1", "+OK|" },
		{ "TTL a", ":-1|" },
		{ "PEXPIRETIME a", ":-1|" },
		{ "EXPIRE a 10 XX", ":0|" },
		{ "EXPIRE a 10 GT", ":0|" },
		{ "EXPIRE a 10 NX", ":1|" },
		{ "EXPIRE a 20 NX", ":0|" },
		{ "EXPIRE a 5 GT", ":0|" },
		{ "EXPIRE a 20 GT XX", ":1|" },
		{ "EXPIRE a 30 LT", ":0|" },
		{ "PEXPIRE a 15000 LT", ":1|" },
		{ "PTTL a", ":15000|" },
		{ "PERSIST a", ":1|" },
		{ "PERSIST a", ":0|" },
		{ "EXPIRE a 10 LT", ":1|" },
		{ "EXPIRE a 10 NX XX",
		  "-ERR NX and XX, GT or LT options at the same time are not compatible|" },
		{ "EXPIRE a 10 GT LT", "-ERR GT and LT options at the same time are not compatible|" },
		{ "EXPIRE a 10 BAD", "-ERR Unsupported option BAD|" },
		{ "EXPIRE a x", NO_INT },
		{ "EXPIRE a 9223372036854775", "-ERR invalid expire time in 'expire' command|" },
		{ "EXPIRE a -9223372036854776", "-ERR invalid expire time in 'expire' command|" },
		{ "PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command|" },
		{ "TTL a", ":10|" },
		{ "@time 9999", NULL },
		{ "GET a", "$1|1|" },
		{ "PTTL a", ":1|" },
		{ "@time 1", NULL },
		{ "GET a", "$-1|" },
		{ "DBSIZE", ":1|" },
		{ "SET a 1", "+OK|" },
		{ "TTL a", ":-1|" },
		{ "EXPIRE a 0", ":1|" },
		{ "DBSIZE", ":0|" },
		{ "HSET h f v", ":1|" },
		{ "EXPIREAT h 1", ":1|" },
		{ "@left 0 0", NULL },
		{ "HSET h f v", ":1|" },
		{ "PEXPIREAT h 1700001000000", ":1|" },
		{ "EXPIRETIME h", ":1700001000|" },
		{ "HSET h g w", ":1|" },
		{ "PEXPIRETIME h", ":1700001000000|" },
		{ "HDEL h g", ":1|" },
		{ "PEXPIRETIME h", ":1700001000000|" },
		{ "PEXPIREAT h 9223372036854770000", ":1|" },
		{ "HLEN h", ":1|" },
		{ "PEXPIRE h -9223372036854775808", ":1|" },
		{ "EXISTS h", ":0|" },
	};

	(void)state;
	KV_CHECK(cases);
}

/* A hash that expired is gone for those who read, but its fields are still stored: they must not come back. */
static void test_expired_hashes_stay_gone(void **state)
{
	static const struct kv_case cases[] = {
		{ "HSET h a 1 b 2", ":2|" },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "HGETALL h", "*0|" },
		{ "@left 1 2", NULL },
		{ "HSET h c 3", ":1|" },
		{ "HGETALL h", "*2|$1|c|$1|3|" },
		{ "HLEN h", ":1|" },
		{ "TTL h", ":-1|" },
		{ "@left 1 1", NULL },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "SET h x", "+OK|" },
		{ "@left 1 0", NULL },
		{ "DEL h", ":1|" },
		{ "HSET h a 1", ":1|" },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "HINCRBY h n 1", ":1|" },
		{ "HKEYS h", "*1|$1|n|" },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "SET s x", "+OK|" },
		{ "RENAME s h", "+OK|" },
		{ "@left 1 0", NULL },
		{ "HSET g z 1", ":1|" },
		{ "DEL h", ":1|" },
		{ "HSET h a 1", ":1|" },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "COPY g h", ":1|" },
		{ "HKEYS h", "*1|$1|z|" },
		{ "@left 2 2", NULL },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "HSETNX h a 1", ":1|" },
		{ "@left 2 2", NULL },
		{ "PEXPIRE h 5", ":1|" },
		{ "@time 5", NULL },
		{ "APPEND h abc", ":3|" },
		{ "@left 2 1", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_hashes(void **state)
{
	static const struct kv_case cases[] = {
		{ "HSET h a 1 b 2 a 3", ":2|" },
		{ "HLEN h", ":2|" },
		{ "HGET h a", "$1|3|" },
		{ "HGET h none", "$-1|" },
		{ "HGET none a", "$-1|" },
		{ "HSET h a", "-ERR wrong number of arguments for 'hset' command|" },
		{ "HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command|" },
		{ "HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command|" },
		{ "HMSET h c 4", "+OK|" },
		{ "HSETNX h c 5", ":0|" },
		{ "HSETNX h d 5", ":1|" },
		{ "HMGET h a none d", "*3|$1|3|$-1|$1|5|" },
		{ "HMGET none a b", "*2|$-1|$-1|" },
		{ "HEXISTS h a", ":1|" },
		{ "HEXISTS h none", ":0|" },
		{ "HSTRLEN h a", ":1|" },
		{ "HSTRLEN h none", ":0|" },
		{ "HKEYS h", "*4|$1|a|$1|b|$1|c|$1|d|" },
		{ "HVALS h", "*4|$1|3|$1|2|$1|4|$1|5|" },
		{ "HDEL h a b none a", ":2|" },
		{ "HGETALL h", "*4|$1|c|$1|4|$1|d|$1|5|" },
		{ "HDEL h c d", ":2|" },
		{ "EXISTS h", ":0|" },
		{ "@left 0 0", NULL },
		{ "HDEL h a", ":0|" },
		{ "HSET h \"\" \"\"", ":1|" },
		{ "HGET h \"\"", "$0||" },
		{ "HGETALL h", "*2|$0||$0||" },
		{ "HINCRBY h n 5", ":5|" },
		{ "HINCRBY h n -7", ":-2|" },
		{ "HINCRBY h n x", NO_INT },
		{ "HSET h s abc", ":1|" },
		{ "HINCRBY h s 1", "-ERR hash value is not an integer|" },
		{ "HSET h max 9223372036854775807", ":1|" },
		{ "HINCRBY h max 1", "-ERR increment or decrement would overflow|" },
		{ "HINCRBYFLOAT h f 10.5", "$4|10.5|" },
		{ "HINCRBYFLOAT h f 0.1", "$4|10.6|" },
		{ "HINCRBYFLOAT h s 1", "-ERR hash value is not a float|" },
		{ "HINCRBYFLOAT h f x", "-ERR value is not a valid float|" },
		{ "HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity|" },
		{ "HINCRBYFLOAT new f inf", "-ERR value is NaN or Infinity|" },
		{ "EXISTS new", ":0|" },
		{ "SET s x", "+OK|" },
		{ "HSET s a 1", WRONG },
		{ "HGET s a", WRONG },
		{ "HMGET s a", WRONG },
		{ "HGETALL s", WRONG },
		{ "HDEL s a", WRONG },
		{ "HINCRBY s a 1", WRONG },
		{ "HSETNX s a 1", WRONG },
		{ "HLEN s", WRONG },
		{ "HRANDFIELD s", WRONG },
		{ "HSCAN s 0", WRONG },
		{ "@3", NULL },
		{ "DEL h", ":1|" },
		{ "HSET h a 1", ":1|" },
		{ "HGETALL h", "%1|$1|a|$1|1|" },
		{ "HGETALL none", "%0|" },
		{ "HKEYS none", "*0|" },
		{ "HVALS h", "*1|$1|1|" },
		{ "HRANDFIELD h 5 WITHVALUES", "*1|*2|$1|a|$1|1|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_random_fields(void **state)
{
	static const struct kv_case cases[] = {
		{ "HRANDFIELD none", "$-1|" },
		{ "HRANDFIELD none 5", "*0|" },
		{ "RANDOMKEY", "$-1|" },
		{ "HSET h a 1", ":1|" },
		{ "RANDOMKEY", "$1|h|" },
		{ "HRANDFIELD h", "$1|a|" },
		{ "HRANDFIELD h 0", "*0|" },
		{ "HRANDFIELD h 3", "*1|$1|a|" },
		{ "HRANDFIELD h -3", "*3|$1|a|$1|a|$1|a|" },
		{ "HRANDFIELD h -2 WITHVALUES", "*4|$1|a|$1|1|$1|a|$1|1|" },
		{ "HRANDFIELD h x", NO_INT },
		{ "HRANDFIELD h 1 BAD", SYNTAX },
		{ "HRANDFIELD h 1 WITHVALUES x", SYNTAX },
		{ "HRANDFIELD h -9223372036854775808", "-ERR value is out of range, value must between "
						       "-9223372036854775807 and 9223372036854775807|" },
		{ "HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_scan(void **state)
{
	static const struct kv_case cases[] = {
		{ "SCAN 0", "*2|$1|0|*0|" },
		{ "MSET a 1 b 2 user:1 x user:2 y", "+OK|" },
		{ "HSET h f v", ":1|" },
		{ "SCAN 0", "*2|$1|0|*5|$1|a|$1|b|$1|h|$6|user:1|$6|user:2|" },
		{ "SCAN 0 COUNT 2", "*2|$1|1|*2|$1|a|$1|b|" },
		{ "SCAN 1 COUNT 2", "*2|$1|2|*2|$1|h|$6|user:1|" },
		{ "DEL user:2", ":1|" },
		{ "SCAN 2 COUNT 2", "*2|$1|0|*0|" },
		{ "SET user:2 y", "+OK|" },
		{ "SCAN 2 COUNT 2", "*2|$1|0|*1|$6|user:2|" },
		{ "SCAN 1 COUNT 100", "*2|$1|0|*3|$1|h|$6|user:1|$6|user:2|" },
		{ "SCAN 0 MATCH user:* COUNT 1", "*2|$1|3|*1|$6|user:1|" },
		{ "SCAN 3 MATCH user:* COUNT 1", "*2|$1|0|*1|$6|user:2|" },
		{ "SCAN 0 MATCH *2", "*2|$1|0|*1|$6|user:2|" },
		{ "SCAN 0 TYPE hash", "*2|$1|0|*1|$1|h|" },
		{ "SCAN 0 TYPE STRING MATCH ?", "*2|$1|0|*2|$1|a|$1|b|" },
		{ "SCAN 0 TYPE list", "*2|$1|0|*0|" },
		{ "SCAN x", "-ERR invalid cursor|" },
		{ "SCAN -1", "-ERR invalid cursor|" },
		{ "SCAN 99", "-ERR invalid cursor|" },
		{ "SCAN 18446744073709551616", "-ERR invalid cursor|" },
		{ "SCAN 0 COUNT 0", SYNTAX },
		{ "SCAN 0 COUNT x", NO_INT },
		{ "SCAN 0 COUNT", SYNTAX },
		{ "SCAN 0 BAD x", SYNTAX },
		{ "KEYS *", "*5|$1|a|$1|b|$1|h|$6|user:1|$6|user:2|" },
		{ "KEYS user:[12]", "*2|$6|user:1|$6|user:2|" },
		{ "KEYS user:1", "*1|$6|user:1|" },
		{ "KEYS none", "*0|" },
		{ "HSCAN h 0", "*2|$1|0|*2|$1|f|$1|v|" },
		{ "HSCAN h 0 MATCH x*", "*2|$1|0|*0|" },
		{ "HSCAN h 0 TYPE string", SYNTAX },
		{ "HSCAN none 0 BAD", "*2|$1|0|*0|" },
		{ "HSCAN none x", "-ERR invalid cursor|" },
		{ "HSCAN h 1", "-ERR invalid cursor|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_actors(void **state)
{
	static const struct kv_case cases[] = {
		{ "MSET {x}a 1 {x}b 2 c 3 {main}d 4", "+OK|" },
		{ "MGET {x}a {x}b {main}c d", "*4|$1|1|$1|2|$1|3|$1|4|" },
		{ "DBSIZE", ":4|" },
		{ "KEYS *", "*4|$4|{x}a|$4|{x}b|$1|c|$1|d|" },
		{ "KEYS {x}*", "*2|$4|{x}a|$4|{x}b|" },
		{ "KEYS c*", "*1|$1|c|" },
		{ "KEYS a", "*0|" },
		{ "SCAN 0 COUNT 1", "*2|$1|1|*1|$4|{x}a|" },
		{ "SCAN 1 COUNT 2", "*2|$1|2|*2|$4|{x}b|$1|c|" },
		{ "SCAN 2 COUNT 2", "*2|$1|0|*1|$1|d|" },
		{ "RENAME {x}a {y}a", "+OK|" },
		{ "GET {y}a", "$1|1|" },
		{ "HSET {x}h f v g w", ":2|" },
		{ "RENAME {x}h h", "+OK|" },
		{ "HGETALL h", "*4|$1|f|$1|v|$1|g|$1|w|" },
		{ "COPY h {z}h", ":1|" },
		{ "HLEN {z}h", ":2|" },
		{ "RENAME h {main}h", "+OK|" },
		{ "HLEN h", ":2|" },
		{ "COPY {main}h h", "-ERR source and destination objects are the same|" },
		{ "@use x", NULL },
		{ "DBSIZE", ":1|" },
		{ "KEYS *", "*1|$1|b|" },
		{ "SET q 1", "+OK|" },
		{ "SCAN 0", "*2|$1|0|*2|$1|b|$1|q|" },
		{ "FLUSHALL", "+OK|" },
		{ "DBSIZE", ":0|" },
		{ "@use", NULL },
		{ "DBSIZE", ":5|" },
		{ "KEYS *", "*5|$1|c|$1|d|$1|h|$4|{y}a|$4|{z}h|" },
		{ "GET {nobody}k", "$-1|" },
		{ "HSET {nobody}k f v", ":1|" },
		{ "FLUSHDB", "+OK|" },
		{ "@left 0 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_object(void **state)
{
	static const struct kv_case cases[] = {
		{ "OBJECT ENCODING none", "$-1|" },
		{ "MSET i 123 e abc", "+OK|" },
		{ "SET r 012345678901234567890123456789012345678901234", "+OK|" },
		{ "OBJECT ENCODING i", "$3|int|" },
		{ "OBJECT ENCODING e", "$6|embstr|" },
		{ "OBJECT ENCODING r", "$3|raw|" },
		{ "HSET h f v", ":1|" },
		{ "OBJECT ENCODING h", "$8|listpack|" },
		{ "HSET h f 01234567890123456789012345678901234567890123456789012345678901234", ":0|" },
		{ "OBJECT ENCODING h", "$9|hashtable|" },
		{ "OBJECT REFCOUNT e", ":1|" },
		{ "OBJECT IDLETIME e", ":0|" },
		{ "OBJECT FREQ none", "$-1|" },
		{ "OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command|" },
		{ "OBJECT NOPE x", "-ERR unknown subcommand 'NOPE'. Try OBJECT HELP.|" },
		{ "OBJECT", "-ERR wrong number of arguments for 'object' command|" },
	};

	(void)state;
	/* "|" in the name of the subcommand looks like a line end, and is one in the reply only. */
	KV_CHECK(cases);
}

static void test_lcs(void **state)
{
	static const struct kv_case cases[] = {
		{ "MSET a ohmytext b mynewtext", "+OK|" },
		{ "LCS a b", "$6|mytext|" },
		{ "LCS a b LEN", ":6|" },
		{ "LCS a b IDX", "*4|$7|matches|*2|*2|*2|:4|:7|*2|:5|:8|*2|*2|:2|:3|*2|:0|:1|$3|len|:6|" },
		{ "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
		  "*4|$7|matches|*1|*3|*2|:4|:7|*2|:5|:8|:4|$3|len|:6|" },
		{ "LCS a none", "$0||" },
		{ "LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.|" },
		{ "LCS a b BAD", SYNTAX },
		{ "HSET h f v", ":1|" },
		{ "LCS a h", "-ERR The specified keys must contain string values|" },
		{ "@3", NULL },
		{ "LCS a none IDX", "%2|$7|matches|*0|$3|len|:0|" },
	};

	(void)state;
	KV_CHECK(cases);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_get),
		cmocka_unit_test(test_string_kin),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_zeros_fill_the_gap),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_expired_hashes_stay_gone),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_random_fields),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_actors),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_lcs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
