/* Strings, keys, hashes, scans and commands, outside of transactions. */
#include "host.h"

#include <time.h>

static uint64_t now_us(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_strings(void **state)
{
	struct host *host = *state;
	struct perdure_value value, again;
	struct perdure_receipt receipt;
	const char binary[] = "a\0b\xff";

	assert_ok(host, perdure_put(host->session, ACTOR, perdure_data(binary, 4), perdure_data(binary, 4),
				    &host->err));
	assert_ok(host, perdure_get(host->session, ACTOR, perdure_data(binary, 4), &value, &host->err));
	assert_int_equal(value.size, 4);
	assert_memory_equal(value.data, binary, 5);
	assert_int_equal(value.expires_us, 0);
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_int_equal(receipt.lsn, value.version);
	perdure_free(value.data);

	/* Empty names and values are names and values. */
	assert_ok(host, perdure_put(host->session, ACTOR, perdure_text(""), perdure_text(""), &host->err));
	assert_ok(host, perdure_get(host->session, ACTOR, perdure_text(NULL), &again, &host->err));
	assert_int_equal(again.size, 0);
	assert_true(again.version > value.version);
	perdure_free(again.data);

	assert_refused(host, perdure_get(host->session, ACTOR, perdure_text("none"), &value, &host->err),
		       PERDURE_NOT_FOUND);
	assert_refused(
		host,
		perdure_get(host->session, perdure_text("nobody"), perdure_text("none"), &value, &host->err),
		PERDURE_NOT_FOUND);
}

/* A key that looks as another door would write it is a key like any other here. */
static void test_braces(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "{user:1}cart", "mine");
	assert_string_equal(host_get(host, host->session, "{user:1}cart"), "mine");
	assert_string_equal(host_scan(host, host->session, NULL), "{user:1}cart=mine");
}

static void test_actors_are_apart(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes none = { NULL, 0 };
	struct perdure_value value;

	host_put(host, host->session, "a", "1");
	assert_refused(host, perdure_get(host->session, none, perdure_text("a"), &value, &host->err),
		       PERDURE_NOT_FOUND);
	assert_ok(host, perdure_session_use(host->session, ACTOR, &host->err));
	assert_ok(host, perdure_get(host->session, none, perdure_text("a"), &value, &host->err));
	perdure_free(value.data);
	assert_refused(host, perdure_session_use(host->session, perdure_text("a/b"), &host->err),
		       PERDURE_INVALID);
	assert_refused(host,
		       perdure_put(host->session, perdure_text("a}b"), perdure_text("k"), none, &host->err),
		       PERDURE_INVALID);
}

static void test_tenants_are_apart(void **state)
{
	struct host *host = *state;
	struct perdure_session *acme;

	assert_ok(host, perdure_session_new(host->db, "acme", &acme, &host->err));
	host_put(host, acme, "a", "theirs");
	host_put(host, host->session, "a", "ours");
	assert_string_equal(host_get(host, acme, "a"), "theirs");
	assert_string_equal(host_get(host, host->session, "a"), "ours");
	perdure_session_free(acme);
}

static void test_keys(void **state)
{
	struct host *host = *state;
	struct perdure_key_info info;
	uint64_t soon = now_us() + (uint64_t)3600 * 1000000;
	int changed;

	host_put(host, host->session, "a", "123");
	assert_ok(host, perdure_expire(host->session, ACTOR, perdure_text("a"), soon, &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_look(host->session, ACTOR, perdure_text("a"), &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_STRING);
	assert_int_equal(info.count, 3);
	assert_int_equal(info.expires_us, soon / 1000 * 1000);
	assert_ok(host, perdure_expire(host->session, ACTOR, perdure_text("a"), 0, &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_expire(host->session, ACTOR, perdure_text("a"), 0, &changed, &host->err));
	assert_int_equal(changed, 0);
	assert_ok(host, perdure_put_until(host->session, ACTOR, perdure_text("a"), perdure_text("gone"), 1,
					  &host->err));
	assert_string_equal(host_get(host, host->session, "a"), "");
	assert_ok(host, perdure_look(host->session, ACTOR, perdure_text("a"), &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_NONE);
	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("a"), &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("a"), &changed, &host->err));
	assert_int_equal(changed, 0);
}

static void test_hashes(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes h = perdure_text("h");
	struct perdure_key_info info;
	struct perdure_value value;
	struct perdure_scan *scan;
	struct perdure_item item;
	int changed;

	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("b"), perdure_text("2"),
					 &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("b"), perdure_text("3"),
					 &changed, &host->err));
	assert_int_equal(changed, 0);
	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("a"), perdure_text("1"), NULL,
					 &host->err));
	assert_ok(host, perdure_hash_get(host->session, ACTOR, h, perdure_text("b"), &value, &host->err));
	assert_string_equal(value.data, "3");
	perdure_free(value.data);
	assert_refused(host, perdure_hash_get(host->session, ACTOR, h, perdure_text("c"), &value, &host->err),
		       PERDURE_NOT_FOUND);
	assert_refused(host, perdure_get(host->session, ACTOR, h, &value, &host->err), PERDURE_WRONG_TYPE);
	assert_ok(host, perdure_look(host->session, ACTOR, h, &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_HASH);
	assert_int_equal(info.count, 2);

	assert_ok(host, perdure_hash_scan(host->session, ACTOR, h, NULL, &scan, &host->err));
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	assert_memory_equal(item.key.data, "a", 1);
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	assert_memory_equal(item.value.data, "3", 1);
	assert_int_equal(perdure_scan_next(scan, &item, &host->err), PERDURE_END);
	assert_int_equal(perdure_scan_next(scan, &item, &host->err), PERDURE_END);
	perdure_scan_free(scan);

	assert_ok(host,
		  perdure_hash_delete(host->session, ACTOR, h, perdure_text("a"), &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_hash_delete(host->session, ACTOR, h, perdure_text("b"), NULL, &host->err));
	assert_ok(host, perdure_look(host->session, ACTOR, h, &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_NONE);
	host_put(host, host->session, "s", "text");
	assert_refused(host,
		       perdure_hash_set(host->session, ACTOR, perdure_text("s"), perdure_text("a"),
					perdure_text("1"), NULL, &host->err),
		       PERDURE_WRONG_TYPE);
	assert_refused(host,
		       perdure_hash_scan(host->session, ACTOR, perdure_text("s"), NULL, &scan, &host->err),
		       PERDURE_WRONG_TYPE);
}

static void test_ranges(void **state)
{
	struct host *host = *state;
	struct perdure_range range = PERDURE_RANGE_INIT;
	const char *keys[] = { "b", "a", "ab", "abc", "ac", "\xff", "\xff\xff", "c" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		host_put(host, host->session, keys[i], "");
	range.keys_only = 1;
	assert_string_equal(host_scan(host, host->session, &range), "a ab abc ac b c \xff \xff\xff");
	range.prefix = perdure_text("ab");
	assert_string_equal(host_scan(host, host->session, &range), "ab abc");
	range.from = perdure_text("aba");
	assert_string_equal(host_scan(host, host->session, &range), "abc");
	range.prefix = perdure_text(NULL);
	range.to = perdure_text("c");
	assert_string_equal(host_scan(host, host->session, &range), "abc ac b");
	range.limit = 2;
	assert_string_equal(host_scan(host, host->session, &range), "abc ac");
	range = (struct perdure_range)PERDURE_RANGE_INIT;
	range.prefix = perdure_text("\xff");
	range.keys_only = 1;
	assert_string_equal(host_scan(host, host->session, &range), "\xff \xff\xff");
	range.prefix = perdure_text("zz");
	assert_string_equal(host_scan(host, host->session, &range), "");
	range.prefix = perdure_text("a");
	range.to = perdure_text("a");
	assert_string_equal(host_scan(host, host->session, &range), "");
}

/* More than a portion, and what comes and goes meanwhile. */
/* What the engine keeps in chunks is a string like any other. */
static void test_large_values(void **state)
{
	const size_t size = 3000000;
	struct host *host = *state;
	struct perdure_key_info info;
	struct perdure_value value;
	struct perdure_scan *scan;
	struct perdure_item item;
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 1000);
	assert_ok(host, perdure_put(host->session, ACTOR, perdure_text("k"), perdure_data(bytes, size),
				    &host->err));
	assert_ok(host, perdure_get(host->session, ACTOR, perdure_text("k"), &value, &host->err));
	assert_int_equal(value.size, size);
	assert_memory_equal(value.data, bytes, size);
	perdure_free(value.data);
	assert_ok(host, perdure_look(host->session, ACTOR, perdure_text("k"), &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_STRING);
	assert_int_equal(info.count, size);
	assert_ok(host, perdure_scan_keys(host->session, ACTOR, NULL, &scan, &host->err));
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	assert_int_equal(item.type, PERDURE_TYPE_STRING);
	assert_int_equal(item.value.size, size);
	assert_memory_equal(item.value.data, bytes, size);
	assert_int_equal(perdure_scan_next(scan, &item, &host->err), PERDURE_END);
	perdure_scan_free(scan);
	free(bytes);
}

static void test_long_scan(void **state)
{
	struct host *host = *state;
	struct perdure_scan *scan;
	struct perdure_item item;
	unsigned count = 0;
	char key[32];

	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(key, sizeof key, "key:%06u", i);
		host_put(host, host->session, key, "value");
	}
	assert_ok(host, perdure_scan_keys(host->session, ACTOR, NULL, &scan, &host->err));
	for (; perdure_scan_next(scan, &item, &host->err) == 0; count++) {
		(void)snprintf(key, sizeof key, "key:%06u", count);
		assert_int_equal(item.key.size, strlen(key));
		assert_memory_equal(item.key.data, key, item.key.size);
		assert_int_equal(item.value.size, 5);
		/* Behind the scan, and before it: neither is met. */
		if (count == 1000) {
			assert_ok(host, perdure_delete(host->other, ACTOR, perdure_text("key:000500"), NULL,
						       &host->err));
			host_put(host, host->other, "key:000500x", "new");
		}
	}
	assert_int_equal(count, 3000);
	perdure_scan_free(scan);
}

static int command(struct host *host, struct perdure_session *session, struct perdure_reply **reply,
		   const char *text)
{
	static char copy[256];
	struct perdure_bytes words[16];
	size_t count = 0;
	char *rest = NULL;

	(void)snprintf(copy, sizeof copy, "%s", text);
	for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
		words[count++] = perdure_text(word);
	return perdure_command(session, count, words, reply, &host->err);
}

static void test_commands(void **state)
{
	struct host *host = *state;
	struct perdure_reply *reply;

	assert_ok(host, perdure_session_use(host->session, ACTOR, &host->err));
	assert_ok(host, command(host, host->session, &reply, "SET a hello"));
	assert_int_equal(reply->kind, PERDURE_REPLY_TEXT);
	assert_string_equal(reply->text.data, "OK");
	perdure_reply_free(reply);
	assert_string_equal(host_get(host, host->session, "a"), "hello");
	assert_ok(host, command(host, host->session, &reply, "get {other}a"));
	assert_int_equal(reply->kind, PERDURE_REPLY_NULL);
	perdure_reply_free(reply);
	assert_ok(host, command(host, host->session, NULL, "HSET h a 1 b 2"));
	assert_ok(host, command(host, host->session, &reply, "HGETALL h"));
	assert_int_equal(reply->kind, PERDURE_REPLY_MAP);
	assert_int_equal(reply->count, 4);
	assert_string_equal(reply->items[3].text.data, "2");
	perdure_reply_free(reply);
	assert_ok(host, command(host, host->session, &reply, "SCAN 0 COUNT 100"));
	assert_int_equal(reply->kind, PERDURE_REPLY_LIST);
	assert_string_equal(reply->items[0].text.data, "0");
	assert_int_equal(reply->items[1].count, 2);
	perdure_reply_free(reply);
	assert_ok(host, command(host, host->session, &reply, "HINCRBY h a 41"));
	assert_int_equal(reply->integer, 42);
	perdure_reply_free(reply);
	assert_ok(host, command(host, host->session, &reply, "OBJECT ENCODING a"));
	perdure_reply_free(reply);
	assert_refused(host, command(host, host->session, &reply, "INCR a"), PERDURE_INVALID);
	assert_refused(host, command(host, host->session, &reply, "HGET a f"), PERDURE_WRONG_TYPE);
	assert_refused(host, command(host, host->session, &reply, "GET"), PERDURE_INVALID);
	assert_refused(host, command(host, host->session, &reply, "SUBSCRIBE a"), PERDURE_NOT_SUPPORTED);
	assert_refused(host, command(host, host->session, &reply, ""), PERDURE_INVALID);
}

static void test_moments(void **state)
{
	struct host *host = *state;
	struct perdure_status status = PERDURE_STATUS_INIT;
	struct perdure_receipt receipt;

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_ok(host, perdure_bookmark_check(host->db, receipt.bookmark, &host->err));
	receipt.bookmark[PERDURE_BOOKMARK_SIZE / 2 + 7] = 'f';
	assert_refused(host, perdure_bookmark_check(host->db, receipt.bookmark, &host->err), PERDURE_AGAIN);
	assert_refused(host, perdure_bookmark_check(host->db, "yesterday", &host->err), PERDURE_INVALID);
	assert_ok(host, perdure_sync(host->db, &host->err));
	assert_ok(host, perdure_get_status(host->db, &status, &host->err));
	assert_int_equal(status.keys, 1);
	assert_int_equal(status.lsn, receipt.lsn);
	assert_string_equal(status.trouble, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_strings, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_braces, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_actors_are_apart, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_tenants_are_apart, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_keys, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_hashes, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_ranges, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_large_values, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_long_scan, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_commands, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_moments, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
