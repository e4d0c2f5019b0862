#include "lib/log_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

/* ---- implementations ---- */

static struct log_fixture *fixture_new(const char *root)
{
	struct log_fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->root = pd_strdup(root);
	fixture->directory = pd_asprintf("%s/log", root);
	fixture->options = (struct pd_log_options){ .directory = fixture->directory,
						    .cluster_id = "a cluster's name",
						    .shard = 3,
						    .segment_bytes = LOG_SEGMENT_BYTES,
						    .spare_segments = 2 };
	book_init(&fixture->book, 1);
	return fixture;
}

int log_setup_memory(void **state)
{
	*state = fixture_new("/nowhere");
	return 0;
}

static int log_setup_real_with(void **state, unsigned queue_depth)
{
	const char *directory = getenv("TMPDIR");
	char *root = pd_asprintf("%s/perdure-log-XXXXXX", directory != NULL ? directory : "/tmp");
	struct log_fixture *fixture;

	assert_non_null(mkdtemp(root));
	fixture = fixture_new(root);
	free(root);
	check(pd_os_real_new(&fixture->os, why));
	fixture->options.os = fixture->os;
	fixture->options.queue_depth = queue_depth;
	*state = fixture;
	return 0;
}

int log_setup_real(void **state)
{
	return log_setup_real_with(state, 1);
}

int log_setup_real_queue(void **state)
{
	return log_setup_real_with(state, 4);
}

static int log_setup_sim_with(void **state, unsigned alignment, bool refuse)
{
	struct log_fixture *fixture = fixture_new("/data");

	fixture->simulated = true;
	fixture->sim_options = PD_SIM_OPTIONS_DEFAULT;
	fixture->sim_options.direct_alignment = alignment;
	fixture->sim_options.torn_unit = alignment == 4096 ? 4096 : 512;
	check(pd_os_sim_new(&fixture->sim_options, &fixture->os, why));
	check(pd_os_mkdir(fixture->os, fixture->root, why));
	check(pd_os_sync_directory(fixture->os, "/", why));
	fixture->options.os = fixture->os;
	fixture->options.refuse_direct = refuse;
	*state = fixture;
	return 0;
}

int log_setup_sim_512(void **state)
{
	return log_setup_sim_with(state, 512, false);
}

int log_setup_sim_4096(void **state)
{
	return log_setup_sim_with(state, 4096, false);
}

int log_setup_sim_refused(void **state)
{
	return log_setup_sim_with(state, 512, true);
}

int log_setup_sim_no_direct(void **state)
{
	return log_setup_sim_with(state, 0, false);
}

/* Several writes in flight. */
int log_setup_sim_queue(void **state)
{
	struct log_fixture *fixture;

	(void)log_setup_sim_with(state, 512, false);
	fixture = *state;
	fixture->options.queue_depth = 5;
	return 0;
}

void log_remove_tree(struct pd_os *os, const char *path)
{
	struct pd_os_names names;

	if (pd_os_list(os, path, &names, NULL) != 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		char *child = pd_asprintf("%s/%s", path, names.names[i]);
		struct pd_os_file_info info;

		check(pd_os_info(os, child, &info, why));
		if (info.is_directory)
			log_remove_tree(os, child);
		else
			check(pd_os_unlink(os, child, why));
		pd_free(child);
	}
	pd_os_names_done(&names);
	(void)rmdir(path); /* of the real machine; the contract has no word for it */
}

int log_teardown(void **state)
{
	struct log_fixture *fixture = *state;

	pd_memory_fail(0, 0);
	(void)pd_log_close(fixture->log, NULL);
	book_done(&fixture->book);
	if (fixture->os != NULL && !fixture->simulated)
		log_remove_tree(fixture->os, fixture->root);
	pd_os_free(fixture->os);
	pd_free(fixture->directory);
	pd_free(fixture->root);
	free(fixture);
	return 0;
}

/* ---- steps ---- */

bool log_in_memory(const struct log_fixture *fixture)
{
	return fixture->os == NULL;
}

int log_try_open(struct log_fixture *fixture, struct pd_error *err)
{
	return log_in_memory(fixture) ? pd_log_memory_open(&fixture->options, &fixture->log, err)
				      : pd_log_file_open(&fixture->options, &fixture->log, err);
}

void log_open(struct log_fixture *fixture)
{
	check(log_try_open(fixture, why));
}

void log_expect_read(struct log_fixture *fixture, uint64_t from_lsn)
{
	struct pd_log_end end;

	if (!book_read(&fixture->book, fixture->log, from_lsn, &end))
		fail_msg("%s", fixture->book.problem);
	assert_int_equal(end.last_lsn, fixture->book.count);
	assert_int_equal(end.damage_count, 0);
	assert_int_equal(end.epoch, fixture->book.epoch);
}

/* Open, read everything, begin. */
void log_start(struct log_fixture *fixture)
{
	log_open(fixture);
	log_expect_read(fixture, 1);
	check(book_begin(&fixture->book, fixture->log, why));
}

void log_close(struct log_fixture *fixture)
{
	struct pd_log *log = fixture->log;

	fixture->log = NULL;
	check(pd_log_close(log, why));
}

/* The process is gone without a word. Handles of a simulated one are void; a real one leaves what it wrote. */
void log_abandon(struct log_fixture *fixture)
{
	struct pd_log *log = fixture->log;

	fixture->log = NULL;
	assert_true(fixture->simulated);
	pd_sim_crash_at(fixture->os, 1);
	(void)!pd_os_mkdir(fixture->os, "/crash", NULL);
	assert_int_not_equal(pd_log_close(log, NULL), 0);
}

void log_process_crash(struct log_fixture *fixture)
{
	log_abandon(fixture);
	pd_sim_process_crash(fixture->os);
}

void log_power_cut(struct log_fixture *fixture)
{
	log_abandon(fixture);
	pd_sim_power_cut(fixture->os);
}

void log_write_records(struct log_fixture *fixture, unsigned records, size_t value_max, enum pd_log_sync sync)
{
	book_write(&fixture->book, fixture->log, book_group(&fixture->book, records, value_max), sync);
}

void log_write_value(struct log_fixture *fixture, size_t value_size, enum pd_log_sync sync)
{
	struct pd_log_group *group = book_group(&fixture->book, 0, 0);

	book_record(&fixture->book, group, value_size);
	book_write(&fixture->book, fixture->log, group, sync);
}

/* What is there now is all there, on this handle and, for files, on a new one. */
void log_expect_all(struct log_fixture *fixture)
{
	log_expect_read(fixture, 1);
	if (log_in_memory(fixture))
		return;
	log_close(fixture);
	log_open(fixture);
	log_expect_read(fixture, 1);
	check(book_begin(&fixture->book, fixture->log, why));
	log_expect_read(fixture, 1);
}

void log_trim_all(struct log_fixture *fixture, uint64_t lsn)
{
	uint64_t first_lsn;

	do {
		first_lsn = fixture->log->first_lsn;
		check(pd_log_trim(fixture->log, lsn, why));
	} while (fixture->log->first_lsn != first_lsn);
}

size_t log_count_files(const struct log_fixture *fixture, const char *suffix)
{
	struct pd_os_names names;
	size_t count = 0;

	check(pd_os_list(fixture->os, fixture->directory, &names, why));
	for (size_t i = 0; i < names.count; i++)
		count += strlen(names.names[i]) > 4 &&
			 strcmp(names.names[i] + strlen(names.names[i]) - 4, suffix) == 0;
	pd_os_names_done(&names);
	return count;
}
