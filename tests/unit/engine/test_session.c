/* Sessions: names that are none, tenants that are nobody's business, cursors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "host.h"

static void begin(struct host *host)
{
	host_init(host);
	host_open(host);
}

static void end(struct host *host)
{
	host_close(host);
	host_done(host);
}

static int use(struct host *host, const char *name)
{
	return pd_session_use(host->session, pd_slice_string(name), &host->err);
}

static void assert_place(const struct host *host, const char *tenant, const char *actor)
{
	assert_true(pd_slice_equal(pd_session_tenant(host->session), pd_slice_string(tenant)));
	assert_true(pd_slice_equal(pd_session_actor(host->session), pd_slice_string(actor)));
}

static void test_names_that_are_none(void **state)
{
	static const char *const wrong[] = { "/", "a/", "/a", "a/b/c", "{a}", "a}", "t{/a" };
	char name[PD_NAME_SIZE_MAX + 2];
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(use(&host, "shop/cart"), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(use(&host, wrong[i]), PD_INVALID);
		assert_non_null(strstr(host.err.text, wrong[i]));
		assert_place(&host, "shop", "cart"); /* where it was */
	}
	memset(name, 'n', sizeof name);
	name[PD_NAME_SIZE_MAX + 1] = '\0';
	assert_int_equal(use(&host, name), PD_INVALID);
	name[PD_NAME_SIZE_MAX] = '\0';
	assert_int_equal(use(&host, name), 0);
	assert_place(&host, "default", name);
	assert_int_equal(use(&host, ""), 0);
	assert_place(&host, "default", "main");
	end(&host);
}

static void test_confined_to_a_tenant(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(pd_session_set_home(host.session, pd_slice_string("a/b"), true, &host.err),
			 PD_INVALID);
	assert_non_null(strstr(host.err.text, "'a/b' is no tenant's name"));
	assert_place(&host, "default", "main");
	assert_int_equal(pd_session_set_home(host.session, pd_slice_string("shop"), true, &host.err), 0);
	assert_place(&host, "shop", "main");
	assert_int_equal(use(&host, "bank/till"), PD_PERMISSION);
	assert_non_null(strstr(host.err.text, "'shop'"));
	assert_place(&host, "shop", "main");
	assert_int_equal(use(&host, "shop/till"), 0);
	assert_place(&host, "shop", "till");
	/* One that is at home there, and free to go. */
	assert_int_equal(pd_session_set_home(host.session, pd_slice_string("shop"), false, &host.err), 0);
	assert_int_equal(use(&host, "bank/till"), 0);
	assert_place(&host, "bank", "till");
	end(&host);
}

/* It is copied; without memory for that, the old one stays. */
static void test_client_text(void **state)
{
	struct host host;
	char text[] = "first";

	(void)state;
	begin(&host);
	assert_int_equal(pd_session_set_client_text(host.session, text), 0);
	text[0] = 'x';
	assert_string_equal(host.session->client_text, "first");
	pd_memory_fail(1, 0);
	assert_int_equal(pd_session_set_client_text(host.session, "second"), PD_NO_MEMORY);
	assert_string_equal(host.session->client_text, "first");
	assert_int_equal(pd_session_set_client_text(host.session, "third"), 0);
	assert_string_equal(host.session->client_text, "third");
	end(&host);
}

/* ---- cursors ---- */

static uint64_t save(struct host *host, const char *name)
{
	return pd_txn_cursor_save(&host->engine->txn, 7, pd_slice_string(name));
}

static bool stands_for(struct host *host, uint64_t cursor, const char *name)
{
	struct pd_slice found;
	uint64_t actor;

	return pd_txn_cursor_load(&host->engine->txn, cursor, &actor, &found) && actor == 7 &&
	       pd_slice_equal(found, pd_slice_string(name));
}

static bool is_known(struct host *host, uint64_t cursor)
{
	struct pd_slice found;
	uint64_t actor;

	return pd_txn_cursor_load(&host->engine->txn, cursor, &actor, &found);
}

static void test_a_cursor_can_be_used_again(void **state)
{
	struct host host;
	uint64_t first, second;

	(void)state;
	begin(&host);
	assert_false(is_known(&host, 0));
	assert_false(is_known(&host, 1));
	first = save(&host, "one");
	second = save(&host, "");
	assert_int_not_equal(first, 0);
	assert_int_not_equal(second, first);
	assert_true(stands_for(&host, first, "one"));
	assert_true(stands_for(&host, second, ""));
	assert_true(stands_for(&host, first, "one"));
	assert_false(is_known(&host, second + 1));
	assert_false(is_known(&host, first + PD_CURSORS_MAX)); /* which would be at its place */
	end(&host);
}

static void test_the_oldest_cursors_go(void **state)
{
	struct host host;
	uint64_t first, last = 0;

	(void)state;
	begin(&host);
	first = save(&host, "first");
	for (unsigned i = 0; i < PD_CURSORS_MAX; i++)
		last = save(&host, "another");
	assert_false(is_known(&host, first));
	assert_true(stands_for(&host, last, "another"));
	assert_int_equal(last, first + PD_CURSORS_MAX);
	assert_int_equal(host.engine->cursors.bytes, PD_CURSORS_MAX * strlen("another"));
	end(&host);
}

/* However few they are: their names together have a limit. */
static void test_long_names_have_less_room(void **state)
{
	size_t size = PD_CURSOR_BYTES_MAX / 8 + 1;
	char *name = malloc(size + 1);
	uint64_t cursors[10];
	struct host host;

	(void)state;
	assert_non_null(name);
	memset(name, 'n', size);
	name[size] = '\0';
	begin(&host);
	for (unsigned i = 0; i < 10; i++) {
		cursors[i] = save(&host, name);
		assert_true(host.engine->cursors.bytes <= PD_CURSOR_BYTES_MAX);
	}
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(is_known(&host, cursors[i]), i >= 3);
	free(name);
	end(&host);
}

static void test_without_memory_there_is_no_cursor(void **state)
{
	struct host host;
	uint64_t kept;

	(void)state;
	for (unsigned long n = 1; n <= 2; n++) {
		begin(&host);
		pd_memory_fail(n, 0);
		assert_int_equal(save(&host, "name"), 0);
		assert_int_equal(pd_memory_fail_left(), 0);
		end(&host);
	}
	begin(&host);
	kept = save(&host, "kept");
	pd_memory_fail(1, 0);
	assert_int_equal(save(&host, "name"), 0);
	assert_true(stands_for(&host, kept, "kept"));
	end(&host);
}

/* Whatever a connection has asked for by itself tells it from a new one. */
static void test_what_is_special(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	assert_false(pd_session_is_special(host.session));
	assert_int_equal(pd_session_set_level(host.session, PD_LEVEL_STANDARD, &host.err), 0);
	assert_true(pd_session_is_special(host.session));
	assert_int_equal(pd_session_set_level(host.session, PD_LEVEL_UNSET, &host.err), 0);
	assert_false(pd_session_is_special(host.session));
	pd_session_set_read_strict(host.session, true);
	assert_true(pd_session_is_special(host.session));
	pd_session_set_read_strict(host.session, false);
	assert_int_equal(use(&host, "shop/cart"), 0);
	assert_true(pd_session_is_special(host.session));
	assert_int_equal(use(&host, ""), 0);
	assert_false(pd_session_is_special(host.session));
	end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_confined_to_a_tenant),
		cmocka_unit_test(test_client_text),
		cmocka_unit_test(test_what_is_special),
		cmocka_unit_test(test_a_cursor_can_be_used_again),
		cmocka_unit_test(test_the_oldest_cursors_go),
		cmocka_unit_test(test_long_names_have_less_room),
		cmocka_unit_test(test_without_memory_there_is_no_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
