/* Views: one moment, whatever happens meanwhile. */
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static struct perdure_view *open_view(struct host *host)
{
	struct perdure_view *view;

	assert_ok(host, perdure_view_new(host->session, &view, &host->err));
	return view;
}

static const char *view_get(struct host *host, struct perdure_view *view, const char *key)
{
	static char text[64];
	struct perdure_value value;
	int result = perdure_view_get(view, ACTOR, perdure_text(key), &value, &host->err);

	if (result == PERDURE_NOT_FOUND)
		return "";
	assert_ok(host, result);
	(void)snprintf(text, sizeof text, "%s", (const char *)value.data);
	perdure_free(value.data);
	return text;
}

static const char *items(struct host *host, struct perdure_scan *scan)
{
	static char text[1024];
	struct perdure_item item;
	size_t size = 0;
	int result;

	text[0] = '\0';
	while ((result = perdure_scan_next(scan, &item, &host->err)) == 0)
		size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s=%.*s", size > 0 ? " " : "",
					 (int)item.key.size, (const char *)item.key.data,
					 (int)item.value.size,
					 item.value.data != NULL ? (const char *)item.value.data : "");
	assert_int_equal(result, PERDURE_END);
	perdure_scan_free(scan);
	return text;
}

static void test_stands_still(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes h = perdure_text("h");
	struct perdure_range range = PERDURE_RANGE_INIT;
	struct perdure_receipt moment, receipt;
	struct perdure_key_info info;
	struct perdure_value value;
	struct perdure_view *view;
	struct perdure_scan *scan;

	host_put(host, host->session, "a", "1");
	host_put(host, host->session, "b", "2");
	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("f"), perdure_text("x"), NULL,
					 &host->err));
	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("g"), perdure_text("y"), NULL,
					 &host->err));
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	view = open_view(host);
	host_put(host, host->session, "a", "3");
	host_put(host, host->session, "c", "4");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("b"), NULL, &host->err));
	assert_ok(host, perdure_delete(host->session, ACTOR, h, NULL, &host->err));

	assert_ok(host, perdure_view_moment(view, &moment, &host->err));
	assert_string_equal(moment.bookmark, receipt.bookmark);
	assert_string_equal(view_get(host, view, "a"), "1");
	assert_string_equal(view_get(host, view, "b"), "2");
	assert_string_equal(view_get(host, view, "c"), "");
	assert_ok(host, perdure_view_scan_keys(view, ACTOR, NULL, &scan, &host->err));
	assert_string_equal(items(host, scan), "a=1 b=2 h=");
	range.from = perdure_text("b");
	range.to = perdure_text("h");
	assert_ok(host, perdure_view_scan_keys(view, ACTOR, &range, &scan, &host->err));
	assert_string_equal(items(host, scan), "b=2");
	assert_ok(host, perdure_view_hash_scan(view, ACTOR, h, NULL, &scan, &host->err));
	assert_string_equal(items(host, scan), "f=x g=y");
	assert_ok(host, perdure_view_hash_get(view, ACTOR, h, perdure_text("g"), &value, &host->err));
	assert_string_equal(value.data, "y");
	perdure_free(value.data);
	assert_ok(host, perdure_view_look(view, ACTOR, h, &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_HASH);
	assert_int_equal(info.count, 2);
	assert_refused(host, perdure_view_get(view, ACTOR, h, &value, &host->err), PERDURE_WRONG_TYPE);
	assert_refused(host, perdure_view_hash_get(view, ACTOR, h, perdure_text("none"), &value, &host->err),
		       PERDURE_NOT_FOUND);
	assert_ok(host, perdure_view_look(view, perdure_text("nobody"), h, &info, &host->err));
	assert_int_equal(info.type, PERDURE_TYPE_NONE);
	assert_ok(host, perdure_view_scan_keys(view, perdure_text("nobody"), NULL, &scan, &host->err));
	assert_string_equal(items(host, scan), "");
	perdure_view_free(view);
	assert_string_equal(host_scan(host, host->session, NULL), "a=3 c=4");
}

/* A dropped actor is still there for whoever has seen it. */
static void test_outlives_a_drop(void **state)
{
	struct host *host = *state;
	struct perdure_view *view;

	host_put(host, host->session, "a", "1");
	view = open_view(host);
	assert_ok(host, perdure_actor_drop(host->session, ACTOR, &host->err));
	assert_string_equal(view_get(host, view, "a"), "1");
	perdure_view_free(view);
	view = open_view(host);
	assert_string_equal(view_get(host, view, "a"), "");
	perdure_view_free(view);
}

static void test_long_scan(void **state)
{
	struct host *host = *state;
	struct perdure_view *view;
	struct perdure_scan *scan;
	struct perdure_item item;
	unsigned count = 0;
	char key[32];

	assert_ok(host, perdure_session_set_level(host->session, PERDURE_LEVEL_PERFORMANCE, &host->err));
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(key, sizeof key, "key:%06u", i);
		host_put(host, host->session, key, "value");
	}
	view = open_view(host);
	assert_ok(host, perdure_view_scan_keys(view, ACTOR, NULL, &scan, &host->err));
	for (; perdure_scan_next(scan, &item, &host->err) == 0; count++) {
		(void)snprintf(key, sizeof key, "key:%06u", count);
		assert_int_equal(item.key.size, strlen(key));
		assert_memory_equal(item.key.data, key, item.key.size);
		(void)snprintf(key, sizeof key, "key:%06u", 2999 - count);
		assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text(key), NULL, &host->err));
	}
	assert_int_equal(host->err.code, PERDURE_END);
	assert_int_equal(count, 3000);
	perdure_scan_free(scan);
	perdure_view_free(view);
}

static void test_ends(void **state)
{
	struct host *host = *state;
	struct perdure_view *view;
	struct perdure_value value;
	struct perdure_scan *scan;
	struct perdure_item item;
	struct perdure_receipt moment;
	char key[8];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof key, "%u", i);
		host_put(host, host->session, key, "1");
	}
	assert_refused(host, perdure_view_new(NULL, &view, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_view_new(host->session, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_view_get(NULL, ACTOR, ACTOR, &value, &host->err), PERDURE_INVALID);
	view = open_view(host);
	assert_refused(host, perdure_view_get(view, ACTOR, ACTOR, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_view_scan_keys(view, ACTOR, NULL, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_view_moment(view, NULL, &host->err), PERDURE_INVALID);
	assert_ok(host, perdure_view_scan_keys(view, ACTOR, NULL, &scan, &host->err));
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	perdure_view_free(view);
	while (perdure_scan_next(scan, &item, &host->err) == 0)
		;
	assert_int_equal(host->err.code, PERDURE_INVALID);
	perdure_scan_free(scan);

	/* And when the directory is closed under it. */
	view = open_view(host);
	host_close(host);
	assert_refused(host, perdure_view_get(view, ACTOR, perdure_text("1"), &value, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_view_moment(view, &moment, &host->err), PERDURE_INVALID);
	perdure_view_free(view);
	perdure_view_free(NULL);
	host_open(host);
}

static void test_not_in_memory(void **state)
{
	struct host *host = *state;
	struct perdure_view *view;

	assert_refused(host, perdure_view_new(host->session, &view, &host->err), PERDURE_NOT_SUPPORTED);
}

/* ---- beside writers ---- */

struct reader {
	struct host *host;
	pthread_t thread;
	unsigned views;
	int result;
	struct perdure_error err;
};

/* Both halves of a pair are always of one transaction. */
static int look_at_pair(struct perdure_view *view, struct reader *reader)
{
	struct perdure_value left = { NULL, 0, 0, 0 }, right = { NULL, 0, 0, 0 };
	int result = perdure_view_get(view, ACTOR, perdure_text("left"), &left, &reader->err);

	if (result == 0)
		result = perdure_view_get(view, perdure_text("user:43"), perdure_text("right"), &right,
					  &reader->err);
	if (result == 0 && strcmp(left.data, right.data) != 0)
		result = 1;
	perdure_free(left.data);
	perdure_free(right.data);
	return result;
}

static atomic_bool writers_stop;

static void *read_pairs(void *argument)
{
	struct reader *reader = argument;
	struct perdure_session *session;

	reader->result = perdure_session_new(reader->host->db, NULL, &session, &reader->err);
	while (reader->result == 0 && !atomic_load(&writers_stop)) {
		struct perdure_view *view;

		reader->result = perdure_view_new(session, &view, &reader->err);
		if (reader->result != 0)
			break;
		for (unsigned i = 0; reader->result == 0 && i < 10; i++)
			reader->result = look_at_pair(view, reader);
		perdure_view_free(view);
		reader->views++;
	}
	perdure_session_free(session);
	return NULL;
}

static void put_pair(struct host *host, unsigned i)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%u", i);
	host_begin(host, host->session);
	host_put(host, host->session, "left", text);
	assert_ok(host, perdure_put(host->session, perdure_text("user:43"), perdure_text("right"),
				    perdure_text(text), &host->err));
	host_commit(host, host->session);
}

static void test_beside_writers(void **state)
{
	struct host *host = *state;
	struct reader readers[4];

	put_pair(host, 0);
	atomic_store(&writers_stop, false);
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ .host = host };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_pairs, &readers[i]), 0);
	}
	for (unsigned i = 1; i < 150; i++)
		put_pair(host, i);
	atomic_store(&writers_stop, true);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		if (readers[i].result != 0)
			fail_msg("reader %u: %s", i,
				 readers[i].result > 0 ? "halves of two" : readers[i].err.text);
		assert_true(readers[i].views > 0);
	}
}

/* ---- a view that two threads have ---- */

struct sharer {
	struct perdure_view *view;
	atomic_bool stop;
	unsigned wrong;
};

/* Begin scans over another actor, whose name is longer. */
static void *begin_scans(void *argument)
{
	struct sharer *sharer = argument;
	struct perdure_bytes other = perdure_text(
		"somebody-else-with-a-name-that-is-much-longer-than-the-one-of-the-reader");

	while (!atomic_load(&sharer->stop)) {
		struct perdure_scan *scan;
		struct perdure_item item;
		struct perdure_error err;
		int result = perdure_view_scan_keys(sharer->view, other, NULL, &scan, &err);

		if (result == PERDURE_INVALID)
			continue;
		if (result == 0) {
			result = perdure_scan_next(scan, &item, &err);
			sharer->wrong += result != PERDURE_END && result != PERDURE_INVALID;
			perdure_scan_free(scan);
		} else {
			sharer->wrong++;
		}
	}
	return NULL;
}

/* Two at once are refused, and neither gets what the other asked for. */
static void test_shared_view(void **state)
{
	struct host *host = *state;
	struct sharer sharer = { .wrong = 0 };
	pthread_t thread;

	host_put(host, host->session, "a", "1");
	sharer.view = open_view(host);
	atomic_init(&sharer.stop, false);
	assert_int_equal(pthread_create(&thread, NULL, begin_scans, &sharer), 0);
	for (unsigned i = 0; i < 30000; i++) {
		struct perdure_value value;
		int result = perdure_view_get(sharer.view, ACTOR, perdure_text("a"), &value, &host->err);

		if (result != 0 && result != PERDURE_INVALID)
			fail_msg("%s", host->err.text);
		if (result == 0)
			perdure_free(value.data);
	}
	atomic_store(&sharer.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sharer.wrong, 0);
	perdure_view_free(sharer.view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stands_still, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_outlives_a_drop, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_long_scan, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_ends, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_not_in_memory, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_beside_writers, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_shared_view, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
