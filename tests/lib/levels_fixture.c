#include "lib/levels_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

/* ---- machines and backends ---- */

static int setup_real(void **state, enum pd_levels_kind kind)
{
	struct levels_fixture *fixture = calloc(1, sizeof *fixture);
	const char *directory = getenv("TMPDIR");

	fixture->kind = kind;
	fixture->root = pd_asprintf("%s/perdure-levels-XXXXXX", directory != NULL ? directory : "/tmp");
	assert_non_null(mkdtemp(fixture->root));
	check(pd_os_real_new(&fixture->os, why));
	*state = fixture;
	return 0;
}

int setup_plain_real(void **state)
{
	return setup_real(state, PD_LEVELS_PLAIN);
}

int setup_rocksdb(void **state)
{
	return setup_real(state, PD_LEVELS_ROCKSDB);
}

int setup_plain_sim(void **state)
{
	const struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct levels_fixture *fixture = calloc(1, sizeof *fixture);

	fixture->kind = PD_LEVELS_PLAIN;
	fixture->simulated = true;
	fixture->root = pd_strdup("/data");
	check(pd_os_sim_new(&options, &fixture->os, why));
	check(pd_os_mkdir(fixture->os, fixture->root, why));
	*state = fixture;
	return 0;
}

int teardown_levels(void **state)
{
	struct levels_fixture *fixture = *state;

	close_levels(fixture);
	check(pd_os_remove_tree(fixture->os, fixture->root, why));
	pd_os_free(fixture->os);
	pd_free(fixture->root);
	free(fixture);
	return 0;
}

const char *path_of(const struct levels_fixture *fixture, const char *name)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof paths[0], "%s/%s", fixture->root, name);
	return path;
}

int open_other(struct levels_fixture *fixture, const char *name, bool create, struct pd_levels **ret_levels,
	       struct pd_error *err)
{
	const struct pd_levels_options options = {
		.os = fixture->os,
		.directory = path_of(fixture, name),
		.create = create,
		.cache_bytes = 8 << 20,
		.compaction_trigger = fixture->trigger,
	};
	int rc = pd_levels_open(fixture->kind, &options, ret_levels, err);

	if (rc == PD_NOT_SUPPORTED) {
		print_message("skipped: %s\n", err->text);
		skip();
	}
	return rc;
}

void open_levels(struct levels_fixture *fixture)
{
	check(open_other(fixture, "levels", true, &fixture->levels, why));
}

void close_levels(struct levels_fixture *fixture)
{
	struct pd_levels *levels = fixture->levels;

	fixture->levels = NULL;
	check(pd_levels_close(levels, why));
}

void reopen_levels(struct levels_fixture *fixture)
{
	close_levels(fixture);
	check(open_other(fixture, "levels", false, &fixture->levels, why));
}

/* ---- batches ---- */

struct pd_log_position next_position(struct levels_fixture *fixture)
{
	return (struct pd_log_position){ .epoch = 3, .lsn = ++fixture->lsn };
}

struct pd_levels_batch *new_batch(struct levels_fixture *fixture)
{
	struct pd_levels_batch *batch = NULL;

	check(pd_levels_batch_new(fixture->levels, &batch, why));
	return batch;
}

void put(struct pd_levels_batch *batch, const char *key, const char *value)
{
	check(pd_levels_batch_put(batch, pd_slice_string(key), pd_slice_string(value), why));
}

void delete_key(struct pd_levels_batch *batch, const char *key)
{
	check(pd_levels_batch_delete(batch, pd_slice_string(key), why));
}

void delete_range(struct pd_levels_batch *batch, const char *from, const char *to)
{
	check(pd_levels_batch_delete_range(batch, pd_slice_string(from), pd_slice_string(to), why));
}

void commit(struct levels_fixture *fixture, struct pd_levels_batch *batch)
{
	check(pd_levels_batch_finish(batch, why));
	check(pd_levels_batch_commit(batch, next_position(fixture), why));
	pd_levels_batch_free(batch);
	assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
}

void commit_plan(struct levels_fixture *fixture, uint64_t seed, const struct plan_options *options,
		 struct levels_model *model)
{
	const struct plan plan = { .seed = seed, .options = *options };

	check(plan_commit(&plan, fixture->levels, next_position(fixture), why));
	plan_apply(&plan, model);
}

/* ---- what is there ---- */

void expect(struct levels_fixture *fixture, const char *key, const char *value)
{
	struct pd_levels_value got;
	int rc = pd_levels_get(fixture->levels, pd_slice_string(key), &got, &fixture->err);

	if (rc < 0)
		fail_msg("%s: %s", key, fixture->err.text);
	if (rc != (value != NULL))
		fail_msg("%s is %s", key, rc == 1 ? "there" : "not there");
	if (rc == 0)
		return;
	if (!pd_slice_equal(got.slice, pd_slice_string(value)))
		fail_msg("%s is %.*s and not %s", key, (int)got.slice.size, (const char *)got.slice.data,
			 value);
	pd_levels_value_done(fixture->levels, &got);
}

void expect_scan(struct levels_fixture *fixture, const char *from, const char *to, const char *text)
{
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value;
	char found[1000] = "";
	size_t used = 0;
	int rc;

	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	check(pd_levels_seek(iterator, pd_slice_string(from), pd_slice_string(to), why));
	while ((rc = pd_levels_next(iterator, &key, &value, &fixture->err)) == 1)
		used += (size_t)snprintf(found + used, sizeof found - used, "%s%.*s=%.*s",
					 used > 0 ? " " : "", (int)key.size, (const char *)key.data,
					 (int)value.size, (const char *)value.data);
	assert_int_equal(rc, 0);
	/* And the end stays the end. */
	assert_int_equal(pd_levels_next(iterator, &key, &value, &fixture->err), 0);
	pd_levels_iterator_free(iterator);
	assert_string_equal(found, text);
}

void expect_model(struct levels_fixture *fixture, struct pd_levels *levels, const struct levels_model *model,
		  const struct plan_options *options)
{
	char problem[300] = "";

	if (!levels_equal(levels, model, options, problem))
		fail_msg("after batch %llu: %s", (unsigned long long)fixture->lsn, problem);
}

static struct pd_os_names files_of(const struct levels_fixture *fixture, uint64_t size_min)
{
	const char *suffix = fixture->kind == PD_LEVELS_PLAIN ? ".level" : ".sst";
	size_t suffix_size = strlen(suffix), kept = 0;
	struct pd_os_names names;

	check(pd_os_list(fixture->os, path_of(fixture, "levels"), &names, why));
	for (size_t i = 0; i < names.count; i++) {
		size_t size = strlen(names.names[i]);
		bool counts = size > suffix_size && strcmp(names.names[i] + size - suffix_size, suffix) == 0;
		struct pd_os_file_info info;
		char path[300];

		/* What else is there, RocksDB may remove at any time. */
		(void)snprintf(path, sizeof path, "levels/%s", names.names[i]);
		if (counts)
			check(pd_os_info(fixture->os, path_of(fixture, path), &info, why));
		if (counts && info.size >= size_min)
			names.names[kept++] = names.names[i];
		else
			pd_free(names.names[i]);
	}
	names.count = kept;
	return names;
}

struct pd_os_names data_files(const struct levels_fixture *fixture)
{
	return files_of(fixture, 4096);
}

struct pd_os_names all_files(const struct levels_fixture *fixture)
{
	return files_of(fixture, 0);
}
