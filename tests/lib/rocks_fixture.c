#include "lib/rocks_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rocks_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	const char *directory = getenv("TMPDIR");

	assert_non_null(fixture);
	(void)snprintf(fixture->root, sizeof fixture->root, "%s/perdure-rocks-XXXXXX",
		       directory != NULL ? directory : "/tmp");
	assert_non_null(mkdtemp(fixture->root));
	(void)snprintf(fixture->directory, sizeof fixture->directory, "%s/levels", fixture->root);
	(void)snprintf(fixture->copy, sizeof fixture->copy, "%s/copy", fixture->root);
	check(pd_os_real_new(&fixture->os, why));
	fixture->options = (struct pd_levels_options){
		.os = fixture->os,
		.directory = fixture->directory,
		.create = true,
		.cache_bytes = 4 << 20,
		.compaction_trigger = 100, /* no test waits for it, and some count files */
	};
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	*state = fixture;
	return 0;
}

int rocks_teardown(void **state)
{
	struct fixture *fixture = *state;

	pd_levels_batch_free(fixture->batch);
	(void)pd_levels_close(fixture->levels, NULL);
	check(pd_os_remove_tree(fixture->os, fixture->root, why));
	pd_os_free(fixture->os);
	free(fixture);
	return 0;
}

void reopen(struct fixture *fixture)
{
	check(pd_levels_close(fixture->levels, why));
	fixture->levels = NULL;
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
}

/* ---- batches ---- */

void begin(struct fixture *fixture)
{
	check(pd_levels_batch_new(fixture->levels, &fixture->batch, why));
}

void put(struct fixture *fixture, const char *key, const char *value)
{
	check(pd_levels_batch_put(fixture->batch, pd_slice_string(key), pd_slice_string(value), why));
}

void delete_range(struct fixture *fixture, const char *from, const char *to)
{
	check(pd_levels_batch_delete_range(fixture->batch, pd_slice_string(from), pd_slice_string(to), why));
}

void commit(struct fixture *fixture)
{
	check(pd_levels_batch_finish(fixture->batch, why));
	check(pd_levels_batch_commit(fixture->batch, (struct pd_log_position){ 1, ++fixture->lsn }, why));
	pd_levels_batch_free(fixture->batch);
	fixture->batch = NULL;
}

void put_many(struct fixture *fixture, const char *prefix, unsigned count)
{
	char key[64], value[128];

	begin(fixture);
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(key, sizeof key, "%s%06u", prefix, i);
		(void)snprintf(value, sizeof value, "%s-%u-%0100lu", prefix, i, i * 2654435761ul);
		put(fixture, key, value);
	}
	commit(fixture);
}

/* ---- reading ---- */

void must_be(struct pd_levels *levels, const char *key, const char *value)
{
	struct pd_levels_value got;
	struct pd_error err = { 0 };
	int result = pd_levels_get(levels, pd_slice_string(key), &got, &err);

	if (result < 0)
		fail_msg("%s: %s", key, err.text);
	assert_int_equal(result, *value != '\0');
	if (result == 1) {
		assert_true(pd_slice_equal(got.slice, pd_slice_string(value)));
		pd_levels_value_done(levels, &got);
	}
}

int get_code(struct pd_levels *levels, const char *key, struct pd_error *err)
{
	struct pd_levels_value got;
	int result = pd_levels_get(levels, pd_slice_string(key), &got, err);

	if (result == 1)
		pd_levels_value_done(levels, &got);
	return result;
}

int count(struct pd_levels *levels, const char *from, const char *to, struct pd_error *err)
{
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value, end = pd_slice_string(to);
	int rows = 0, result;

	check(pd_levels_iterator_new(levels, &iterator, why));
	result = pd_levels_seek(iterator, pd_slice_string(from), end, err);
	if (result == 0)
		while ((result = pd_levels_next(iterator, &key, &value, err)) == 1) {
			assert_true(pd_slice_compare(key, end) < 0);
			rows++;
		}
	pd_levels_iterator_free(iterator);
	return result < 0 ? result : rows;
}

unsigned files_in(const char *directory, const char *end, char *ret_path, size_t size)
{
	DIR *folder = opendir(directory);
	struct dirent *entry;
	unsigned found = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || length < strlen(end) ||
		    strcmp(entry->d_name + length - strlen(end), end) != 0)
			continue;
		found++;
		if (ret_path != NULL)
			(void)snprintf(ret_path, size, "%s/%s", directory, entry->d_name);
	}
	(void)closedir(folder);
	return found;
}

bool report(void *context, const struct pd_levels_damage *damage)
{
	struct found *found = context;

	found->count++;
	(void)snprintf(found->file, sizeof found->file, "%s", damage->file);
	(void)snprintf(found->text, sizeof found->text, "%s", damage->text);
	(void)snprintf(found->first, sizeof found->first, "%.*s", (int)damage->first_key.size,
		       (const char *)damage->first_key.data);
	(void)snprintf(found->last, sizeof found->last, "%.*s", (int)damage->last_key.size,
		       (const char *)damage->last_key.data);
	return true;
}

static bool progress(void *context, uint64_t done, uint64_t total)
{
	struct found *found = context;

	assert_true(done > found->done && done <= total);
	found->done = done;
	found->total = total;
	return true;
}

struct found verify(struct fixture *fixture)
{
	struct found found = { 0 };

	check(pd_levels_verify(fixture->levels, report, progress, &found, why));
	assert_int_equal(found.done, found.total);
	return found;
}
