/* Levels alone. Below the recorded directory:
 *
 *     levels/           batch after batch, compacted beside it, reopened now and then
 *     checkpoint-N/     taken after batch N; removed again later
 *
 * Marks: "opened 0"      the levels are there for good
 *        "recovered N"   opened, and they hold batch N
 *        "begin N"       batch N is about to be committed; "done N" its commit has returned
 *        "checkpoint N"  is there for good; "removing N" is about to go */
#include "levels_workload.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "levels_batches.h"
#include "must.h"
#include "os/os.h"
#include "sim/chance.h"
#include "store/levels.h"

enum { BATCHES = 40, BATCHES_AGAIN = 8, CACHE_BYTES = 1024 * 1024 };

struct place {
	struct pd_os *os;
	enum pd_levels_kind kind;
	char *root, *directory;
	struct pd_levels *levels;
	struct pd_error err;
};

static void place_init(struct place *place, const char *root, enum pd_levels_kind kind)
{
	*place = (struct place){ .kind = kind };
	if (pd_os_real_new(&place->os, &place->err) != 0)
		die("%s", place->err.text);
	place->root = must_print("%s", root);
	place->directory = must_print("%s/levels", root);
}

static void place_done(struct place *place)
{
	(void)pd_levels_close(place->levels, NULL);
	free(place->directory);
	free(place->root);
	pd_os_free(place->os);
}

static int open_levels(struct place *place, const char *directory, bool create, struct pd_levels **ret_levels)
{
	struct pd_levels_options options = { .os = place->os,
					     .directory = directory,
					     .create = create,
					     .cache_bytes = CACHE_BYTES,
					     .compaction_trigger = 2 };

	return pd_levels_open(place->kind, &options, ret_levels, &place->err);
}

static int close_levels(struct place *place)
{
	int result = pd_levels_close(place->levels, &place->err);

	place->levels = NULL;
	return result;
}

/* ---- batches ---- */

static int fill_batch(struct place *place, struct pd_levels_batch *batch, uint64_t seed, unsigned number)
{
	struct model_batch changes;
	uint8_t value[MODEL_VALUE_MAX], from[MODEL_KEY_SIZE], to[MODEL_KEY_SIZE + 1];
	int result = 0;

	model_batch(seed, number, &changes);
	for (unsigned i = 0; i < changes.range_count && result == 0; i++)
		result = pd_levels_batch_delete_range(batch, model_key(changes.from[i], from),
						      model_bound(changes.to[i], to), &place->err);
	for (unsigned key = 0; key < MODEL_KEYS && result == 0; key++) {
		if (changes.changes[key] == MODEL_PUT)
			result = pd_levels_batch_put(batch, model_key(key, from),
						     model_value(seed, number, key, value), &place->err);
		else if (result == 0 && changes.changes[key] == MODEL_DELETE)
			result = pd_levels_batch_delete(batch, model_key(key, from), &place->err);
	}
	return result == 0 ? pd_levels_batch_finish(batch, &place->err) : result;
}

static int commit_batch(struct place *place, uint64_t seed, unsigned number)
{
	struct pd_levels_batch *batch;
	int result = pd_levels_batch_new(place->levels, &batch, &place->err);

	if (result != 0)
		return result;
	result = fill_batch(place, batch, seed, number);
	workload_mark("begin %u", number);
	if (result == 0)
		result = pd_levels_batch_commit(batch, model_position(number), &place->err);
	if (result == 0)
		workload_mark("done %u", number);
	pd_levels_batch_free(batch);
	return result;
}

/* ---- what is there ---- */

/* The entries in [from, to) are those from *next on. */
static bool check_range(struct place *place, struct pd_levels_iterator *iterator, struct pd_slice from,
			struct pd_slice to, uint64_t seed, const struct model_state *state,
			unsigned *ret_next, char *text, size_t text_size)
{
	uint8_t key_room[MODEL_KEY_SIZE], value_room[MODEL_VALUE_MAX];
	struct pd_slice key, value;
	unsigned next = *ret_next;
	int result;

	if (pd_levels_seek(iterator, from, to, &place->err) != 0)
		return workload_broken(text, text_size, "cannot seek: %s", place->err.text);
	while ((result = pd_levels_next(iterator, &key, &value, &place->err)) == 1) {
		while (next < MODEL_KEYS && state->from[next] == 0)
			next++;
		if (next == MODEL_KEYS || !pd_slice_equal(key, model_key(next, key_room)))
			return workload_broken(text, text_size,
					       "at batch %u: the entry '%.*s' instead of key %u",
					       state->batch, (int)(key.size - 8), key.data + 8, next);
		if (!pd_slice_equal(value, model_value(seed, state->from[next], next, value_room)))
			return workload_broken(text, text_size,
					       "at batch %u: key %u has not the value of batch %u",
					       state->batch, next, state->from[next]);
		next++;
	}
	if (result != 0)
		return workload_broken(text, text_size, "cannot read on: %s", place->err.text);
	*ret_next = next;
	return true;
}

static bool check_entries(struct place *place, struct pd_levels_iterator *iterator, uint64_t seed,
			  const struct model_state *state, char *text, size_t text_size)
{
	uint8_t derived[8], last[9];
	unsigned next = 0;

	pd_store_be64(derived, PD_LEVELS_DERIVED);
	memset(last, 0xff, sizeof last);
	if (!check_range(place, iterator, pd_slice("", 0), pd_slice(derived, sizeof derived), seed, state,
			 &next, text, text_size) ||
	    !check_range(place, iterator, pd_slice(derived, sizeof derived), pd_slice(last, sizeof last),
			 seed, state, &next, text, text_size))
		return false;
	while (next < MODEL_KEYS && state->from[next] == 0)
		next++;
	if (next < MODEL_KEYS)
		return workload_broken(text, text_size, "at batch %u: key %u of batch %u is missing",
				       state->batch, next, state->from[next]);
	return true;
}

static bool check_gets(struct place *place, struct pd_levels *levels, uint64_t seed,
		       const struct model_state *state, uint64_t chance_seed, char *text, size_t text_size)
{
	struct chance chance = { chance_seed };

	for (unsigned i = 0; i < 8; i++) {
		unsigned key = (unsigned)chance_below(&chance, MODEL_KEYS);
		uint8_t key_room[MODEL_KEY_SIZE], value_room[MODEL_VALUE_MAX];
		struct pd_levels_value value;
		int found = pd_levels_get(levels, model_key(key, key_room), &value, &place->err);
		bool right = found == (state->from[key] != 0);

		if (found == 1) {
			right = right && pd_slice_equal(value.slice,
							model_value(seed, state->from[key], key, value_room));
			pd_levels_value_done(levels, &value);
		}
		if (!right)
			return workload_broken(text, text_size, "at batch %u: a get of key %u says %d %s",
					       state->batch, key, found, found < 0 ? place->err.text : "");
	}
	return true;
}

/* All that the levels hold is the state at their position, which lies between the two batches. */
static bool check_content(struct place *place, struct pd_levels *levels, const struct workload_case *given,
			  unsigned least, unsigned most, char *text, size_t text_size)
{
	unsigned batch = model_batch_at(levels->applied);
	struct pd_levels_iterator *iterator;
	struct model_state state;
	bool sound;

	if (batch == UINT_MAX || batch < least || batch > most)
		return workload_broken(text, text_size,
				       "they are at (%" PRIu64 ", %" PRIu64 "), batch %d; must be "
				       "between batches %u and %u",
				       levels->applied.epoch, levels->applied.lsn, (int)batch, least, most);
	model_state(given->options->seed, batch, &state);
	if (pd_levels_iterator_new(levels, &iterator, &place->err) != 0)
		return workload_broken(text, text_size, "no iterator: %s", place->err.text);
	sound = check_entries(place, iterator, given->options->seed, &state, text, text_size);
	pd_levels_iterator_free(iterator);
	return sound &&
	       check_gets(place, levels, given->options->seed, &state, given->chance, text, text_size);
}

static bool report_damage(void *context, const struct pd_levels_damage *damage)
{
	char *text = context;

	(void)snprintf(text, 200, "damage in %s: %.100s", damage->file, damage->text);
	return false;
}

static bool check_verify(struct place *place, char *text, size_t text_size)
{
	char damage[200] = "";
	int result = pd_levels_verify(place->levels, report_damage, NULL, damage, &place->err);

	if (damage[0] != '\0')
		return workload_broken(text, text_size, "%s", damage);
	return result == 0 || workload_broken(text, text_size, "cannot verify: %s", place->err.text);
}

/* Does the work go on? One more batch, and it is there when they are opened anew. */
static bool check_going_on(struct place *place, const struct workload_case *given, char *text,
			   size_t text_size)
{
	unsigned next = model_batch_at(place->levels->applied) + 1;

	if (commit_batch(place, given->options->seed, next) != 0)
		return workload_broken(text, text_size, "cannot commit a batch: %s", place->err.text);
	if (close_levels(place) != 0)
		return workload_broken(text, text_size, "cannot close: %s", place->err.text);
	if (open_levels(place, place->directory, false, &place->levels) != 0)
		return workload_broken(text, text_size, "cannot open again: %s", place->err.text);
	return check_content(place, place->levels, given, next, next, text, text_size);
}

static bool check_checkpoint(struct place *place, const struct workload_case *given, unsigned number,
			     char *text, size_t text_size)
{
	char *path = must_print("%s/checkpoint-%u", place->root, number), broken[300] = "";
	struct pd_levels *levels = NULL;
	bool sound = open_levels(place, path, false, &levels) == 0;

	if (!sound)
		workload_broken(broken, sizeof broken, "cannot open: %s", place->err.text);
	else
		sound = check_content(place, levels, given, number, number, broken, sizeof broken);
	(void)pd_levels_close(levels, NULL);
	free(path);
	return sound || workload_broken(text, text_size, "checkpoint %u: %s", number, broken);
}

/* A checkpoint that must be there: taken for certain, and its removal not begun by any chance. */
static bool check_checkpoints(struct place *place, const struct workload_case *given, char *text,
			      size_t text_size)
{
	uint64_t number = workload_last_mark(given, given->known, "checkpoint", 0);

	for (size_t i = 0; i < given->trace->mark_count; i++) {
		char removing[40];

		(void)snprintf(removing, sizeof removing, "removing %" PRIu64, number);
		if (i < given->known && strcmp(given->trace->marks[i].text, removing) == 0)
			return true;
	}
	return number == 0 || check_checkpoint(place, given, (unsigned)number, text, text_size);
}

static bool check_place(struct place *place, const struct workload_case *given, char *text, size_t text_size)
{
	unsigned start = (unsigned)workload_found_at_start(given);
	unsigned least = (unsigned)workload_last_mark(given, given->known, "done", start);
	unsigned most = (unsigned)workload_last_mark(given, given->begun, "begin", start);
	bool there = start > 0 || workload_last_mark(given, given->known, "opened", 1) == 0;
	struct chance chance = { given->chance };

	if (open_levels(place, place->directory, !there, &place->levels) != 0)
		return workload_broken(text, text_size, "cannot open: %s", place->err.text);
	if (!check_content(place, place->levels, given, least, most, text, text_size))
		return false;
	if (chance_percent(&chance, 15) && !check_verify(place, text, text_size))
		return false;
	if (chance_percent(&chance, 25) && !check_checkpoints(place, given, text, text_size))
		return false;
	return !chance_percent(&chance, 20) || check_going_on(place, given, text, text_size);
}

static bool check(const struct workload_case *given, enum pd_levels_kind kind, char *text, size_t text_size)
{
	struct place place;
	bool sound;

	place_init(&place, given->directory, kind);
	sound = check_place(&place, given, text, text_size);
	place_done(&place);
	return sound;
}

/* ---- the process under test ---- */

static void must(const struct place *place, int result)
{
	if (result != 0)
		die("levels: %s", place->err.text);
}

static unsigned reopen(struct place *place)
{
	must(place, close_levels(place));
	must(place, open_levels(place, place->directory, true, &place->levels));
	must(place, pd_os_sync_directory(place->os, place->root, &place->err));
	return model_batch_at(place->levels->applied);
}

static void remove_checkpoint(struct place *place, unsigned number)
{
	char *path = must_print("%s/checkpoint-%u", place->root, number);

	workload_mark("removing %u", number);
	must(place, pd_os_remove_tree(place->os, path, &place->err));
	free(path);
}

static void take_checkpoint(struct place *place, unsigned number)
{
	char *path = must_print("%s/checkpoint-%u", place->root, number);

	/* A crash may have left one that was begun. */
	must(place, pd_os_remove_tree(place->os, path, &place->err));
	must(place, pd_levels_checkpoint(place->levels, path, &place->err));
	must(place, pd_os_sync_directory(place->os, place->root, &place->err));
	workload_mark("checkpoint %u", number);
	free(path);
}

/* A batch that comes to nothing. */
static void abandon_batch(struct place *place, uint64_t seed, unsigned number)
{
	struct pd_levels_batch *batch;

	must(place, pd_levels_batch_new(place->levels, &batch, &place->err));
	must(place, fill_batch(place, batch, seed + 1, number));
	pd_levels_batch_free(batch);
}

static void run(const struct workload_options *options, const char *root, enum pd_levels_kind kind)
{
	struct chance chance = { options->seed };
	unsigned checkpoint = 0, number, last;
	struct place place;

	place_init(&place, root, kind);
	number = reopen(&place);
	workload_mark("opened 0");
	workload_mark("recovered %u", number);
	last = number + (number > 0 ? BATCHES_AGAIN : options->size > 0 ? options->size : BATCHES);
	if (last > MODEL_BATCHES_MAX)
		last = MODEL_BATCHES_MAX;
	while (number < last) {
		number++;
		if (chance_percent(&chance, 10))
			abandon_batch(&place, options->seed, number);
		must(&place, commit_batch(&place, options->seed, number));
		if (chance_percent(&chance, 8))
			must(&place,
			     pd_levels_compact(place.levels, pd_slice("", 0), pd_slice("", 0), &place.err));
		if (chance_percent(&chance, 12)) {
			if (checkpoint != 0)
				remove_checkpoint(&place, checkpoint);
			take_checkpoint(&place, number);
			checkpoint = number;
		}
		if (chance_percent(&chance, 8) && reopen(&place) != number)
			die("levels: not at batch %u after reopening", number);
	}
	must(&place, close_levels(&place));
	place_done(&place);
}

/* ---- backends ---- */

/* RocksDB's information logs say nothing about the state. */
static const char *const rocksdb_ignored[] = { "LOG", "LOG.old.*", NULL };
/* Nor do files of batches that were not committed. */
static const char *const rocksdb_blurred[] = { "ingest", "LOCK", NULL };

static void run_rocksdb(const struct workload_options *options, const char *directory)
{
	run(options, directory, PD_LEVELS_ROCKSDB);
}

static bool check_rocksdb(const struct workload_case *given, char *text, size_t text_size)
{
	return check(given, PD_LEVELS_ROCKSDB, text, text_size);
}

/* RocksDB's manifest may not have grown before its data, nor may CURRENT name one that has no name yet. */
const struct workload levels_rocksdb = {
	.name = "levels",
	.ignored = rocksdb_ignored,
	.blurred = rocksdb_blurred,
	.models = WORKLOAD_ALL_MODELS & ~(1u << DISK_POSIX),
	.goes_on = true,
	.run = run_rocksdb,
	.check = check_rocksdb,
};

static void run_plain(const struct workload_options *options, const char *directory)
{
	run(options, directory, PD_LEVELS_PLAIN);
}

static bool check_plain(const struct workload_case *given, char *text, size_t text_size)
{
	return check(given, PD_LEVELS_PLAIN, text, text_size);
}

const struct workload levels_plain = {
	.name = "levels-plain",
	.models = WORKLOAD_ALL_MODELS,
	.goes_on = true,
	.run = run_plain,
	.check = check_plain,
};
