/* The kv model's commands on bits, on a fake transaction: what Redis 7.0 replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/model/kv_session.h"

static void test_bits(void **state)
{
	static const struct kv_case cases[] = {
		{ "SETBIT a 7 1", ":0|" },
		{ "GET a", "$1|\x01|" },
		{ "SETBIT a 7 0", ":1|" },
		{ "SETBIT a 7 1", ":0|" },
		{ "GETBIT a 7", ":1|" },
		{ "GETBIT a 6", ":0|" },
		{ "GETBIT a 1000", ":0|" },
		{ "GETBIT none 0", ":0|" },
		{ "SETBIT a 4294967296 1", "-ERR bit offset is not an integer or out of range|" },
		{ "SETBIT a -1 1", "-ERR bit offset is not an integer or out of range|" },
		{ "GETBIT a x", "-ERR bit offset is not an integer or out of range|" },
		{ "SETBIT a 0 2", "-ERR bit is not an integer or out of range|" },
		{ "SETBIT a 0 x", "-ERR bit is not an integer or out of range|" },
		{ "SET b foobar", "+OK|" },
		{ "BITCOUNT b", ":26|" },
		{ "BITCOUNT b 0 0", ":4|" },
		{ "BITCOUNT b 1 1", ":6|" },
		{ "BITCOUNT b 1 1 BYTE", ":6|" },
		{ "BITCOUNT b 5 30 BIT", ":17|" },
		{ "BITCOUNT b -3 -1 BIT", ":1|" },
		{ "BITCOUNT b -1 -2", ":0|" },
		{ "BITCOUNT b 0", SYNTAX },
		{ "BITCOUNT b 0 1 WORD", SYNTAX },
		{ "BITCOUNT b 0 x", NO_INT },
		{ "BITCOUNT none 0", ":0|" },
		{ "@left 2 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_bit_positions(void **state)
{
	static const struct kv_case cases[] = {
		{ "SET b foobar", "+OK|" },
		{ "BITPOS none 1", ":-1|" },
		{ "BITPOS none 0", ":0|" },
		{ "BITPOS b 2", "-ERR The bit argument must be 1 or 0.|" },
		{ "BITPOS b x", NO_INT },
		{ "SET c \"\\xff\\xf0\\x00\"", "+OK|" },
		{ "BITPOS c 0", ":12|" },
		{ "BITPOS c 1", ":0|" },
		{ "BITPOS c 1 2", ":-1|" },
		{ "BITPOS c 0 0 0", ":-1|" },
		{ "BITPOS c 0 7 15 BIT", ":12|" },
		{ "BITPOS c 1 -16 -1 BIT", ":8|" },
		{ "SET d \"\\xff\\xff\\xff\"", "+OK|" },
		{ "BITPOS d 0", ":24|" },
		{ "BITPOS d 0 0", ":24|" },
		{ "BITPOS d 0 0 -1", ":-1|" },
		{ "BITPOS d 0 3", ":-1|" },
		{ "BITPOS d 0 0 1 BAD", SYNTAX },
		{ "@left 3 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_bit_operations(void **state)
{
	static const struct kv_case cases[] = {
		{ "SET x \"\\x0f\\xf0\"", "+OK|" },
		{ "SET y \"\\x3c\"", "+OK|" },
		{ "BITOP AND r x y", ":2|" },
		{ "BITCOUNT r", ":2|" },
		{ "BITOP OR r x y none", ":2|" },
		{ "BITCOUNT r", ":10|" },
		{ "BITOP XOR r x y", ":2|" },
		{ "BITCOUNT r", ":8|" },
		{ "BITOP NOT r y", ":1|" },
		{ "BITCOUNT r", ":4|" },
		{ "BITOP NOT x x", ":2|" },
		{ "GETBIT x 0", ":1|" },
		{ "BITOP NOT r x y", "-ERR BITOP NOT must be called with a single source key.|" },
		{ "BITOP NOR r x y", SYNTAX },
		{ "BITOP AND r none", ":0|" },
		{ "EXISTS r", ":0|" },
		{ "@left 2 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_bits_of_other_types(void **state)
{
	static const struct kv_case cases[] = {
		{ "SET x 1", "+OK|" },        { "SET y 2", "+OK|" },     { "HSET h f v", ":1|" },
		{ "BITOP AND r x h", WRONG }, { "SETBIT h 0 1", WRONG }, { "GETBIT h 0", WRONG },
		{ "BITCOUNT h", WRONG },      { "BITPOS h 1", WRONG },   { "BITOP OR h y", ":1|" },
		{ "TYPE h", "+string|" },     { "@left 3 0", NULL },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_bitfield(void **state)
{
	static const struct kv_case cases[] = {
		{ "BITFIELD a SET u8 0 255 GET u8 0 GET i8 0", "*3|:0|:255|:-1|" },
		{ "BITFIELD a INCRBY u8 0 10", "*1|:9|" },
		{ "BITFIELD a OVERFLOW SAT INCRBY u8 0 1000", "*1|:255|" },
		{ "BITFIELD a OVERFLOW FAIL INCRBY u8 0 1 GET u8 0", "*2|$-1|:255|" },
		{ "BITFIELD a OVERFLOW SAT INCRBY i8 8 -1000 OVERFLOW WRAP INCRBY i8 8 -1",
		  "*2|:-128|:127|" },
		{ "BITFIELD a SET u4 #3 -1 GET u4 12", "*2|:15|:15|" },
		{ "BITFIELD a GET u1 100", "*1|:0|" },
		{ "STRLEN a", ":2|" },
		{ "BITFIELD fresh SET i64 3 -9223372036854775808 GET i64 3", "*2|:0|:-9223372036854775808|" },
		{ "BITFIELD a", "*0|" },
		{ "BITFIELD a GET u64 0", "-ERR Invalid bitfield type. Use something like i16 u8. Note that "
					  "u64 is not supported but i64 is.|" },
		{ "BITFIELD a GET u8 -1", "-ERR bit offset is not an integer or out of range|" },
		{ "BITFIELD a GET u8", SYNTAX },
		{ "BITFIELD a OVERFLOW x", "-ERR Invalid OVERFLOW type specified|" },
		{ "BITFIELD a SET u8 0 x", NO_INT },
		{ "BITFIELD_RO a GET u8 16", "*1|:0|" },
		{ "BITFIELD_RO a SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand|" },
		{ "BITFIELD n OVERFLOW FAIL INCRBY u2 8 5", "*1|$-1|" },
		{ "STRLEN n", ":2|" },
		{ "BITFIELD none GET u8 0", "*1|:0|" },
		{ "EXISTS none", ":0|" },
		{ "HSET h f v", ":1|" },
		{ "BITFIELD h GET u8 0", WRONG },
	};

	(void)state;
	KV_CHECK(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),           cmocka_unit_test(test_bit_positions),
		cmocka_unit_test(test_bit_operations), cmocka_unit_test(test_bits_of_other_types),
		cmocka_unit_test(test_bitfield),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
