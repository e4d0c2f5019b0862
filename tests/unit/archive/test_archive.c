/* The log is followed into a store: all of it comes back, whatever happened on the way; nothing is archived that a crash could take. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/catalog.h"
#include "archive/extend.h"
#include "base/memory.h"
#include "engine/upkeep.h"
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

static void test_all_comes_back(void **state)
{
	struct pd_archive_catalog catalog;
	unsigned lasts = 0;
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 3), 0);
	expect_all(&arc);
	/* Pieces, then segments. */
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(arc_write(&arc, 40), 0);
		assert_true(arc_settle(&arc));
	}
	expect_all(&arc);
	/* Few pieces stay, and what ends the segment is behind them. */
	arc_load(&arc, &catalog);
	assert_int_equal(catalog.run_count, 1);
	assert_int_equal(catalog.hidden_count, 0);
	assert_false(catalog.runs[0].broken);
	assert_int_equal(catalog.runs[0].base, 1);
	assert_int_equal(catalog.runs[0].last_lsn, host_lsn(&arc.host));
	for (size_t i = 1; i < catalog.count; i++) {
		const struct pd_archive_part *before = &catalog.items[i - 1].part;
		const struct pd_archive_part *part = &catalog.items[i].part;

		assert_int_equal(before->stretch.segment != part->stretch.segment,
				 before->kind != PD_ARCHIVE_PIECE);
		assert_true(part->stretch.first_time_us >= before->stretch.last_time_us);
		lasts += part->kind == PD_ARCHIVE_LAST;
	}
	assert_true(lasts > 0);
	assert_int_equal(catalog.runs[0].last_time_us, arc.host.receipt.time_us);
	pd_archive_catalog_done(&catalog);
	assert_int_equal(arc_status(&arc).gaps, 0);
	arc_close(&arc);
	arc_done(&arc);
}

static uint64_t count_kind(struct arc *arc, enum pd_archive_kind kind)
{
	struct pd_archive_catalog catalog;
	uint64_t count = 0;

	arc_load(arc, &catalog);
	for (size_t i = 0; i < catalog.count; i++)
		count += catalog.items[i].part.kind == kind;
	assert_int_equal(catalog.hidden_count, 0);
	pd_archive_catalog_done(&catalog);
	return count;
}

/* Where the log comes slowly a segment has many pieces: then all of it takes their place. */
static void test_many_pieces(void **state)
{
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(arc_write(&arc, 1), 0);
		assert_true(arc_settle(&arc));
	}
	assert_true(count_kind(&arc, PD_ARCHIVE_PIECE) >= 50);
	assert_int_equal(arc_write(&arc, 250), 0);
	expect_all(&arc);
	assert_int_equal(count_kind(&arc, PD_ARCHIVE_LAST), 0);
	assert_true(count_kind(&arc, PD_ARCHIVE_WHOLE) > 0);
	assert_true(count_kind(&arc, PD_ARCHIVE_PIECE) < 3);
	/* Another process counts on. */
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(arc_write(&arc, 1), 0);
		assert_true(arc_settle(&arc));
	}
	arc_crash(&arc, false);
	arc_open(&arc);
	expect_all(&arc);
	assert_int_equal(count_kind(&arc, PD_ARCHIVE_LAST), 0);
	assert_int_equal(arc_status(&arc).gaps, 0);
	arc_close(&arc);
	arc_done(&arc);
}

/* Each byte of a log that comes fast goes there once. */
static void test_once(void **state)
{
	struct pd_archive_catalog catalog;
	uint64_t bytes = 0;
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(arc_write(&arc, 60), 0);
		assert_true(arc_settle(&arc));
	}
	arc_load(&arc, &catalog);
	for (size_t i = 0; i < catalog.count; i++)
		bytes += catalog.items[i].part.stretch.end - catalog.items[i].part.stretch.from;
	assert_int_equal(arc_status(&arc).objects, catalog.count);
	assert_int_equal(arc_status(&arc).bytes, bytes);
	pd_archive_catalog_done(&catalog);
	arc_close(&arc);
	arc_done(&arc);
}

/* What is durable is there within the interval, and not much earlier: so pieces are few. */
static void test_interval(void **state)
{
	struct arc arc;
	uint64_t archived;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 1), 0);
	assert_true(arc_settle(&arc));
	host_advance_ms(&arc.host, 2000);
	pd_archive_tick(arc.archive);
	assert_int_equal(arc_write(&arc, 1), 0);
	arc_tick(&arc); /* a round, and it took 30 ms */
	archived = arc_status(&arc).archived_lsn;
	assert_int_equal(archived, host_durable_lsn(&arc.host));
	assert_int_equal(arc_write(&arc, 1), 0);
	host_advance_ms(&arc.host, 770);
	pd_archive_tick(arc.archive);
	assert_int_equal(arc_status(&arc).archived_lsn, archived);
	host_advance_ms(&arc.host, 150);
	pd_archive_tick(arc.archive);
	assert_int_equal(arc_status(&arc).archived_lsn, host_durable_lsn(&arc.host));
	assert_true(arc_status(&arc).archived_lsn > archived);
	arc_close(&arc);
	arc_done(&arc);
}

/* Random letters of these. */
static void write_random(struct arc *arc, unsigned count, const char *letters)
{
	static uint64_t chance = 1;
	static char command[12400];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "SET random%u ", i % 100);

		while (size < 12000) {
			chance = chance * UINT64_C(6364136223846793005) + 1;
			command[size++] = letters[(chance >> 40) % strlen(letters)];
		}
		command[size] = '\0';
		host_durable(&arc->host, command);
	}
}

/* What an object's bytes are of the log's. */
static double gain_of(const struct pd_archive_item *item)
{
	return (double)item->bytes / (double)(item->part.stretch.end - item->part.stretch.from);
}

/* Where nothing is gained by it, what comes next is compressed in haste, for a while. */
static void test_haste(void **state)
{
	struct pd_archive_catalog catalog;
	size_t before;
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	write_random(&arc, 40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-");
	assert_true(arc_settle(&arc));
	arc_load(&arc, &catalog);
	before = catalog.count;
	assert_true(gain_of(&catalog.items[0]) > 0.67);
	pd_archive_catalog_done(&catalog);
	write_random(&arc, 130, "0123456789abcdef");
	assert_true(arc_settle(&arc));
	arc_load(&arc, &catalog);
	assert_true(catalog.count > before + 17);
	assert_true(gain_of(&catalog.items[before + 3]) > 0.75);
	assert_true(gain_of(&catalog.items[catalog.count - 3]) < 0.67);
	pd_archive_catalog_done(&catalog);
	expect_all(&arc);
	arc_close(&arc);
	arc_done(&arc);
}

/* The next process finds out from the store alone. */
static void test_restarts(void **state)
{
	struct arc arc;

	(void)state;
	arc_init(&arc);
	for (unsigned i = 0; i < 8; i++) {
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 70), 0);
		if (i % 2 == 0)
			arc_tick(&arc);
		if (i % 3 == 0)
			assert_true(arc_settle(&arc));
		if (i % 4 == 3)
			arc_close(&arc);
		else
			arc_crash(&arc, i % 4 == 1);
	}
	arc_open(&arc);
	expect_all(&arc);
	assert_int_equal(arc_status(&arc).gaps, 0);
	assert_int_equal(arc_status(&arc).base_lsn, 1);
	arc_close(&arc);
	arc_done(&arc);
}

/* What was only written is not archived: a power cut may take it. */
static void test_durable_only(void **state)
{
	struct pd_wait wait;
	struct arc arc;
	uint64_t durable;

	(void)state;
	arc_init(&arc);
	arc.host.options.default_level = PD_LEVEL_STANDARD;
	arc.host.options.sync_interval_ms = 3600000;
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 5), 0);
	wait = pd_engine_sync_up_to(arc.host.engine, host_lsn(&arc.host));
	for (unsigned i = 0; i < 50 && pd_engine_settled(arc.host.engine, &wait) == 0; i++)
		assert_int_equal(pd_engine_step(arc.host.engine), 0);
	assert_int_equal(host_durable_lsn(&arc.host), host_lsn(&arc.host));
	durable = host_durable_lsn(&arc.host);
	assert_int_equal(arc_write(&arc, 20), 0);
	for (unsigned i = 0; i < 5; i++)
		arc_tick(&arc);
	assert_int_equal(host_durable_lsn(&arc.host), durable);
	assert_int_equal(arc_status(&arc).archived_lsn, durable);
	arc_crash(&arc, true);
	arc_open(&arc);
	expect_all(&arc);
	assert_int_equal(host_lsn(&arc.host), durable + 1); /* and the epoch's own record */
	arc_close(&arc);
	arc_done(&arc);
}

/* Records that are larger than a segment. */
static void test_large(void **state)
{
	static char command[200 * 1024];
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc.host.options.large_min = 1 << 22;
	arc_open(&arc);
	for (unsigned i = 0; i < 3; i++) {
		int size = snprintf(command, sizeof command, "SET large%u ", i);

		memset(command + size, 'a' + (int)i, sizeof command - (size_t)size - 1);
		command[sizeof command - 1] = '\0';
		host_durable(&arc.host, command);
		assert_int_equal(arc_write(&arc, 5), 0);
		if (i == 1)
			assert_true(arc_settle(&arc));
	}
	expect_all(&arc);
	arc_close(&arc);
	arc_done(&arc);
}

/* ---- crashes ---- */

/* A short life with the archive, which dies at disk operation n. false: it did not come so far. */
static bool die_at(struct arc *arc, uint64_t n, bool power)
{
	arc_init(arc);
	arc->host.machine.seed = n;
	pd_sim_set_chance(arc->host.os, n, PD_SIM_SURVIVES_BY_CHANCE);
	arc_open(arc);
	(void)!arc_write(arc, 30);
	pd_sim_crash_at(arc->host.os, n);
	for (unsigned i = 0; i < 6 && !pd_sim_crashed(arc->host.os); i++) {
		if (arc_write(arc, 55) != 0)
			break;
		arc_tick(arc);
	}
	if (!pd_sim_crashed(arc->host.os)) {
		pd_sim_crash_at(arc->host.os, 0);
		arc_close(arc);
		return false;
	}
	arc_crash(arc, power);
	return true;
}

static void test_crashes(void **state)
{
	uint64_t step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 23;
	struct arc arc;
	unsigned died = 0;

	(void)state;
	for (uint64_t n = 1;; n += step) {
		bool crashed = die_at(&arc, n, n % 2 == 0);

		if (!crashed) {
			arc_done(&arc);
			break;
		}
		died++;
		arc_open(&arc);
		expect_all(&arc);
		assert_int_equal(arc_status(&arc).gaps, 0);
		assert_int_equal(arc_status(&arc).base_lsn, 1);
		assert_int_equal(arc_write(&arc, 300), 0);
		expect_all(&arc);
		arc_close(&arc);
		arc_done(&arc);
	}
	assert_true(died > 10);
}

/* The disk refuses one operation, or the store is full for a while. */
static void test_failures(void **state)
{
	uint64_t step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 29;
	struct arc arc;

	(void)state;
	for (uint64_t n = 1; n < 700; n += step) {
		arc_init(&arc);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 400), 0);
		/* Whatever is done from here on is the archive's. */
		pd_sim_fail_from(arc.host.os, n, n % 2 == 0 ? ENOSPC : EIO, n % 3 == 0);
		host_advance_ms(&arc.host, 700);
		pd_archive_tick(arc.archive);
		host_advance_ms(&arc.host, 30);
		pd_archive_tick(arc.archive);
		pd_sim_fail_from(arc.host.os, 0, 0, false);
		expect_all(&arc);
		arc_close(&arc);
		arc_done(&arc);
	}
}

/* ---- damage ---- */

static bool is_object(const char *name)
{
	size_t size = strlen(name);

	return size > 6 && (strcmp(name + size - 6, ".whole") == 0 ||
			    strcmp(name + size - 6, ".piece") == 0 || strcmp(name + size - 5, ".last") == 0);
}

/* The paths of all objects of the log. */
static size_t find_objects(struct arc *arc, char paths[][PD_ARCHIVE_NAME_SIZE + 20], size_t max)
{
	struct pd_object_store *store = arc_store(arc);
	struct pd_object_page page;
	size_t count = 0;

	assert_int_equal(pd_object_list(store, "", NULL, PD_OBJECT_PAGE_MAX, &page, &arc->host.err), 0);
	assert_false(page.more);
	for (size_t i = 0; i < page.count; i++)
		if (is_object(page.entries[i].name)) {
			assert_true(count < max);
			(void)snprintf(paths[count++], PD_ARCHIVE_NAME_SIZE + 20, ARCHIVE "/%s",
				       page.entries[i].name);
		}
	pd_object_page_done(&page);
	pd_object_store_free(store);
	return count;
}

static void expect_found(struct arc *arc, uint64_t to_lsn, const char *what, const char *path)
{
	struct pd_archive_fetched fetched;
	struct pd_error err;
	int result = arc_fetch(arc, "rebuilt", (struct pd_log_position){ 0, 0 }, to_lsn, &fetched, &err);

	if (result != PD_CORRUPT && result != PD_NOT_FOUND)
		fail_msg("%s %s: fetched with %d", path, what, result);
	if (strstr(err.text, "LSN") == NULL)
		fail_msg("%s %s: no LSN in \"%s\"", path, what, err.text);
}

static void resize(struct arc *arc, const char *path, uint64_t size)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(arc->host.os, path, PD_OS_WRITE, &file, &arc->host.err), 0);
	assert_int_equal(pd_os_resize(file, size, &arc->host.err), 0);
	pd_os_close(file);
}

static void test_damage(void **state)
{
	static char paths[64][PD_ARCHIVE_NAME_SIZE + 20];
	struct arc arc;
	struct pd_os *os;
	uint64_t to_lsn;
	size_t count;

	(void)state;
	arc_init(&arc);
	os = arc.host.os;
	arc_open(&arc);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(arc_write(&arc, 180), 0);
		assert_true(arc_settle(&arc));
	}
	assert_int_equal(arc_write(&arc, 10), 0);
	expect_all(&arc);
	to_lsn = host_lsn(&arc.host);
	count = find_objects(&arc, paths, 64);
	assert_true(count >= 4);
	for (size_t i = 0; i < count; i++) {
		struct pd_os_file_info info;

		assert_int_equal(pd_os_info(os, paths[i], &info, &arc.host.err), 0);
		for (uint64_t at = 0; at < info.size; at += at < 256 ? 37 : info.size / 5) {
			assert_int_equal(pd_sim_flip_bit(os, paths[i], at, (unsigned)at % 8), 0);
			expect_found(&arc, to_lsn, "with a flipped bit", paths[i]);
			assert_int_equal(pd_sim_flip_bit(os, paths[i], at, (unsigned)at % 8), 0);
		}
		assert_int_equal(pd_os_rename(os, paths[i], "away", &arc.host.err), 0);
		expect_found(&arc, to_lsn, "missing", paths[i]);
		for (size_t j = 0; j < count; j++)
			if (j != i) {
				/* Another one under its name, and that one not there. */
				assert_int_equal(pd_os_rename(os, paths[j], paths[i], &arc.host.err), 0);
				expect_found(&arc, to_lsn, "another one", paths[i]);
				assert_int_equal(pd_os_rename(os, paths[i], paths[j], &arc.host.err), 0);
				/* Swapped. */
				assert_int_equal(pd_os_rename(os, paths[j], paths[i], &arc.host.err), 0);
				assert_int_equal(pd_os_rename(os, "away", paths[j], &arc.host.err), 0);
				expect_found(&arc, to_lsn, "swapped", paths[i]);
				assert_int_equal(pd_os_rename(os, paths[j], "away", &arc.host.err), 0);
				assert_int_equal(pd_os_rename(os, paths[i], paths[j], &arc.host.err), 0);
			}
		assert_int_equal(pd_os_rename(os, "away", paths[i], &arc.host.err), 0);
	}
	arc_expect_rebuilt(&arc, to_lsn, host_hash(&arc.host, "main"));
	for (size_t i = 0; i < count; i++) {
		struct pd_os_file_info info;
		static const unsigned parts[] = { 0, 1, 50, 99 };

		assert_int_equal(pd_os_info(os, paths[i], &info, &arc.host.err), 0);
		arc_copy(&arc, ARCHIVE, "kept");
		for (size_t n = sizeof parts / sizeof *parts; n-- > 0;) {
			resize(&arc, paths[i], info.size * parts[n] / 100);
			expect_found(&arc, to_lsn, "cut off", paths[i]);
		}
		assert_int_equal(pd_os_remove_tree(os, ARCHIVE, &arc.host.err), 0);
		assert_int_equal(pd_os_rename(os, "kept", ARCHIVE, &arc.host.err), 0);
	}
	arc_expect_rebuilt(&arc, to_lsn, host_hash(&arc.host, "main"));
	arc_close(&arc);
	arc_done(&arc);
}

/* What the log still has is put again where the newest of the archive is damaged or missing. */
static void test_mended(void **state)
{
	static char paths[64][PD_ARCHIVE_NAME_SIZE + 20];

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct arc arc;
		size_t count;

		arc_init(&arc);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 500), 0);
		assert_true(arc_settle(&arc));
		arc_close(&arc);
		count = find_objects(&arc, paths, 64);
		assert_true(count > 2);
		for (size_t i = count - 2; i < count; i++)
			if (way == 0)
				assert_int_equal(pd_sim_flip_bit(arc.host.os, paths[i], 400, 1), 0);
			else
				assert_int_equal(pd_os_unlink(arc.host.os, paths[i], &arc.host.err), 0);
		arc_open(&arc);
		expect_all(&arc);
		assert_int_equal(arc_status(&arc).gaps, 0);
		arc_close(&arc);
		arc_done(&arc);
	}
}

/* ---- the disk meanwhile ---- */

static void make_checkpoint(struct arc *arc)
{
	struct pd_upkeep_status status;

	assert_int_equal(pd_engine_upkeep_start(arc->host.engine, PD_UPKEEP_COMPACT_LOG, &arc->host.err), 0);
	for (unsigned i = 0; i < 200; i++) {
		host_advance_ms(&arc->host, 10);
		assert_int_equal(pd_engine_step(arc->host.engine), 0);
		pd_engine_upkeep_status(arc->host.engine, &status);
		if (!status.running)
			break;
	}
	assert_false(status.running);
	assert_int_equal(status.result, 0);
}

static uint64_t first_lsn(struct arc *arc)
{
	uint64_t first, durable;

	pd_engine_log_reach(arc->host.engine, &first, &durable);
	return first;
}

/* What is not archived stays on the disk; what is may go. */
static void test_kept(void **state)
{
	struct arc arc;
	struct pd_error err;

	(void)state;
	arc_init(&arc);
	arc.host.options.retention_s = 0;
	arc.host.options.retention_bytes = 0;
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 10), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(pd_os_rename(arc.host.os, ARCHIVE, "away", &err), 0);
	assert_int_equal(arc_write(&arc, 600), 0);
	arc_tick(&arc);
	arc_tick(&arc);
	make_checkpoint(&arc);
	assert_int_equal(first_lsn(&arc), 1);
	assert_int_equal(arc_status(&arc).state, PD_ARCHIVE_FAILING);
	assert_true(arc_status(&arc).lag_bytes > 0);
	assert_int_equal(pd_os_rename(arc.host.os, "away", ARCHIVE, &err), 0);
	expect_all(&arc);
	make_checkpoint(&arc);
	assert_true(first_lsn(&arc) > 1);
	assert_int_equal(arc_status(&arc).gaps, 0);
	/* A restart does not need what is gone. */
	arc_close(&arc);
	arc_open(&arc);
	expect_all(&arc);
	assert_int_equal(arc_status(&arc).gaps, 0);
	arc_close(&arc);
	arc_done(&arc);
}

/* Beyond the limit it is let go: a gap, a new base, and both can be fetched. */
static void test_gap(void **state)
{
	struct pd_archive_catalog catalog;
	struct pd_archive_fetched fetched;
	struct pd_error err;
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc.host.options.retention_s = 0;
	arc.host.options.retention_bytes = 0;
	arc.disk_limit = 128 * 1024;
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 10), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(pd_os_rename(arc.host.os, ARCHIVE, "away", &err), 0);
	assert_int_equal(arc_write(&arc, 900), 0);
	arc_tick(&arc);
	assert_true(arc_status(&arc).let_go);
	make_checkpoint(&arc);
	assert_true(first_lsn(&arc) > 100);
	assert_int_equal(pd_os_rename(arc.host.os, "away", ARCHIVE, &err), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(arc_status(&arc).gaps, 1);
	assert_false(arc_status(&arc).let_go);
	assert_non_null(strstr(arc_status(&arc).gap, "a new base begins"));
	assert_int_equal(arc_write(&arc, 100), 0);
	assert_true(arc_settle(&arc));
	arc_load(&arc, &catalog);
	assert_int_equal(catalog.run_count, 2);
	assert_int_equal(catalog.runs[0].base, 1);
	assert_int_equal(catalog.runs[1].last_lsn, host_lsn(&arc.host));
	assert_int_equal(arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 0, 0 },
				   catalog.runs[0].last_lsn, &fetched, &err),
			 0);
	assert_int_equal(arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 0, 0 }, host_lsn(&arc.host),
				   &fetched, &err),
			 PD_NOT_FOUND);
	assert_int_equal(
		arc_fetch(&arc, "rebuilt",
			  (struct pd_log_position){ catalog.items[catalog.runs[1].first].part.stretch.epoch,
						    catalog.runs[1].base + 5 },
			  UINT64_MAX, &fetched, &err),
		0);
	assert_int_equal(fetched.first_lsn, catalog.runs[1].base);
	assert_int_equal(fetched.last_lsn, host_lsn(&arc.host));
	assert_int_equal(arc_fetch(&arc, "rebuilt", (struct pd_log_position){ 77, catalog.runs[1].base + 5 },
				   UINT64_MAX, &fetched, &err),
			 PD_CONFLICT);
	pd_archive_catalog_done(&catalog);
	/* The next process goes on in the new base. */
	arc_close(&arc);
	arc_open(&arc);
	assert_int_equal(arc_write(&arc, 100), 0);
	assert_true(arc_settle(&arc));
	assert_int_equal(arc_status(&arc).gaps, 0);
	assert_true(arc_status(&arc).base_lsn > 1);
	arc_close(&arc);
	arc_done(&arc);
}

/* The clock jumps both ways: nothing depends on it. */
static void test_clock(void **state)
{
	struct arc arc;

	(void)state;
	arc_init(&arc);
	arc_open(&arc);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(arc_write(&arc, 60), 0);
		pd_sim_jump_real_us(arc.host.os, i % 2 == 0 ? -INT64_C(86400000000) : INT64_C(7200000000));
		assert_true(arc_settle(&arc));
	}
	expect_all(&arc);
	arc_crash(&arc, true);
	pd_sim_jump_real_us(arc.host.os, -INT64_C(86400000000) * 30);
	arc_open(&arc);
	expect_all(&arc);
	arc_close(&arc);
	arc_done(&arc);
}

/* Memory is out, once or from there on: what was not done is done when there is some again. */
static void test_no_memory(void **state)
{
	unsigned long step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 17;

	(void)state;
	for (unsigned long n = 1; n < 1500; n += step) {
		struct arc arc;

		arc_init(&arc);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 250), 0);
		host_advance_ms(&arc.host, 700);
		pd_memory_fail(n, n % 2 == 0);
		pd_archive_tick(arc.archive);
		pd_memory_fail(0, 0);
		expect_all(&arc);
		arc_close(&arc);
		arc_done(&arc);
	}
}

/* ---- older copies ---- */

static int extend(struct arc *arc, const char *directory, struct pd_archive_extended *ret_extended)
{
	struct pd_archive_extend order = { .os = arc->host.os,
					   .store = arc_store(arc),
					   .data_directory = directory };
	int result = pd_archive_extend(&order, ret_extended, &arc->host.err);

	pd_object_store_free(order.store);
	return result;
}

/* Open what is there, and compare its state. */
static void expect_state(struct arc *arc, const char *directory, struct pd_hash128 hash)
{
	struct host other = arc->host;
	struct pd_hash128 found;

	other.engine = NULL;
	memset(other.sessions, 0, sizeof other.sessions);
	pd_buffer_init(&other.reply, 1 << 20);
	other.options.data_directory = directory;
	host_open(&other);
	assert_int_equal(other.recovery.damage_count, 0);
	found = host_hash(&other, "main");
	assert_same_hash(found, hash);
	host_close(&other);
	pd_buffer_done(&other.reply);
}

/* A copy, with its state, of any time; a crash or a failure at every step; and again. */
static void test_extend(void **state)
{
	uint64_t step = getenv("PERDURE_THOROUGH") != NULL ? 1 : 11;

	(void)state;
	for (uint64_t n = 0, over = 0; over == 0; n += step) {
		struct pd_archive_extended extended;
		struct pd_hash128 hash;
		struct arc arc;
		uint64_t copied_lsn, lsn;

		arc_init(&arc);
		pd_sim_set_chance(arc.host.os, n, PD_SIM_SURVIVES_BY_CHANCE);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 330), 0);
		make_checkpoint(&arc);
		assert_int_equal(arc_write(&arc, 70), 0);
		copied_lsn = host_lsn(&arc.host);
		arc_copy(&arc, "data", "copy");
		assert_int_equal(arc_write(&arc, 400), 0);
		arc_close(&arc);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 100), 0);
		assert_true(arc_settle(&arc));
		lsn = host_lsn(&arc.host);
		hash = host_hash(&arc.host, "main");
		arc_close(&arc);
		assert_int_equal(pd_os_sync_directory(arc.host.os, ".", &arc.host.err), 0);
		if (n > 0) {
			pd_sim_crash_at(arc.host.os, n);
			over = extend(&arc, "copy", &extended) == 0 && !pd_sim_crashed(arc.host.os);
			if (!pd_sim_crashed(arc.host.os))
				pd_sim_crash_at(arc.host.os, 0);
			if (n % 2 == 0)
				pd_sim_power_cut(arc.host.os);
			else
				pd_sim_process_crash(arc.host.os);
		}
		if (extend(&arc, "copy", &extended) != 0)
			fail_msg("cannot extend: %s", arc.host.err.text);
		assert_true(extended.before_lsn >= copied_lsn);
		assert_int_equal(extended.last_lsn, lsn);
		expect_state(&arc, "copy", hash);
		/* By now it has an epoch of its own. */
		assert_int_equal(extend(&arc, "copy", &extended), PD_NOT_FOUND);
		arc_done(&arc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_comes_back), cmocka_unit_test(test_restarts),
		cmocka_unit_test(test_many_pieces),    cmocka_unit_test(test_once),
		cmocka_unit_test(test_haste),          cmocka_unit_test(test_interval),
		cmocka_unit_test(test_durable_only),   cmocka_unit_test(test_large),
		cmocka_unit_test(test_crashes),        cmocka_unit_test(test_failures),
		cmocka_unit_test(test_damage),         cmocka_unit_test(test_mended),
		cmocka_unit_test(test_kept),           cmocka_unit_test(test_gap),
		cmocka_unit_test(test_clock),          cmocka_unit_test(test_extend),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
