/* The archive as lines of JSON: killed, cut off from power and failing at every operation, an export goes on with nothing missing and nothing twice; and whatever of it rots is found. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../archive/world.h"
#include "archive/expire.h"
#include "base/memory.h"
#include "cli/export.h"
#include "cli/export_plan.h"
#include "cli/gzip.h"
#include "os/sim.h"
#include "provider/object_name.h"
#include "provider/place.h"

#define TARGET "lines"

static struct pd_object_store *store_in(struct pd_os *os, const char *directory)
{
	const struct pd_object_place place = { .address = directory };
	struct pd_object_store *store;

	assert_int_equal(pd_object_place_open(os, &place, "store", &store, NULL), 0);
	return store;
}

/* Some segments are archived whole, and a part of the last one. */
static void prepare(struct arc *arc, struct pd_archive_log *ret_log)
{
	arc_init(arc);
	assert_int_equal(pd_os_mkdir(arc->host.os, TARGET, NULL), 0);
	assert_int_equal(pd_os_sync_directory(arc->host.os, ".", NULL), 0);
	arc_open(arc);
	host_durable(&arc->host, "hset {shop}cart apple 3 pear 4");
	host_durable(&arc->host, "set {shop}odd \x01\xff");
	assert_int_equal(arc_write(arc, 700), 0);
	assert_true(arc_settle(arc));
	*ret_log = arc_log(arc, "data");
}

/* The nth allocation fails; 0: none. */
static int export_failing(struct pd_os *os, const struct pd_archive_log *log, bool open_too,
			  unsigned long nth, struct pd_exported *ret_done, struct pd_error *err)
{
	struct pd_export order = { .os = os, .log = *log, .scratch = "scratch", .open_too = open_too };
	int result;

	order.archive = store_in(os, ARCHIVE);
	order.target = store_in(os, TARGET);
	pd_memory_fail(nth, 0);
	result = pd_export_run(&order, ret_done, err);
	pd_object_store_free(order.archive);
	pd_object_store_free(order.target);
	return result;
}

static int export_to(struct pd_os *os, const struct pd_archive_log *log, bool open_too,
		     struct pd_exported *ret_done, struct pd_error *err)
{
	return export_failing(os, log, open_too, 0, ret_done, err);
}

static struct pd_exported expect_export(struct pd_os *os, const struct pd_archive_log *log, bool open_too)
{
	struct pd_exported done;
	struct pd_error err = { 0 };

	if (export_to(os, log, open_too, &done, &err) != 0)
		fail_msg("%s", err.text);
	return done;
}

static void note_damage(void *context, const char *text)
{
	(void)snprintf(context, 700, "%s", text);
}

static struct pd_export_verdict look(struct pd_os *os, char text[700])
{
	struct pd_export_check check = { .damage = note_damage, .context = text };
	struct pd_export_verdict verdict;
	struct pd_error err = { 0 };

	text[0] = '\0';
	check.target = store_in(os, TARGET);
	if (pd_export_check(&check, &verdict, &err) != 0)
		fail_msg("%s", err.text);
	pd_object_store_free(check.target);
	return verdict;
}

static struct pd_export_verdict expect_sound(struct pd_os *os)
{
	char text[700];
	struct pd_export_verdict verdict = look(os, text);

	if (verdict.damaged > 0)
		fail_msg("%s", text);
	return verdict;
}

/* ---- what it does ---- */

static void test_goes_on(void **state)
{
	struct pd_export_verdict verdict;
	struct pd_archive_log log;
	struct pd_exported done;
	struct arc arc;

	(void)state;
	prepare(&arc, &log);
	done = expect_export(arc.host.os, &log, false);
	assert_true(done.stretches > 1 && done.lines > 100 && done.last_lsn < arc_status(&arc).archived_lsn);
	verdict = expect_sound(arc.host.os);
	assert_true(verdict.first_lsn == 1 && verdict.last_lsn == done.last_lsn &&
		    verdict.lines == done.lines);
	/* Nothing more is there. */
	assert_int_equal(expect_export(arc.host.os, &log, false).stretches, 0);
	/* The open segment, too; and what comes of it when it is whole. */
	done = expect_export(arc.host.os, &log, true);
	assert_int_equal(done.last_lsn, arc_status(&arc).archived_lsn);
	assert_int_equal(arc_write(&arc, 300), 0);
	assert_true(arc_settle(&arc));
	(void)expect_export(arc.host.os, &log, false);
	done = expect_export(arc.host.os, &log, true);
	assert_int_equal(done.last_lsn, arc_status(&arc).archived_lsn);
	verdict = expect_sound(arc.host.os);
	assert_true(verdict.first_lsn == 1 && verdict.last_lsn == done.last_lsn);
	arc_done(&arc);
}

/* A new process: clients' and epochs' numbers begin anew, names are known from the plans. */
static void test_restarts(void **state)
{
	struct pd_archive_log log;
	struct pd_exported done;
	struct arc arc;

	(void)state;
	prepare(&arc, &log);
	(void)expect_export(arc.host.os, &log, true);
	for (unsigned i = 0; i < 3; i++) {
		arc_crash(&arc, i % 2 == 0);
		arc_open(&arc);
		assert_int_equal(arc_write(&arc, 150), 0);
		assert_true(arc_settle(&arc));
		done = expect_export(arc.host.os, &log, i != 1);
	}
	assert_int_equal(done.last_lsn, arc_status(&arc).archived_lsn);
	assert_int_equal(expect_sound(arc.host.os).last_lsn, done.last_lsn);
	arc_done(&arc);
}

/* What has expired before it was exported is a gap, and said. */
static void test_gap(void **state)
{
	struct pd_archive_expired expired;
	struct pd_object_store *store;
	struct pd_archive_log log;
	struct pd_exported done;
	struct pd_error err = { 0 };
	struct arc arc;
	char text[700];

	(void)state;
	prepare(&arc, &log);
	done = expect_export(arc.host.os, &log, false);
	assert_int_equal(arc_write(&arc, 900), 0);
	assert_true(arc_settle(&arc));
	store = arc_store(&arc);
	assert_int_equal(pd_archive_expire(store, &log, UINT64_MAX, false, &expired, &err), 0);
	pd_object_store_free(store);
	{
		uint64_t before = done.last_lsn;

		done = expect_export(arc.host.os, &log, false);
		assert_int_equal(done.gap_first_lsn, before + 1);
		assert_true(done.gap_last_lsn > before && done.last_lsn > done.gap_last_lsn);
	}
	assert_int_equal(look(arc.host.os, text).damaged, 1);
	assert_non_null(strstr(text, "the archive never had them"));
	arc_done(&arc);
}

static void test_another_log(void **state)
{
	struct pd_archive_log log;
	struct pd_exported done;
	struct pd_error err = { 0 };
	struct arc arc;

	(void)state;
	prepare(&arc, &log);
	(void)expect_export(arc.host.os, &log, false);
	log.cluster_id[0] ^= 1;
	assert_int_equal(export_to(arc.host.os, &log, false, &done, &err), PD_CONFLICT);
	arc_done(&arc);
}

static void test_places(void **state)
{
	char path[PD_EXPORT_PATH_SIZE], expected[PD_EXPORT_PATH_SIZE], name[300];
	size_t directory, day;
	uint32_t number;

	(void)state;
	assert_int_equal(pd_export_directory(pd_slice_string("shop"), 3, path), 0);
	assert_string_equal(path, "archive/tenant_shop");
	assert_int_equal(pd_export_directory(pd_slice_string("a/b c%=\xc3\xa9+..\n"), 3, path), 0);
	assert_string_equal(path, "archive/tenant_a=2Fb=20c=25=3D=C3=A9=2B..=0A");
	assert_int_equal(pd_export_directory(pd_slice(NULL, 0), 3, path), 0);
	assert_string_equal(path, "archive/tenant_+3");
	memset(name, 'x', sizeof name);
	assert_int_equal(pd_export_directory(pd_slice(name, sizeof name), 3, path), 0);
	assert_int_equal(strlen(path), strlen("archive/tenant_+") + 64);
	assert_true(pd_object_name_valid(path));
	pd_export_path("archive/tenant_shop", UINT64_C(1705312800000000), 7, path);
	assert_string_equal(path, "archive/tenant_shop/2024-01-15/segment_000007");
	assert_true(pd_export_path_parse(path, &number, &directory, &day));
	assert_int_equal(number, 7);
	(void)snprintf(expected, sizeof expected, "%.*s", (int)day, path);
	assert_string_equal(expected, "archive/tenant_shop/2024-01-15");
	expected[directory] = '\0';
	assert_string_equal(expected, "archive/tenant_shop");
	assert_false(pd_export_path_parse("archive/tenant_shop", &number, &directory, &day));
	assert_false(pd_export_path_parse("archive/tenant_shop/2024-01-15/segment_00000x", &number,
					  &directory, &day));
	assert_false(pd_export_path_parse("data/tenant_shop/2024-01-15/segment_000001", &number, &directory,
					  &day));
}

static int append(void *context, struct pd_slice bytes)
{
	return pd_buffer_append_slice(context, bytes);
}

static void test_gzip(void **state)
{
	static uint8_t bytes[300000];
	struct pd_buffer packed, again;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	pd_buffer_init(&packed, 1 << 22);
	pd_buffer_init(&again, 1 << 22);
	for (size_t size = 0; size <= sizeof bytes; size = size * 3 + 1) {
		pd_buffer_clear(&packed);
		pd_buffer_clear(&again);
		assert_int_equal(pd_gzip(pd_slice(bytes, size), &packed), 0);
		assert_int_equal(pd_gunzip(pd_buffer_slice(&packed), append, &again), 0);
		assert_true(pd_slice_equal(pd_buffer_slice(&again), pd_slice(bytes, size)));
	}
	/* Cut off anywhere, with more behind it, or with any byte another. */
	for (size_t size = 0; size < packed.size; size += 1 + size / 8)
		assert_int_equal(pd_gunzip(pd_slice(packed.data, size), append, &again), PD_CORRUPT);
	pd_buffer_clear(&again);
	assert_int_equal(pd_buffer_append(&packed, "x", 1), 0);
	assert_int_equal(pd_gunzip(pd_buffer_slice(&packed), append, &again), PD_CORRUPT);
	pd_buffer_done(&packed);
	pd_buffer_done(&again);
}

/* ---- in the middle ---- */

enum fault { POWER, PROCESS, FAIL_ONCE, FULL };

static void let_loose(struct pd_os *os, enum fault fault, uint64_t n)
{
	if (fault == POWER || fault == PROCESS)
		pd_sim_crash_at(os, n);
	else
		pd_sim_fail_from(os, n, fault == FULL ? ENOSPC : EIO, fault == FULL);
}

static void call_off(struct pd_os *os, enum fault fault)
{
	if (fault == POWER)
		pd_sim_power_cut(os);
	else if (fault == PROCESS)
		pd_sim_process_crash(os);
	else
		pd_sim_fail_from(os, 0, 0, false);
}

static struct pd_os *copy_of(const struct arc *arc)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;

	assert_int_equal(pd_os_sim_new(&options, &os, NULL), 0);
	assert_int_equal(pd_sim_copy(os, arc->host.os), 0);
	return os;
}

static void export_through(enum fault fault)
{
	struct pd_archive_log log;
	struct pd_exported whole;
	struct arc arc;
	struct pd_os *os;
	bool struck = true;

	prepare(&arc, &log);
	arc_close(&arc);
	os = copy_of(&arc);
	whole = expect_export(os, &log, true);
	pd_os_free(os);
	for (uint64_t n = 1; struck; n += n < 40 ? 1 : 1 + n / 20) {
		struct pd_exported done;
		struct pd_error err = { 0 };
		uint64_t before;
		int result;

		os = copy_of(&arc);
		before = pd_sim_operations(os);
		let_loose(os, fault, n);
		result = export_to(os, &log, true, &done, &err);
		struck = pd_sim_crashed(os) || pd_sim_operations(os) - before >= n;
		call_off(os, fault);
		assert_true(result == 0 || err.text[0] != '\0');
		done = expect_export(os, &log, true);
		assert_int_equal(done.last_lsn, whole.last_lsn);
		/* What was said to be there is there for good. */
		pd_sim_set_chance(os, n, PD_SIM_SURVIVES_NOTHING);
		pd_sim_power_cut(os);
		{
			struct pd_export_verdict verdict = expect_sound(os);

			assert_int_equal(verdict.last_lsn, whole.last_lsn);
			assert_int_equal(verdict.lines, whole.lines);
			assert_int_equal(verdict.files, whole.files);
		}
		pd_os_free(os);
	}
	arc_done(&arc);
}

#define TEST(name, fault)                     \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		export_through(fault);        \
	}
TEST(power, POWER)
TEST(process, PROCESS)
TEST(error, FAIL_ONCE)
TEST(full, FULL)

static void test_memory(void **state)
{
	struct pd_archive_log log;
	struct arc arc;
	bool failed = true;

	(void)state;
	prepare(&arc, &log);
	arc_close(&arc);
	for (unsigned long n = 1; failed; n += 1 + n / 10) {
		struct pd_os *os = copy_of(&arc);
		struct pd_exported done;
		struct pd_error err = { 0 };
		int result;

		result = export_failing(os, &log, true, n, &done, &err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		if (result != 0 && result != PD_NO_MEMORY)
			fail_msg("%lu: %s", n, err.text);
		(void)expect_export(os, &log, true);
		(void)expect_sound(os);
		pd_os_free(os);
	}
	arc_done(&arc);
}

/* ---- what rots ---- */

/* Each object cut off, flipped, or gone is found; what can be made again is. */
static void test_rot(void **state)
{
	struct pd_object_store *target;
	struct pd_object_page page;
	struct pd_archive_log log;
	struct arc arc;

	(void)state;
	prepare(&arc, &log);
	arc_close(&arc);
	(void)expect_export(arc.host.os, &log, true);
	target = store_in(arc.host.os, TARGET);
	assert_int_equal(pd_object_list(target, "", NULL, 1000, &page, NULL), 0);
	assert_true(page.count >= 6 && !page.more);
	for (size_t i = 0; i < page.count; i++) {
		const char *name = page.entries[i].name;
		char text[700], path[400];

		(void)snprintf(path, sizeof path, TARGET "/%s", name);
		for (unsigned n = 0; n < 8; n++) {
			uint64_t at = page.entries[i].size * n / 8;

			/* Of what comes before the data gzip does not look at all: the checksum does. */
			assert_int_equal(pd_sim_flip_bit(arc.host.os, path, at, n), 0);
			if (look(arc.host.os, text).damaged == 0)
				fail_msg("%s: byte %u", name, (unsigned)at);
			assert_int_equal(pd_sim_flip_bit(arc.host.os, path, at, n), 0);
		}
		(void)expect_sound(arc.host.os);
		{
			struct pd_os *os = copy_of(&arc);
			struct pd_object_store *other = store_in(os, TARGET);
			bool is_last_plan = strncmp(name, "export/", 7) == 0 && i + 1 == page.count;

			assert_int_equal(pd_object_delete(other, name, NULL), 0);
			if (look(os, text).damaged == 0 && !is_last_plan)
				fail_msg("%s", name);
			pd_object_store_free(other);
			pd_os_free(os);
		}
	}
	pd_object_page_done(&page);
	pd_object_store_free(target);
	arc_done(&arc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on), cmocka_unit_test(test_restarts),
		cmocka_unit_test(test_gap),     cmocka_unit_test(test_another_log),
		cmocka_unit_test(test_places),  cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_power),   cmocka_unit_test(test_process),
		cmocka_unit_test(test_error),   cmocka_unit_test(test_full),
		cmocka_unit_test(test_memory),  cmocka_unit_test(test_rot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
