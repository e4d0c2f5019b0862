/* The process is killed at any operation of its archiving, the next one goes on, and then the power fails: what was said to be archived is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/catalog.h"
#include "archive/expire.h"
#include "world.h"

/* Nothing that was not made stable survives, for sure. */
static void cut_power(struct arc *arc)
{
	pd_sim_set_chance(arc->host.os, 1, PD_SIM_SURVIVES_NOTHING);
	arc_crash(arc, true);
	pd_sim_set_chance(arc->host.os, 1, PD_SIM_SURVIVES_BY_CHANCE);
}

/* All that is durable is on its way into the store when the process is killed. false: it came to its end. */
static bool killed_at(struct arc *arc, uint64_t n)
{
	bool killed;

	arc_init(arc);
	arc_open(arc);
	assert_int_equal(arc_write(arc, 200), 0);
	pd_sim_crash_at(arc->host.os, n);
	host_advance_ms(&arc->host, 700);
	pd_archive_tick(arc->archive);
	host_advance_ms(&arc->host, 30);
	pd_archive_tick(arc->archive);
	killed = pd_sim_crashed(arc->host.os);
	arc_crash(arc, false);
	return killed;
}

/* The store takes nothing more from whoever goes on; so only what it has found there counts. */
static void test_found(void **state)
{
	uint64_t step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 3;
	unsigned counted = 0;
	struct arc arc;

	(void)state;
	for (uint64_t n = 1; killed_at(&arc, n); n += step) {
		struct pd_archive_fetched fetched;
		struct pd_error err;
		uint64_t archived;

		arc_open(&arc);
		/* Its claim is the first. */
		pd_sim_fail_at(arc.host.os, PD_OS_OP_LINK, 2, ENOSPC);
		arc_tick(&arc);
		archived = arc_status(&arc).archived_lsn;
		cut_power(&arc);
		if (archived > 0 && arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 0, 0 }, archived,
					      &fetched, &err) != 0)
			fail_msg("killed at %u, and LSN %u was said to be archived: %s", (unsigned)n,
				 (unsigned)archived, err.text);
		counted += archived > 0;
		arc_done(&arc);
	}
	arc_done(&arc);
	assert_true(counted > 3);
}

/* A segment's many pieces make way for all of it. Killed meanwhile, what was said to be archived is there. */
static void test_replaced(void **state)
{
	bool killed = true;
	unsigned deaths = 0;

	(void)state;
	for (uint64_t n = 1; killed; n++) {
		struct pd_archive_fetched fetched;
		struct pd_error err;
		struct arc arc;
		uint64_t archived;

		arc_init(&arc);
		arc_open(&arc);
		for (unsigned i = 0; i < 40; i++) {
			assert_int_equal(arc_write(&arc, 1), 0);
			assert_true(arc_settle(&arc));
		}
		assert_int_equal(arc_write(&arc, 200), 0);
		pd_sim_crash_at(arc.host.os, n);
		host_advance_ms(&arc.host, 1000);
		pd_archive_tick(arc.archive);
		archived = arc_status(&arc).archived_lsn;
		killed = pd_sim_crashed(arc.host.os);
		assert_true(archived >= 40);
		cut_power(&arc);
		if (arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 0, 0 }, archived, &fetched, &err) !=
		    0)
			fail_msg("killed at %u, and LSN %u was said to be archived: %s", (unsigned)n,
				 (unsigned)archived, err.text);
		deaths += killed;
		arc_done(&arc);
	}
	assert_true(deaths > 40);
}

/* Killed at the nth operation; 0: not at all. */
static int expire(struct arc *arc, uint64_t before_us, uint64_t n)
{
	struct pd_archive_log log = arc_log(arc, "data");
	struct pd_object_store *store = arc_store(arc);
	struct pd_archive_expired expired;
	int result;

	pd_sim_crash_at(arc->host.os, n);
	result = pd_archive_expire(store, &log, before_us, false, &expired, &arc->host.err);
	pd_object_store_free(store);
	return result;
}

static void test_expire(void **state)
{
	bool killed = true;

	(void)state;
	for (uint64_t n = 1; killed; n++) {
		struct pd_archive_catalog catalog;
		struct pd_archive_fetched fetched;
		struct pd_log_position from;
		struct pd_object_store *store;
		struct pd_archive_log log;
		struct pd_error err;
		struct arc arc;
		uint64_t middle_us = 0;

		arc_init(&arc);
		arc_open(&arc);
		for (unsigned i = 0; i < 4; i++) {
			host_advance_ms(&arc.host, UINT64_C(86400000));
			if (i == 2)
				middle_us = pd_os_real_us(arc.host.os);
			assert_int_equal(arc_write(&arc, 400), 0);
			assert_true(arc_settle(&arc));
		}
		(void)!expire(&arc, middle_us, n);
		killed = pd_sim_crashed(arc.host.os);
		arc_crash(&arc, false);
		if (expire(&arc, middle_us, 0) != 0)
			fail_msg("killed at %u, and again: %s", (unsigned)n, arc.host.err.text);
		cut_power(&arc);
		log = arc_log(&arc, "data");
		store = arc_store(&arc);
		pd_archive_catalog_init(&catalog);
		assert_int_equal(pd_archive_catalog_load(&catalog, store, &log, 0, &err), 0);
		pd_object_store_free(store);
		assert_int_equal(catalog.run_count, 1);
		if (catalog.runs[0].broken)
			fail_msg("killed at %u: LSN %u and on is missing", (unsigned)n,
				 (unsigned)catalog.runs[0].missing_lsn);
		from = (struct pd_log_position){ catalog.items[catalog.runs[0].first].part.stretch.epoch,
						 catalog.runs[0].first_lsn };
		assert_true(from.lsn > 1);
		if (arc_fetch(&arc, "rebuilt", from, catalog.runs[0].last_lsn, &fetched, &err) != 0)
			fail_msg("killed at %u: %s", (unsigned)n, err.text);
		pd_archive_catalog_done(&catalog);
		arc_done(&arc);
	}
}

/* What was fetched is there when the power fails right after. */
static void test_fetched(void **state)
{
	struct pd_archive_fetched fetched;
	struct pd_hash128 hash;
	struct pd_error err;
	struct host other;
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 400), 0);
	assert_true(arc_settle(&arc));
	hash = host_hash(&arc.host, "main");
	assert_int_equal(
		arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 0, 0 }, UINT64_MAX, &fetched, &err), 0);
	assert_true(fetched.segments > 1);
	/* The caller's own, around the log. */
	assert_int_equal(pd_os_sync_directory(arc.host.os, "rebuilt", &err), 0);
	assert_int_equal(pd_os_sync_directory(arc.host.os, ".", &err), 0);
	cut_power(&arc);
	other = arc.host;
	pd_buffer_init(&other.reply, 1 << 20);
	other.options.data_directory = "rebuilt";
	host_open(&other);
	assert_int_equal(other.recovery.damage_count, 0);
	assert_same_hash(host_hash(&other, "main"), hash);
	host_close(&other);
	pd_buffer_done(&other.reply);
	arc_done(&arc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_fetched),
	};

	return cmocka_run_group_tests_name("archive_killed", tests, NULL, NULL);
}
