/* RocksDB through its C interface, set as db_bench would for random loads: WAL, a sync for each batch, bloom filters of 10
 * bits. Of the memory budget half goes to the block cache, filters and indexes included, half to memtables. */
#include <rocksdb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "os/os.h"
#include "peers/subject.h"

#define KEY_BYTES   (8 + BENCH_KEY_SIZE_MAX)
#define MEMTABLES   4
#define BLOOM_BITS  10.0
#define BLOCK_BYTES 4096 /* RocksDB's default, and db_bench's */

struct subject {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *synced, *unsynced;
	rocksdb_readoptions_t *reading;
	rocksdb_writebatch_t *batch;
	rocksdb_pinnableslice_t *pinned; /* what was got last */
	bool relaxed;
	struct pd_os *os;
	struct pd_os_task *task; /* a checkpoint */
	char *checkpoint_path;
};

static void check(char *error, const char *what)
{
	if (error != NULL)
		bench_die("rocksdb", what, error);
}

static rocksdb_options_t *options_of(const struct subject_config *config, rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_block_based_options_set_filter_policy(table,
						      rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_write_buffer_size(options, config->budget_bytes / 2 / MEMTABLES);
	rocksdb_options_set_max_write_buffer_number(options, MEMTABLES);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	rocksdb_options_set_bytes_per_sync(options, 1024 * 1024);
	if (config->compaction_bytes_per_s > 0)
		rocksdb_options_set_ratelimiter(
			options,
			rocksdb_ratelimiter_create((int64_t)config->compaction_bytes_per_s, 100000, 10));
	rocksdb_block_based_options_destroy(table);
	return options;
}

static struct subject *open_rocksdb(const struct subject_config *config)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	struct pd_error err = { 0 };
	char *error = NULL;

	if (subject == NULL || pd_os_real_new(&subject->os, &err) != 0)
		bench_die("rocksdb", "cannot open the system", err.text);
	subject->cache = rocksdb_cache_create_lru(config->budget_bytes / 2);
	subject->options = options_of(config, subject->cache);
	subject->synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(subject->synced, 1);
	subject->unsynced = rocksdb_writeoptions_create();
	subject->reading = rocksdb_readoptions_create();
	subject->batch = rocksdb_writebatch_create();
	subject->db = rocksdb_open(subject->options, config->directory, &error);
	check(error, "cannot open");
	return subject;
}

static void close_rocksdb(struct subject *subject)
{
	rocksdb_pinnableslice_destroy(subject->pinned);
	rocksdb_writebatch_destroy(subject->batch);
	rocksdb_close(subject->db);
	rocksdb_readoptions_destroy(subject->reading);
	rocksdb_writeoptions_destroy(subject->unsynced);
	rocksdb_writeoptions_destroy(subject->synced);
	rocksdb_options_destroy(subject->options);
	rocksdb_cache_destroy(subject->cache);
	pd_os_free(subject->os);
	free(subject);
}

/* ---- rows ---- */

static size_t key_of(const struct bench_row *row, char key[KEY_BYTES])
{
	pd_store_be64(key, row->actor);
	memcpy(key + 8, row->key, row->key_size);
	return 8 + row->key_size;
}

static void put(struct subject *subject, const struct bench_row *row)
{
	char key[KEY_BYTES];
	size_t size = key_of(row, key);

	rocksdb_writebatch_put(subject->batch, key, size, (const char *)row->value, BENCH_VALUE_SIZE);
}

static void delete_row(struct subject *subject, const struct bench_row *row)
{
	char key[KEY_BYTES];
	size_t size = key_of(row, key);

	rocksdb_writebatch_delete(subject->batch, key, size);
}

static void commit(struct subject *subject)
{
	char *error = NULL;

	rocksdb_write(subject->db, subject->relaxed ? subject->unsynced : subject->synced, subject->batch,
		      &error);
	check(error, "cannot write");
	rocksdb_writebatch_clear(subject->batch);
}

static void relax(struct subject *subject, bool relaxed)
{
	char *error = NULL;

	subject->relaxed = relaxed;
	if (!relaxed)
		rocksdb_flush_wal(subject->db, 1, &error);
	check(error, "cannot sync");
}

static const uint8_t *get(struct subject *subject, const struct bench_row *row)
{
	char key[KEY_BYTES], *error = NULL;
	size_t size = key_of(row, key);

	rocksdb_pinnableslice_destroy(subject->pinned);
	subject->pinned = rocksdb_get_pinned(subject->db, subject->reading, key, size, &error);
	check(error, "cannot get");
	if (subject->pinned == NULL)
		return NULL;
	return (const uint8_t *)rocksdb_pinnableslice_value(subject->pinned, &size);
}

/* ---- scans ---- */

static uint64_t scan(struct subject *subject, uint64_t from, uint64_t to)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_iterator_t *iterator;
	char first[8], last[8], *error = NULL;
	uint64_t rows = 0, sum = 0;
	size_t size;

	pd_store_be64(first, from);
	pd_store_be64(last, to);
	rocksdb_readoptions_set_iterate_upper_bound(options, last, sizeof(last));
	iterator = rocksdb_create_iterator(subject->db, options);
	for (rocksdb_iter_seek(iterator, first, sizeof(first)); rocksdb_iter_valid(iterator);
	     rocksdb_iter_next(iterator)) {
		sum += (uint8_t)rocksdb_iter_key(iterator, &size)[8];
		sum += (uint8_t)rocksdb_iter_value(iterator, &size)[0];
		rows++;
	}
	rocksdb_iter_get_error(iterator, &error);
	check(error, "cannot scan");
	rocksdb_iter_destroy(iterator);
	rocksdb_readoptions_destroy(options);
	return sum == 1 ? 0 : rows;
}

static uint64_t scan_actor(struct subject *subject, uint64_t actor)
{
	return scan(subject, actor, actor + 1);
}

static uint64_t scan_all(struct subject *subject)
{
	return scan(subject, 0, UINT64_MAX);
}

/* ---- upkeep ---- */

static void run_checkpoint(void *argument)
{
	struct subject *subject = argument;
	char *error = NULL;
	rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(subject->db, &error);

	check(error, "cannot begin a checkpoint");
	rocksdb_checkpoint_create(checkpoint, subject->checkpoint_path, 0, &error);
	check(error, "cannot make a checkpoint");
	rocksdb_checkpoint_object_destroy(checkpoint);
}

static bool checkpoint_begin(struct subject *subject, const char *path)
{
	struct pd_error err = { 0 };

	subject->checkpoint_path = strdup(path);
	if (subject->checkpoint_path == NULL ||
	    pd_os_task_start(subject->os, run_checkpoint, subject, &subject->task, &err) != 0)
		bench_die("rocksdb", "cannot start a thread", err.text);
	return true;
}

static bool checkpoint_running(struct subject *subject)
{
	if (!pd_os_task_finished(subject->task))
		return true;
	pd_os_task_join(subject->task);
	free(subject->checkpoint_path);
	return false;
}

static uint64_t property(const struct subject *subject, const char *name)
{
	uint64_t value = 0;

	return rocksdb_property_int(subject->db, name, &value) == 0 ? value : 0;
}

static void idle(struct subject *subject)
{
	(void)subject;
	bench_sleep_ms(BENCH_IDLE_MS);
}

static void figures(struct subject *subject, struct subject_figures *ret_figures)
{
	char *level0 = rocksdb_property_value(subject->db, "rocksdb.num-files-at-level0");

	*ret_figures = (struct subject_figures){
		.level0_files = level0 == NULL ? 0 : strtoull(level0, NULL, 10),
		.running_compactions = property(subject, "rocksdb.num-running-compactions"),
		.pending_compaction_bytes = property(subject, "rocksdb.estimate-pending-compaction-bytes"),
		.memory_bytes = property(subject, "rocksdb.cur-size-all-mem-tables") +
				rocksdb_cache_get_usage(subject->cache),
	};
	rocksdb_free(level0);
}

const struct subject_ops bench_subject_rocksdb = {
	.name = "RocksDB",
	.open = open_rocksdb,
	.close = close_rocksdb,
	.put = put,
	.remove = delete_row,
	.commit = commit,
	.relax = relax,
	.get = get,
	.scan_actor = scan_actor,
	.scan_all = scan_all,
	.checkpoint_begin = checkpoint_begin,
	.checkpoint_running = checkpoint_running,
	.idle = idle,
	.figures = figures,
};
