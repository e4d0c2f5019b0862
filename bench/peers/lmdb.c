/* LMDB with its defaults: each commit writes the changed pages and syncs them. It has no cache of its own: its file is mapped,
 * and the kernel keeps of it what it likes, whatever the memory budget. */
#include <lmdb.h>

#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "os/os.h"
#include "peers/subject.h"

#define KEY_BYTES   (8 + BENCH_KEY_SIZE_MAX)
#define RENEW_EVERY 64 /* gets of one snapshot, as Perdure's engine steps */

struct subject {
	MDB_env *env;
	MDB_dbi table;
	MDB_txn *writing, *reading;
	unsigned gets;
	struct pd_os *os;
	struct pd_os_task *task; /* a copy */
	char *copy_path;
};

static void check(int result, const char *what)
{
	if (result != 0)
		bench_die("lmdb", what, mdb_strerror(result));
}

static struct subject *open_lmdb(const struct subject_config *config)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	size_t size = config->dataset->rows * BENCH_ROW_BYTES * 4 + ((size_t)1 << 30);
	struct pd_error err = { 0 };

	if (subject == NULL || pd_os_real_new(&subject->os, &err) != 0)
		bench_die("lmdb", "cannot open the system", err.text);
	switch (pd_os_mkdir(subject->os, config->directory, &err)) {
	case 0:
	case PD_EXISTS:
		break;
	default:
		bench_die("lmdb", "cannot make its directory", err.text);
	}
	check(mdb_env_create(&subject->env), "cannot begin");
	check(mdb_env_set_mapsize(subject->env, size), "cannot set the size");
	check(mdb_env_open(subject->env, config->directory, MDB_NOTLS, 0600), "cannot open");
	check(mdb_txn_begin(subject->env, NULL, 0, &subject->writing), "cannot begin to write");
	check(mdb_dbi_open(subject->writing, NULL, 0, &subject->table), "cannot open the table");
	check(mdb_txn_commit(subject->writing), "cannot commit");
	subject->writing = NULL;
	check(mdb_txn_begin(subject->env, NULL, MDB_RDONLY, &subject->reading), "cannot begin to read");
	mdb_txn_reset(subject->reading);
	return subject;
}

static void close_lmdb(struct subject *subject)
{
	mdb_txn_abort(subject->reading);
	mdb_env_close(subject->env);
	pd_os_free(subject->os);
	free(subject);
}

/* ---- rows ---- */

static MDB_val key_of(const struct bench_row *row, uint8_t key[KEY_BYTES])
{
	pd_store_be64(key, row->actor);
	memcpy(key + 8, row->key, row->key_size);
	return (MDB_val){ .mv_size = 8 + row->key_size, .mv_data = key };
}

/* A snapshot that is held keeps pages from being used again: none is while something is written. */
static void stop_reading(struct subject *subject)
{
	if (subject->gets % RENEW_EVERY != 0)
		mdb_txn_reset(subject->reading);
	subject->gets = 0;
}

static MDB_txn *writing(struct subject *subject)
{
	if (subject->writing == NULL) {
		stop_reading(subject);
		check(mdb_txn_begin(subject->env, NULL, 0, &subject->writing), "cannot begin to write");
	}
	return subject->writing;
}

static void put(struct subject *subject, const struct bench_row *row)
{
	uint8_t text[KEY_BYTES], value[BENCH_VALUE_SIZE];
	MDB_val key = key_of(row, text), data = { .mv_size = sizeof(value), .mv_data = value };

	memcpy(value, row->value, sizeof(value));
	check(mdb_put(writing(subject), subject->table, &key, &data, 0), "cannot put");
}

static void delete_row(struct subject *subject, const struct bench_row *row)
{
	uint8_t text[KEY_BYTES];
	MDB_val key = key_of(row, text);
	int result = mdb_del(writing(subject), subject->table, &key, NULL);

	check(result == MDB_NOTFOUND ? 0 : result, "cannot delete");
}

static void commit(struct subject *subject)
{
	check(mdb_txn_commit(writing(subject)), "cannot commit");
	subject->writing = NULL;
}

static void relax(struct subject *subject, bool relaxed)
{
	check(mdb_env_set_flags(subject->env, MDB_NOSYNC, relaxed), "cannot set a flag");
	if (!relaxed)
		check(mdb_env_sync(subject->env, 1), "cannot sync");
}

static const uint8_t *get(struct subject *subject, const struct bench_row *row)
{
	uint8_t text[KEY_BYTES];
	MDB_val key = key_of(row, text), data;
	int result;

	if (subject->gets++ % RENEW_EVERY == 0)
		check(mdb_txn_renew(subject->reading), "cannot read");
	result = mdb_get(subject->reading, subject->table, &key, &data);
	if (subject->gets % RENEW_EVERY == 0) /* the page stays mapped until something is written */
		mdb_txn_reset(subject->reading);
	if (result == MDB_NOTFOUND)
		return NULL;
	check(result, "cannot get");
	return data.mv_data;
}

/* ---- scans ---- */

static uint64_t scan(struct subject *subject, uint64_t from, uint64_t to)
{
	uint8_t first[8], last[8];
	MDB_val key = { .mv_size = sizeof(first), .mv_data = first }, data;
	MDB_cursor *cursor;
	uint64_t rows = 0, sum = 0;
	int result;

	stop_reading(subject);
	pd_store_be64(first, from);
	pd_store_be64(last, to);
	check(mdb_txn_renew(subject->reading), "cannot read");
	check(mdb_cursor_open(subject->reading, subject->table, &cursor), "cannot scan");
	for (result = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
	     result == 0 && memcmp(key.mv_data, last, sizeof(last)) < 0;
	     result = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
		sum += ((const uint8_t *)key.mv_data)[8] + ((const uint8_t *)data.mv_data)[0];
		rows++;
	}
	check(result == MDB_NOTFOUND ? 0 : result, "cannot scan");
	mdb_cursor_close(cursor);
	mdb_txn_reset(subject->reading);
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

static void run_copy(void *argument)
{
	struct subject *subject = argument;

	check(mdb_env_copy(subject->env, subject->copy_path), "cannot copy");
}

/* What LMDB has in the place of a checkpoint: a copy of the whole file. */
static bool checkpoint_begin(struct subject *subject, const char *path)
{
	struct pd_error err = { 0 };

	subject->copy_path = strdup(path);
	if (subject->copy_path == NULL || pd_os_mkdir(subject->os, path, &err) != 0 ||
	    pd_os_task_start(subject->os, run_copy, subject, &subject->task, &err) != 0)
		bench_die("lmdb", "cannot start a copy", err.text);
	return true;
}

static bool checkpoint_running(struct subject *subject)
{
	if (!pd_os_task_finished(subject->task))
		return true;
	pd_os_task_join(subject->task);
	free(subject->copy_path);
	return false;
}

static void idle(struct subject *subject)
{
	(void)subject;
	bench_sleep_ms(BENCH_IDLE_MS);
}

static void figures(struct subject *subject, struct subject_figures *ret_figures)
{
	(void)subject;
	*ret_figures = (struct subject_figures){ 0 };
}

const struct subject_ops bench_subject_lmdb = {
	.name = "LMDB",
	.open = open_lmdb,
	.close = close_lmdb,
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
