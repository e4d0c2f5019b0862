/* Sources that are damaged, each in its way: what one has lost is taken of another, what nobody has is told, and nothing is ever made of the rest. The power fails, the process dies or the disk refuses at
 * every operation of it. */
#include "beyond.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

/* The nth file below the directory whose name ends so, in order, or NULL. */
static char *find_file(struct pd_os *os, const char *directory, const char *suffix, unsigned *n)
{
	struct pd_os_names names;
	char *found = NULL;

	assert_int_equal(pd_os_list(os, directory, &names, NULL), 0);
	for (size_t i = 0; i < names.count && found == NULL; i++) {
		char *path = pd_asprintf("%s/%s", directory, names.names[i]);
		struct pd_os_file_info info;
		size_t size = strlen(path), end = strlen(suffix);

		assert_int_equal(pd_os_info(os, path, &info, NULL), 0);
		if (info.is_directory)
			found = find_file(os, path, suffix, n);
		else if (size > end && strcmp(path + size - end, suffix) == 0 && (*n)-- == 0)
			found = pd_strdup(path);
		pd_free(path);
	}
	pd_os_names_done(&names);
	return found;
}

static char *nth_file(struct pd_os *os, const char *directory, const char *suffix, unsigned n)
{
	return find_file(os, directory, suffix, &n);
}

static unsigned count_files(struct pd_os *os, const char *directory, const char *suffix)
{
	unsigned n = 0;

	for (char *path; (path = nth_file(os, directory, suffix, n)) != NULL; n++)
		pd_free(path);
	return n;
}

/* A bit, so many thousandths from its front. */
static void flip_at(struct pd_os *os, const char *path, uint64_t thousandths)
{
	struct pd_os_file_info info;
	struct pd_os_file *file;
	uint8_t byte;
	uint64_t at;
	size_t size;

	assert_int_equal(pd_os_info(os, path, &info, NULL), 0);
	at = info.size * thousandths / 1000;
	assert_int_equal(pd_os_open(os, path, PD_OS_READ | PD_OS_WRITE, &file, NULL), 0);
	assert_int_equal(pd_os_read(file, &byte, 1, at, &size, NULL), 0);
	assert_int_equal(size, 1);
	byte ^= 0x10;
	assert_int_equal(pd_os_write(file, &byte, 1, at, NULL), 0);
	pd_os_close(file);
}

static void flip(struct pd_os *os, const char *path)
{
	flip_at(os, path, 500);
}

/* Backed up in the beginning, archived and on the disk: some segments. */
static struct world *begin_twofold(uint64_t seed, struct pd_hash128 *ret_hash)
{
	struct world *world = beyond_begin(seed);

	beyond_back_up(world, PD_BACKUP_FULL);
	beyond_bulk(world, 160);
	beyond_archive_all(world);
	*ret_hash = vault_hash(world);
	host_close(&world->host);
	assert_true(count_files(world->host.os, ARCHIVE, ".whole") >= 5);
	return world;
}

/* One source is damaged here, the other there. */
static void test_damage(void **state)
{
	struct pd_hash128 hash;

	(void)state;
	for (unsigned n = 1; n < 5; n++)
		for (unsigned how = 0; how < 4; how++) {
			struct world *world = begin_twofold(70 + n, &hash);
			struct pd_os *os = world->host.os;
			char *object = nth_file(os, ARCHIVE, ".whole", n), *segment, *other;
			struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG };

			segment = nth_file(os, "data/log/0000", ".seg", how == 3 ? n : n + 1);
			assert_non_null(object);
			assert_non_null(segment);
			if (how == 0)
				flip(os, object);
			if (how == 1)
				assert_int_equal(pd_os_unlink(os, object, NULL), 0);
			if (how >= 2) {
				flip(os, object);
				flip(os, segment);
			}
			/* The archive alone has it no more, and says which LSNs that are; what is before can be had. */
			ask.from = FROM_ARCHIVE;
			assert_int_not_equal(beyond_restore(world, &ask), 0);
			assert_non_null(strstr(ask.err.text, "--at"));
			ask.from = FROM_ARCHIVE | FROM_LOG;
			if (how == 3) {
				uint64_t lsn;

				assert_int_equal(beyond_restore(world, &ask), PD_CORRUPT);
				assert_non_null(strstr(ask.err.text, "are missing"));
				other = strstr(ask.err.text, "--at ");
				assert_non_null(other);
				lsn = strtoull(other + 5, NULL, 10);
				assert_int_equal(beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn, &ask),
						 0);
				assert_int_equal(ask.restored.position.lsn, lsn);
				beyond_remove_target(world);
				assert_int_not_equal(
					beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn + 1, &ask), 0);
			} else {
				beyond_must(world, &ask);
				assert_true(ask.given[0] > 0 && ask.given[1] > 0);
				vault_expect(world, hash);
			}
			pd_free(object);
			pd_free(segment);
			beyond_end(world);
		}
}

/* What is missing in the middle, with nothing else to go on with. */
static void test_hole(void **state)
{
	struct pd_hash128 hash;
	struct world *world = begin_twofold(80, &hash);
	struct pd_os *os = world->host.os;
	struct ask ask = { .from = FROM_LOG };
	char *segment = nth_file(os, "data/log/0000", ".seg", 3);
	char *object = nth_file(os, ARCHIVE, ".whole", 3);

	(void)state;
	assert_int_equal(pd_os_unlink(os, segment, NULL), 0);
	assert_int_not_equal(beyond_restore(world, &ask), 0);
	assert_non_null(strstr(ask.err.text, "are missing"));
	assert_non_null(strstr(ask.err.text, "--at"));
	/* The newest segments are gone: the directory has seen their epoch, or the archive their records. */
	ask.from = FROM_LOG | FROM_ARCHIVE;
	beyond_must(world, &ask);
	vault_expect(world, hash);
	beyond_remove_target(world);
	assert_int_equal(pd_os_unlink(os, object, NULL), 0);
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	/* Lists tell it, too. */
	ask = (struct ask){ .from = FROM_ARCHIVE, .only_plan = true };
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "are missing"));
	/* What an archive has beside objects of the log is no log. */
	for (char *path; (path = nth_file(os, ARCHIVE, "e", 0)) != NULL; pd_free(path))
		assert_int_equal(pd_os_unlink(os, path, NULL), 0);
	ask = (struct ask){ .from = FROM_ARCHIVE };
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "nothing of the log any more"));
	pd_free(segment);
	pd_free(object);
	beyond_end(world);
}

/* What is wished for can be had by the LSN that an error names. */
static uint64_t named_lsn(const char *text)
{
	const char *at = strstr(text, "--at ");

	if (at == NULL)
		fail_msg("%s", text);
	return strtoull(at + 5, NULL, 10);
}

/* Some bits anywhere in both. It is all there, or it is said up to where. */
static void test_by_chance(void **state)
{
	unsigned whole = 0, cut = 0;

	(void)state;
	for (uint64_t seed = 200; seed < 400; seed++) {
		struct world *world = beyond_begin(seed);
		struct pd_os *os = world->host.os;
		struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG };
		unsigned objects, segments;
		uint64_t last;
		int result;

		beyond_back_up(world, PD_BACKUP_FULL);
		for (unsigned i = 0; i < 6; i++)
			vault_fill(world, 10 + (unsigned)world_random(world, 10));
		beyond_archive_all(world);
		vault_fill(world, (unsigned)world_random(world, 30));
		world_settle(world);
		host_close(&world->host);
		objects = count_files(os, ARCHIVE, ".whole") + count_files(os, ARCHIVE, ".piece");
		segments = count_files(os, "data/log/0000", ".seg");
		for (uint64_t i = world_random(world, 3); i < 3; i++) {
			bool archived = world_random(world, 2) == 0;
			unsigned n = (unsigned)world_random(world, archived ? objects : segments);
			char *path = archived ? nth_file(os, ARCHIVE, "e", n)
					      : nth_file(os, "data/log/0000", ".seg", n);

			if (path != NULL)
				flip_at(os, path, world_random(world, 1000));
			pd_free(path);
		}
		result = beyond_restore(world, &ask);
		last = ask.restored.position.lsn;
		if (result == 0) {
			assert_true(last >= world->last_lsn);
			if (last == world->last_lsn && world->records[last].known)
				beyond_expect_record(world, last, &ask);
			else
				beyond_remove_target(world);
			whole++;
		} else {
			last = named_lsn(ask.err.text);
			assert_true(last < world->last_lsn + 2);
			if (beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, last, &ask) != 0)
				fail_msg("LSN %u: %s", (unsigned)last, ask.err.text);
			assert_int_equal(ask.restored.position.lsn, last);
			if (world->records[last].known)
				beyond_expect_record(world, last, &ask);
			else
				beyond_remove_target(world);
			cut++;
		}
		beyond_end(world);
	}
	assert_true(whole > 50 && cut > 10);
}

/* ---- faults ---- */

/* Memory ends at any allocation, once or for good: nothing is made, or all of it. */
static void test_no_memory(void **state)
{
	struct pd_hash128 hash;
	struct world *world = begin_twofold(82, &hash);
	bool thorough = getenv("PERDURE_THOROUGH") != NULL;
	unsigned refused = 0, ended = 0;

	(void)state;
	for (unsigned long n = 1; ended < 3; n += thorough || n < 100 ? 1 : n / 60) {
		struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG };
		int result;

		pd_memory_fail(n, n % 2 == 0);
		result = beyond_try(world, &ask);
		ended += pd_memory_fail_left() > 1;
		pd_memory_fail(0, 0);
		if (result == 0) {
			vault_expect(world, hash);
			beyond_remove_target(world);
		} else {
			assert_false(vault_is_there(world->host.os, TARGET));
			refused++;
		}
	}
	assert_true(refused > 20);
	beyond_end(world);
}

enum fault { POWER, PROCESS, FAIL_ONCE, FULL };

static bool call_off(struct world *world, enum fault fault)
{
	bool struck = pd_sim_crashed(world->host.os);

	if (fault == POWER)
		pd_sim_power_cut(world->host.os);
	else if (fault == PROCESS)
		pd_sim_process_crash(world->host.os);
	else
		pd_sim_fail_from(world->host.os, 0, 0, false);
	return struck;
}

static void restore_through(enum fault fault)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 30 ? 1 : 1 + n / 20) {
		struct world *world = beyond_begin(90);
		struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG }, first = ask;
		struct pd_hash128 hash;
		uint64_t before;
		int result;

		beyond_back_up(world, PD_BACKUP_FULL);
		beyond_bulk(world, 30);
		beyond_archive_all(world);
		beyond_bulk(world, 30);
		hash = vault_hash(world);
		host_close(&world->host);
		before = pd_sim_operations(world->host.os);
		if (fault == POWER || fault == PROCESS)
			pd_sim_crash_at(world->host.os, n);
		else
			pd_sim_fail_from(world->host.os, n, fault == FULL ? ENOSPC : EIO, fault == FULL);
		result = beyond_try(world, &first);
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		/* A failure to read the dead log in one place leaves the rest to the archive, and nothing is missing. */
		if (result == 0)
			assert_true(vault_is_there(world->host.os, TARGET));
		if (!vault_is_there(world->host.os, TARGET)) {
			assert_int_not_equal(result, 0);
			beyond_must(world, &ask);
		}
		vault_expect(world, hash);
		beyond_end(world);
	}
}

#define TEST(name, fault)                     \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		restore_through(fault);       \
	}
TEST(power, POWER)
TEST(process, PROCESS)
TEST(error, FAIL_ONCE)
TEST(full, FULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage),    cmocka_unit_test(test_hole),
		cmocka_unit_test(test_by_chance), cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_power),     cmocka_unit_test(test_process),
		cmocka_unit_test(test_error),     cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
