/* What an archive lets go of, and when: by the times of its records, whatever crashes meanwhile, and nothing of it while somebody holds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/catalog.h"
#include "archive/expire.h"
#include "world.h"

#define DAY_MS UINT64_C(86400000)

/* A week, each day with some segments. Returns when each began. */
static void live_a_week(struct arc *arc, uint64_t days_us[7])
{
	for (unsigned i = 0; i < 7; i++) {
		host_advance_ms(&arc->host, DAY_MS);
		days_us[i] = pd_os_real_us(arc->host.os);
		assert_int_equal(arc_write(arc, 400), 0);
		assert_true(arc_settle(arc));
	}
}

static int expire(struct arc *arc, uint64_t before_us, bool dry_run, struct pd_archive_expired *ret_expired)
{
	struct pd_archive_log log = arc_log(arc, "data");
	struct pd_object_store *store = arc_store(arc);
	int result = pd_archive_expire(store, &log, before_us, dry_run, ret_expired, &arc->host.err);

	pd_object_store_free(store);
	return result;
}

/* There is one run, which begins by then at the latest and ends with the log; what is in it can be fetched. */
static void expect_run(struct arc *arc, uint64_t by_us)
{
	struct pd_archive_catalog catalog;
	struct pd_archive_fetched fetched;
	struct pd_log_position from;
	struct pd_error err;

	arc_load(arc, &catalog);
	assert_int_equal(catalog.run_count, 1);
	assert_false(catalog.runs[0].broken);
	assert_int_equal(catalog.runs[0].last_lsn, host_lsn(&arc->host));
	assert_true(catalog.runs[0].first_time_us <= by_us);
	from = (struct pd_log_position){ catalog.items[catalog.runs[0].first].part.stretch.epoch,
					 catalog.runs[0].first_lsn };
	if (arc_fetch(arc, "rebuilt", from, UINT64_MAX, &fetched, &err) != 0)
		fail_msg("what is left cannot be fetched: %s", err.text);
	assert_int_equal(fetched.first_lsn, from.lsn);
	assert_int_equal(fetched.last_lsn, host_lsn(&arc->host));
	pd_archive_catalog_done(&catalog);
}

static void test_expire(void **state)
{
	struct pd_archive_expired expired, dry;
	struct pd_archive_catalog catalog;
	struct arc arc;
	uint64_t days_us[7];

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	live_a_week(&arc, days_us);
	assert_int_equal(expire(&arc, days_us[3], true, &dry), 0);
	assert_true(dry.objects > 0 && dry.first_lsn > 1);
	arc_load(&arc, &catalog);
	assert_int_equal(catalog.runs[0].first_lsn, 1);
	pd_archive_catalog_done(&catalog);
	assert_int_equal(expire(&arc, days_us[3], false, &expired), 0);
	assert_int_equal(expired.objects, dry.objects);
	assert_int_equal(expired.first_lsn, dry.first_lsn);
	expect_run(&arc, days_us[3]);
	arc_load(&arc, &catalog);
	assert_int_equal(catalog.runs[0].first_lsn, expired.first_lsn);
	assert_int_equal(catalog.expired_count, 0);
	pd_archive_catalog_done(&catalog);
	/* It goes on, also in the next process; and more may go. */
	arc_close(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 200), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(arc_status(&arc).gaps, 0);
	expect_run(&arc, days_us[3]);
	assert_int_equal(expire(&arc, days_us[5], false, &expired), 0);
	assert_true(expired.objects > 0);
	expect_run(&arc, days_us[5]);
	/* Whatever is asked for, the newest segment stays. */
	assert_int_equal(expire(&arc, UINT64_MAX, false, &expired), 0);
	expect_run(&arc, UINT64_MAX);
	assert_int_equal(arc_write(&arc, 200), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(arc_status(&arc).gaps, 0);
	arc_close(&arc);
	arc_done(&arc);
}

struct holding {
	struct arc *arc;
	unsigned left; /* calls, until the archive is held */
};

static bool hold_meanwhile(void *context, uint64_t done_bytes)
{
	struct holding *holding = context;
	struct pd_archive_log log = arc_log(holding->arc, "data");
	struct pd_object_store *store;
	struct pd_error err;

	(void)done_bytes;
	if (holding->left == 0 || --holding->left > 0)
		return true;
	store = arc_store(holding->arc);
	assert_int_equal(pd_archive_hold(store, &log, "meanwhile", "a letter", 1, &err), 0);
	pd_object_store_free(store);
	return true;
}

/* Whoever holds the archive while much of it goes stops that soon, and what is left is a run. */
static void test_hold_meanwhile(void **state)
{
	struct pd_archive_expired expired;
	struct pd_object_store *store;
	struct pd_archive_log log;
	struct arc arc;
	struct holding holding = { &arc, 60 };
	struct pd_object_watch watch = { hold_meanwhile, &holding };
	uint64_t days_us[7];
	uint64_t all;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	for (unsigned i = 0; i < 3; i++)
		live_a_week(&arc, days_us);
	assert_int_equal(expire(&arc, UINT64_MAX, true, &expired), 0);
	all = expired.objects;
	log = arc_log(&arc, "data");
	store = arc_store(&arc);
	pd_object_store_watch(store, &watch);
	assert_int_equal(pd_archive_expire(store, &log, UINT64_MAX, false, &expired, &arc.host.err), 0);
	pd_object_store_free(store);
	assert_int_equal(holding.left, 0);
	assert_true(expired.held);
	assert_string_equal(expired.hold, "meanwhile");
	assert_true(expired.objects > 0 && expired.objects < all);
	expect_run(&arc, UINT64_MAX);
	/* When it is released, the rest goes; and of what was said about the base's beginning only the last is left. */
	store = arc_store(&arc);
	assert_int_equal(pd_archive_release(store, &log, "meanwhile", &arc.host.err), 0);
	assert_int_equal(pd_archive_expire(store, &log, UINT64_MAX, false, &expired, &arc.host.err), 0);
	{
		struct pd_object_page page;
		unsigned keeps = 0;

		assert_int_equal(pd_object_list(store, "", NULL, PD_OBJECT_PAGE_MAX, &page, &arc.host.err),
				 0);
		for (size_t i = 0; i < page.count; i++)
			keeps += strstr(page.entries[i].name, "/KEEP-") != NULL;
		pd_object_page_done(&page);
		assert_int_equal(keeps, 1);
	}
	pd_object_store_free(store);
	expect_run(&arc, UINT64_MAX);
	arc_close(&arc);
	arc_done(&arc);
}

/* A crash, or a failure, at every step. */
static void test_expire_crashes(void **state)
{
	uint64_t step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 7;

	(void)state;
	for (uint64_t n = 1, over = 0; over == 0; n += step) {
		struct pd_archive_expired expired;
		struct pd_object_store *store;
		struct pd_archive_log log;
		struct arc arc;
		uint64_t days_us[7];

		arc_init(&arc);
		pd_sim_set_chance(arc.host.os, n, PD_SIM_SURVIVES_BY_CHANCE);
		arc_open(&arc);
		live_a_week(&arc, days_us);
		log = arc_log(&arc, "data");
		store = arc_store(&arc);
		pd_sim_crash_at(arc.host.os, n);
		over = pd_archive_expire(store, &log, days_us[3], false, &expired, &arc.host.err) == 0 &&
		       !pd_sim_crashed(arc.host.os);
		pd_object_store_free(store);
		if (!pd_sim_crashed(arc.host.os))
			pd_sim_crash_at(arc.host.os, 0);
		arc_crash(&arc, n % 2 == 0);
		arc_open(&arc);
		assert_true(arc_settle(&arc));
		assert_int_equal(arc_status(&arc).gaps, 0);
		expect_run(&arc, days_us[3]);
		assert_int_equal(expire(&arc, days_us[3], false, &expired), 0);
		expect_run(&arc, days_us[3]);
		arc_close(&arc);
		arc_done(&arc);
	}
}

static int count_hold(void *context, const char *name, struct pd_slice text, struct pd_error *err)
{
	(void)err;
	assert_string_equal(name, "case-1");
	assert_true(text.size > 0);
	(*(unsigned *)context)++;
	return 0;
}

/* By itself; but for what somebody holds. */
static void test_retention(void **state)
{
	struct pd_archive_expired expired;
	struct pd_archive_catalog catalog;
	struct pd_archive_log log;
	struct pd_object_store *store;
	struct arc arc;
	struct pd_error *err = &arc.host.err;
	uint64_t days_us[7];
	unsigned holds = 0;

	(void)state;
	arc_init(&arc);
	arc.retention_s = 3 * 86400;
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 10), 0);
	assert_true(arc_settle(&arc));
	log = arc_log(&arc, "data");
	store = arc_store(&arc);
	assert_int_equal(pd_archive_hold(store, &log, "no/name", "x", 1, err), PD_INVALID);
	assert_int_equal(pd_archive_hold(store, &log, "case-1", "because", 1, err), 0);
	assert_int_equal(pd_archive_hold(store, &log, "case-1", "because", 1, err), PD_EXISTS);
	assert_int_equal(pd_archive_holds(store, &log, count_hold, &holds, err), 0);
	assert_int_equal(holds, 1);
	live_a_week(&arc, days_us);
	arc_load(&arc, &catalog);
	assert_int_equal(catalog.runs[0].first_lsn, 1);
	pd_archive_catalog_done(&catalog);
	assert_string_equal(arc_status(&arc).hold, "case-1");
	assert_int_equal(expire(&arc, UINT64_MAX, false, &expired), 0);
	assert_true(expired.held);
	assert_int_equal(expired.objects, 0);
	assert_int_equal(pd_archive_release(store, &log, "case-1", err), 0);
	assert_int_equal(pd_archive_release(store, &log, "case-1", err), PD_NOT_FOUND);
	host_advance_ms(&arc.host, DAY_MS);
	/* A clock that jumps ahead lets nothing go that is young. */
	pd_sim_jump_real_us(arc.host.os, INT64_C(86400000000) * 365);
	assert_int_equal(arc_write(&arc, 10), 0);
	assert_true(arc_settle(&arc));
	assert_true(arc_status(&arc).expired > 0);
	assert_string_equal(arc_status(&arc).hold, "");
	expect_run(&arc, days_us[6]);
	pd_object_store_free(store);
	arc_close(&arc);
	arc_done(&arc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_hold_meanwhile),
		cmocka_unit_test(test_expire_crashes),
		cmocka_unit_test(test_retention),
	};

	return cmocka_run_group_tests_name("archive_expire", tests, NULL, NULL);
}
