/* The engine's own log for an application: read behind the engine on the caller's own thread.
 *
 * The engine is asked how far everything is on stable storage, and for the names of actors; the bytes come from the files. */
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/memory.h"
#include "embed/embed_private.h"
#include "engine/actor.h"
#include "engine/manifest.h"
#include "log/follow.h"
#include "model/kv/kv.h"

#define BLOB_KEY_SIZE 9u /* space and number: what the keys of all chunks of a blob begin with */

/* Effects of one actor, one after the other. */
struct run {
	uint64_t id, tenant_id;
	struct perdure_bytes tenant, actor;
};

struct perdure_records {
	struct perdure *db;
	atomic_flag busy;
	struct pd_log_follower *follower;
	uint64_t limit_lsn; /* as far as it was known last */
	struct pd_record next;
	bool has_next; /* it is read, and not told yet */

	/* The record told last. */
	struct perdure_record record;
	struct perdure_effect *effects;
	size_t effect_capacity;
	size_t *run_of; /* of each effect */
	size_t run_of_capacity;
	struct run *runs;
	size_t run_count, run_capacity;
	struct pd_keep keep;      /* names */
	uint64_t dropped;         /* the actor that it drops; 0: none … */
	struct pd_slice old_name; /* … which was called so */
};

/* ---- jobs ---- */

struct start {
	bool after; /* a moment: epoch and lsn */
	uint64_t epoch, lsn, first_lsn;
};

static int find_start(struct pd_job *job)
{
	struct start *start = job->argument;
	uint64_t durable_lsn;

	pd_engine_log_reach(job->engine, &start->first_lsn, &durable_lsn);
	switch (start->after ? pd_engine_check_bookmark(job->engine, start->epoch, start->lsn) : 0) {
	case 0:
		return 0;
	case PD_LOST:
		return pd_error_set(
			&job->err, PD_LOST,
			"this moment was lost in a crash: what was read up to it is not what happened");
	case PD_AGAIN:
		return pd_error_set(&job->err, PD_AGAIN, "this moment has not been reached yet");
	default:
		return pd_error_set(&job->err, PD_INVALID, "this bookmark is not of this directory");
	}
}

struct reach {
	uint64_t first_lsn, durable_lsn;
};

static int find_reach(struct pd_job *job)
{
	struct reach *reach = job->argument;

	pd_engine_log_reach(job->engine, &reach->first_lsn, &reach->durable_lsn);
	return 0;
}

/* A copy of a name, for as long as the record is told. */
static int keep_name(struct perdure_records *records, struct pd_slice name, struct perdure_bytes *ret_name)
{
	struct pd_slice copy;
	int result = pd_keep_copy(&records->keep, name, &copy);

	if (result == 0)
		*ret_name = pd_embed_bytes(copy);
	return result;
}

static int find_names(struct pd_job *job)
{
	struct perdure_records *records = job->argument;
	int result = 0;

	for (size_t i = 0; result == 0 && i < records->run_count; i++) {
		struct run *run = &records->runs[i];
		struct pd_slice tenant, actor;

		pd_engine_names_of(job->engine, run->tenant_id, run->id, &tenant, &actor);
		if (actor.size == 0 && run->id == records->dropped)
			actor = records->old_name;
		result = keep_name(records, tenant, &run->tenant);
		if (result == 0)
			result = keep_name(records, actor, &run->actor);
	}
	return result == 0 ? 0 : pd_error_set(&job->err, result, "out of memory for a record's names");
}

/* ---- a record as it is told ---- */

/* The engine's own: only what tells of a drop is of interest, since the name is gone then. */
static void learn(struct perdure_records *records, const struct pd_effect *effect)
{
	uint64_t tenant;
	size_t size;

	if (effect->key.size == 0)
		return;
	if (effect->kind == PD_EFFECT_PUT && effect->key.size == 1 && effect->key.data[0] == 'd')
		(void)pd_varint_get(effect->value.data, effect->value.size, &records->dropped);
	if (effect->kind != PD_EFFECT_DELETE || effect->key.data[0] != 'a' || records->dropped == 0)
		return;
	size = pd_varint_get(effect->key.data + 1, effect->key.size - 1, &tenant);
	if (size > 0)
		records->old_name = pd_slice(effect->key.data + 1 + size, effect->key.size - 1 - size);
}

static void tell_put(const struct pd_effect *effect, struct perdure_effect *to)
{
	struct pd_entry entry;
	struct pd_blob blob;

	to->expires_us = effect->expires_us;
	to->size = effect->value.size;
	to->type = to->place == PERDURE_PLACE_KEY ? pd_embed_type(effect->type) : PERDURE_TYPE_STRING;
	/* It has come from the disk: a value may say nothing that its type could mean. Then it is told as it is. */
	if (!pd_kv_makes_sense(effect->type, effect->value)) {
		to->type = PERDURE_TYPE_OTHER;
		to->value = pd_embed_bytes(effect->value);
	} else if (to->place == PERDURE_PLACE_KEY && effect->type == PD_TYPE_LARGE) {
		pd_entry_read(effect->bytes, 0, &entry);
		blob = pd_kv_blob(&entry);
		to->blob = blob.number;
		to->size = blob.size;
	} else if (to->type == PERDURE_TYPE_HASH) {
		(void)pd_varint_get(effect->value.data, effect->value.size, &to->size);
	} else {
		to->value = pd_embed_bytes(effect->value);
	}
}

/* false: the range is none of the kinds that have a name. */
static bool is_known_range(const struct pd_effect *effect, const struct perdure_effect *to)
{
	struct pd_slice end = effect->value;

	switch (to->place) {
	case PERDURE_PLACE_ACTOR:
		return true;
	case PERDURE_PLACE_FIELD:
		return to->field.size == 0;
	case PERDURE_PLACE_CHUNK:
		return effect->key.size == BLOB_KEY_SIZE && end.size == BLOB_KEY_SIZE &&
		       pd_load_be64(end.data + 1) == to->blob + 1;
	default:
		return false;
	}
}

static void tell_place(const struct pd_effect *effect, struct perdure_effect *to)
{
	struct pd_slice key = effect->key;
	size_t size;

	to->place = PERDURE_PLACE_OTHER;
	to->key = pd_embed_bytes(key);
	if (key.size == 0) {
		if (effect->kind == PD_EFFECT_DELETE_RANGE && effect->value.size == 0)
			to->place = PERDURE_PLACE_ACTOR;
	} else if (key.data[0] == PD_SPACE_KEY) {
		to->place = PERDURE_PLACE_KEY;
		to->key = perdure_data(key.data + 1, key.size - 1);
	} else if (key.data[0] == PD_SPACE_FIELD && key.size >= 3) {
		size = (size_t)(key.data[1] << 8 | key.data[2]);
		if (size > key.size - 3)
			return;
		to->place = PERDURE_PLACE_FIELD;
		to->key = perdure_data(key.data + 3, size);
		to->field = perdure_data(key.data + 3 + size, key.size - 3 - size);
	} else if (key.data[0] == PD_SPACE_CHUNK && key.size >= BLOB_KEY_SIZE) {
		to->place = PERDURE_PLACE_CHUNK;
		to->key = perdure_data(NULL, 0);
		to->blob = pd_load_be64(key.data + 1);
		if (key.size == PD_CHUNK_KEY_SIZE)
			to->chunk = pd_load_be32(key.data + BLOB_KEY_SIZE);
	}
}

static void tell_effect(const struct pd_effect *effect, struct perdure_effect *to)
{
	*to = (struct perdure_effect){ .actor_id = effect->actor };
	tell_place(effect, to);
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		to->kind = PERDURE_EFFECT_PUT;
		tell_put(effect, to);
		break;
	case PD_EFFECT_DELETE:
		to->kind = PERDURE_EFFECT_DELETE;
		break;
	case PD_EFFECT_DELETE_RANGE:
		to->kind = PERDURE_EFFECT_DELETE_RANGE;
		if (is_known_range(effect, to))
			break;
		*to = (struct perdure_effect){ .kind = PERDURE_EFFECT_DELETE_RANGE,
					       .place = PERDURE_PLACE_OTHER,
					       .actor_id = effect->actor,
					       .key = pd_embed_bytes(effect->key),
					       .value = pd_embed_bytes(effect->value) };
		break;
	case PD_EFFECT_ACTOR:
		break;
	}
}

static int add_effect(struct perdure_records *records, const struct pd_effect *effect)
{
	struct perdure_record *record = &records->record;
	struct run *last = records->run_count > 0 ? &records->runs[records->run_count - 1] : NULL;
	void *grown = pd_grow(records->effects, record->effect_count, &records->effect_capacity,
			      sizeof *records->effects, 16);

	if (grown == NULL)
		return PD_NO_MEMORY;
	records->effects = grown;
	grown = pd_grow(records->run_of, record->effect_count, &records->run_of_capacity,
			sizeof *records->run_of, 16);
	if (grown == NULL)
		return PD_NO_MEMORY;
	records->run_of = grown;
	if (last == NULL || last->id != effect->actor) {
		grown = pd_grow(records->runs, records->run_count, &records->run_capacity,
				sizeof *records->runs, 8);
		if (grown == NULL)
			return PD_NO_MEMORY;
		records->runs = grown;
		records->runs[records->run_count++] = (struct run){ .id = effect->actor,
								    .tenant_id = effect->tenant };
	}
	records->run_of[record->effect_count] = records->run_count - 1;
	tell_effect(effect, &records->effects[record->effect_count++]);
	return 0;
}

/* All of it but names. */
static int take_apart(struct perdure_records *records, const struct pd_record *from)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result = 0;

	records->record = (struct perdure_record){
		.kind = from->head.kind == PD_RECORD_EPOCH ? PERDURE_RECORD_EPOCH
							   : PERDURE_RECORD_TRANSACTION,
		.epoch = from->epoch,
		.lsn = from->lsn,
		.time_us = from->head.time_us,
		.level = (int)from->head.level,
		.client = from->head.client,
		.request_id = pd_embed_bytes(from->head.request_id),
		.idempotency_key = pd_embed_bytes(from->head.idempotency_key)
	};
	pd_bookmark_format(0, from->epoch, from->lsn, records->record.bookmark);
	records->run_count = 0;
	records->dropped = 0;
	records->old_name = pd_slice(NULL, 0);
	pd_keep_clear(&records->keep);
	pd_effect_walk_init(&walk, from);
	while (result == 0 && pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor == 0)
			learn(records, &effect);
		else if (effect.kind != PD_EFFECT_ACTOR)
			result = add_effect(records, &effect);
	}
	records->record.effects = records->effects;
	return result;
}

static int tell(struct perdure_records *records, const struct pd_record *from, struct perdure_error *err)
{
	struct pd_job job = { .run = find_names, .argument = records };
	int result = take_apart(records, from);

	if (result != 0)
		return pd_embed_errorf(err, result, "out of memory for a record of %zu bytes",
				       from->bytes.size);
	if (records->run_count > 0)
		result = pd_embed_run(records->db, &job, err);
	for (size_t i = 0; result == 0 && i < records->record.effect_count; i++) {
		const struct run *run = &records->runs[records->run_of[i]];

		records->effects[i].tenant = run->tenant;
		records->effects[i].actor = run->actor;
	}
	return result;
}

/* ---- reading ---- */

static int too_old(uint64_t lsn, uint64_t first_lsn, struct perdure_error *err)
{
	return pd_embed_errorf(
		err, PERDURE_VIEW_TOO_OLD,
		"the log has been trimmed: it begins with LSN %llu, and %llu comes next here; go on from "
		"the state as it is, or keep more with retention_s and retention_bytes",
		(unsigned long long)first_lsn, (unsigned long long)lsn);
}

/* How far may be read by now? PERDURE_VIEW_TOO_OLD: what comes next, from this LSN on, is gone. */
static int look(struct perdure_records *records, uint64_t lsn, struct perdure_error *err)
{
	struct reach reach = { 0 };
	struct pd_job job = { .run = find_reach, .argument = &reach };
	int result = pd_embed_run(records->db, &job, err);

	if (result != 0)
		return result;
	if (lsn < reach.first_lsn)
		return too_old(lsn, reach.first_lsn, err);
	records->limit_lsn = reach.durable_lsn;
	return 0;
}

static int next(struct perdure_records *records, const struct perdure_record **ret_record,
		struct perdure_error *err)
{
	uint64_t lsn = pd_log_follower_lsn(records->follower);
	struct pd_error why = { .text = "" };
	int result = 0;

	if (!records->has_next && lsn > records->limit_lsn)
		result = look(records, lsn, err);
	if (result != 0)
		return result;
	if (!records->has_next)
		result = pd_log_follower_next(records->follower, records->limit_lsn, &records->next, &why);
	records->has_next = result == 0;
	if (result == 0)
		result = tell(records, &records->next, err);
	else if (result == PD_END)
		return pd_embed_errorf(err, PERDURE_END, "no more records are on stable storage by now");
	else if ((result == PD_CORRUPT || result == PD_NOT_FOUND || result == PD_IO) &&
		 look(records, lsn, err) == PERDURE_VIEW_TOO_OLD)
		return PERDURE_VIEW_TOO_OLD; /* trimmed while it was read */
	else
		return pd_embed_error(err, result == PD_NOT_FOUND ? PD_CORRUPT : result, &why);
	if (result != 0)
		return result;
	records->has_next = false;
	*ret_record = &records->record;
	return 0;
}

/* ---- public ---- */

static int open_follower(struct perdure_records *records, uint64_t from_lsn, struct perdure_error *err)
{
	struct pd_log_options options = { .os = records->db->os };
	char *directory = pd_manifest_log_directory(records->db->path, 0);
	struct pd_error why = { .text = "" };
	struct pd_manifest manifest;
	int result = directory == NULL ? pd_error_set(&why, PD_NO_MEMORY, "out of memory")
				       : pd_manifest_read(options.os, records->db->path, &manifest, &why);

	if (result == 0) {
		memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
		options.directory = directory;
		result = pd_log_follower_new(&options, from_lsn, &records->follower, &why);
	}
	pd_free(directory);
	return pd_embed_error(err, result, &why);
}

static int find_first(struct perdure *db, const char *after, uint64_t *ret_lsn, struct perdure_error *err)
{
	struct start start = { .after = after != NULL };
	struct pd_job job = { .run = find_start, .argument = &start };
	uint32_t shard;
	int result;

	if (after != NULL &&
	    (pd_bookmark_parse(pd_slice_string(after), &shard, &start.epoch, &start.lsn) != 0 || shard != 0))
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"this is no bookmark: one looks like 0000-0000000001-0000000000000007");
	result = pd_embed_run(db, &job, err);
	if (result != 0)
		return result;
	*ret_lsn = after != NULL ? start.lsn + 1 : start.first_lsn > 0 ? start.first_lsn : 1;
	return *ret_lsn < start.first_lsn ? too_old(*ret_lsn, start.first_lsn, err) : 0;
}

int perdure_records_new(struct perdure *db, const char *after, struct perdure_records **ret_records,
			struct perdure_error *err)
{
	struct perdure_records *records;
	uint64_t lsn = 0;
	int result = pd_embed_check_handle(db, err);

	if (result != 0)
		return result;
	if (ret_records == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the reader");
	if (db->path[0] == '\0')
		return pd_embed_errorf(err, PERDURE_NOT_SUPPORTED,
				       "what is in memory only has no log to be read: open a directory");
	result = find_first(db, after, &lsn, err);
	if (result != 0)
		return result;
	records = pd_calloc(1, sizeof *records);
	if (records == NULL)
		return pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory for a reader of the log");
	records->db = db;
	(void)atomic_fetch_add(&db->holders, 1);
	atomic_flag_clear(&records->busy);
	pd_keep_init(&records->keep, SIZE_MAX / 2);
	result = open_follower(records, lsn, err);
	if (result != 0)
		perdure_records_free(records);
	else
		*ret_records = records;
	return result;
}

int perdure_records_next(struct perdure_records *records, const struct perdure_record **ret_record,
			 struct perdure_error *err)
{
	int result;

	if (records == NULL || ret_record == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "reading needs a reader, and a place for the record");
	result = pd_embed_check_handle(records->db, err);
	if (result == 0)
		result = pd_embed_check_open(records->db, err);
	if (result != 0)
		return result;
	if (atomic_flag_test_and_set(&records->busy))
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"this reader is in use by another thread: give each thread a reader of its own");
	result = next(records, ret_record, err);
	atomic_flag_clear(&records->busy);
	return result;
}

void perdure_records_free(struct perdure_records *records)
{
	if (records == NULL)
		return;
	pd_log_follower_free(records->follower);
	pd_keep_clear(&records->keep);
	pd_free(records->effects);
	pd_free(records->run_of);
	pd_free(records->runs);
	pd_embed_release(records->db);
	pd_free(records);
}
