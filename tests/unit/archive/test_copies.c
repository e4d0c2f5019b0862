/* Two that archive into one place: copies of a directory do not mix. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void expect_all(struct arc *arc)
{
	if (!arc_settle(arc))
		fail_msg("not archived: LSN %llu of %llu, %s: %s",
			 (unsigned long long)arc_status(arc).archived_lsn,
			 (unsigned long long)host_lsn(&arc->host),
			 pd_archive_state_name(arc_status(arc).state), arc_status(arc).failure);
	arc_expect_rebuilt(arc, host_lsn(&arc->host), host_hash(&arc->host, "main"));
}

static void expect_refused(struct arc *arc)
{
	assert_int_equal(arc_write(arc, 30), 0);
	for (unsigned i = 0; i < 20; i++)
		arc_tick(arc);
	assert_int_equal(arc_status(arc).state, PD_ARCHIVE_REFUSED);
	assert_non_null(strstr(arc_status(arc).failure, "address of its own"));
}

/* Another server of the same machine, on a copy of the directory. */
static struct arc beside(const struct arc *arc, const char *directory)
{
	struct arc other = *arc;

	other.archive = NULL;
	other.host.engine = NULL;
	memset(other.host.sessions, 0, sizeof other.host.sessions);
	pd_buffer_init(&other.host.reply, 1 << 20);
	other.host.options.data_directory = directory;
	pd_sim_advance_us(arc->host.os, 1000000);
	return other;
}

static void test_fork(void **state)
{
	struct arc arc, other;
	struct pd_hash128 hash;
	uint64_t lsn;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 300), 0);
	assert_true(arc_settle(&arc));
	arc_close(&arc);
	arc_copy(&arc, "data", "fork");
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	/* The copy begins the same epoch. */
	other = beside(&arc, "fork");
	arc_open(&other);
	expect_refused(&other);
	arc_close(&other);
	/* The first goes on. */
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	/* With more epochs than the first: still others'. */
	arc_open(&other);
	expect_refused(&other);
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	lsn = host_lsn(&arc.host);
	hash = host_hash(&arc.host, "main");
	arc_expect_rebuilt(&arc, lsn, hash);
	arc_close(&other);
	pd_buffer_done(&other.host.reply);
	arc_close(&arc);
	arc_done(&arc);
}

/* One restored to an earlier moment, beside the one that lives: its epochs are later than any of that. It is refused, and the other archives on. */
static void test_restored_beside(void **state)
{
	struct arc arc, other;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 300), 0);
	assert_true(arc_settle(&arc));
	arc_close(&arc);
	arc_copy(&arc, "data", "restored");
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 300), 0);
	assert_true(arc_settle(&arc));
	other = beside(&arc, "restored");
	other.host.options.epoch_least = 5000;
	for (unsigned i = 0; i < 3; i++) {
		arc_open(&other);
		expect_refused(&other);
		arc_close(&other);
		assert_int_equal(arc_write(&arc, 50), 0);
		expect_all(&arc);
	}
	/* Nor after a restart. */
	arc_close(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 50), 0);
	expect_all(&arc);
	pd_buffer_done(&other.host.reply);
	arc_close(&arc);
	arc_done(&arc);
}

/* An older copy of the directory is put in its place: the archive has what it has not. */
static void test_older_copy(void **state)
{
	struct arc arc;
	struct pd_error err;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 100), 0);
	assert_true(arc_settle(&arc));
	arc_close(&arc);
	arc_copy(&arc, "data", "older");
	for (unsigned i = 0; i < 3; i++) {
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 100), 0);
		assert_true(arc_settle(&arc));
		arc_close(&arc);
	}
	assert_int_equal(pd_os_remove_tree(arc.host.os, "data", &err), 0);
	assert_int_equal(pd_os_rename(arc.host.os, "older", "data", &err), 0);
	pd_sim_advance_us(arc.host.os, 1000000);
	for (unsigned i = 0; i < 6; i++) {
		arc_open(&arc);
		expect_refused(&arc);
		arc_close(&arc);
	}
	arc_done(&arc);
}

/* A directory of what was archived up to some moment: what came after that is lost there, and nothing of it is taken for something else. */
static void test_fetched_epoch(void **state)
{
	struct pd_archive_fetched fetched;
	struct pd_error err;
	struct arc arc, other;
	uint64_t epoch, lsn, first;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	arc_close(&arc);
	assert_int_equal(arc_fetch(&arc, "fetched", (struct pd_log_position){ 0, 0 }, 20, &fetched, &err), 0);
	/* It lives on for some epochs. */
	for (unsigned i = 0; i < 3; i++) {
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 50), 0);
		arc_close(&arc);
	}
	other = beside(&arc, "fetched");
	host_open(&other.host);
	pd_engine_now(other.host.engine, &first, &lsn);
	assert_true(first > 4000);
	assert_int_equal(arc_write(&other, 200), 0);
	for (epoch = 2; epoch <= 4; epoch++)
		assert_int_not_equal(pd_engine_check_bookmark(other.host.engine, epoch, fetched.last_lsn + 2),
				     0);
	assert_int_equal(pd_engine_check_bookmark(other.host.engine, 1, 20), 0);
	/* After that its epochs follow each other. */
	host_close(&other.host);
	host_open(&other.host);
	pd_engine_now(other.host.engine, &epoch, &lsn);
	assert_int_equal(epoch, first + 1);
	host_close(&other.host);
	pd_buffer_done(&other.host.reply);
	arc_done(&arc);
}

/* Of two that begin the same epoch, and of which nobody has archived any of it, one does and the other does not: in whatever place the store failed the first. */
static void test_at_once(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 60; n++) {
		struct arc arc, other, *winner;

		arc_init(&arc);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 100), 0);
		assert_true(arc_settle(&arc));
		arc_close(&arc);
		arc_copy(&arc, "data", "fork");
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 50), 0);
		pd_sim_fail_from(arc.host.os, n, EIO, true);
		host_advance_ms(&arc.host, 700);
		pd_archive_tick(arc.archive);
		pd_sim_fail_from(arc.host.os, 0, 0, false);
		other = beside(&arc, "fork");
		arc_open(&other);
		assert_int_equal(arc_write(&other, 60), 0);
		for (unsigned i = 0; i < 10; i++) {
			arc_tick(&other);
			arc_tick(&arc);
		}
		winner = arc_status(&other).state == PD_ARCHIVE_REFUSED ? &arc : &other;
		expect_refused(winner == &arc ? &other : &arc);
		if (winner == &arc)
			expect_all(winner);
		else
			assert_true(arc_settle(winner));
		pd_buffer_done(&other.host.reply);
		arc_close(&other);
		arc_close(&arc);
		arc_done(&arc);
	}
}

/* The same, and by the time that the archive can be had again it has more records than that: others. */
static void test_older_copy_has_grown(void **state)
{
	struct pd_archive_fetched fetched;
	struct pd_error err;
	struct arc arc;
	uint64_t archived;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	/* In the middle of a segment. */
	arc_copy(&arc, "data", "older");
	assert_int_equal(arc_write(&arc, 50), 0);
	assert_true(arc_settle(&arc));
	archived = arc_status(&arc).archived_lsn;
	arc_crash(&arc, false);
	assert_int_equal(pd_os_remove_tree(arc.host.os, "data", &err), 0);
	assert_int_equal(pd_os_rename(arc.host.os, "older", "data", &err), 0);
	assert_int_equal(pd_os_rename(arc.host.os, ARCHIVE, "away", &err), 0);
	pd_sim_advance_us(arc.host.os, 1000000);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 200), 0);
	arc_tick(&arc);
	assert_int_equal(pd_os_rename(arc.host.os, "away", ARCHIVE, &err), 0);
	expect_refused(&arc);
	assert_int_equal(
		arc_fetch(&arc, "fetched", (struct pd_log_position){ 0, 0 }, archived, &fetched, &err), 0);
	arc_close(&arc);
	arc_done(&arc);
}

/* What is rotten of the segment that was archived last makes no other log of it: it is archived on. */
static void test_rotten_is_no_copy(void **state)
{
	struct pd_archive_catalog catalog;
	struct arc arc;
	char path[64];
	uint64_t lsn;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 200), 0);
	assert_true(arc_settle(&arc));
	arc_load(&arc, &catalog);
	(void)snprintf(path, sizeof path, "data/log/0000/%010u.seg",
		       catalog.items[catalog.count - 1].part.stretch.segment);
	pd_archive_catalog_done(&catalog);
	arc_crash(&arc, false);
	assert_int_equal(pd_sim_flip_bit(arc.host.os, path, 2000, 2), 0);
	arc.host.options.accept_damage = true;
	arc_open(&arc);
	lsn = host_lsn(&arc.host);
	for (unsigned i = 0; i < 20; i++)
		arc_tick(&arc);
	if (arc_status(&arc).state == PD_ARCHIVE_REFUSED)
		fail_msg("%s", arc_status(&arc).failure);
	assert_int_equal(arc_status(&arc).archived_lsn, lsn);
	arc_close(&arc);
	arc_done(&arc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_restored_beside),
		cmocka_unit_test(test_older_copy),
		cmocka_unit_test(test_rotten_is_no_copy),
		cmocka_unit_test(test_older_copy_has_grown),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_fetched_epoch),
	};

	return cmocka_run_group_tests_name("archive_copies", tests, NULL, NULL);
}
