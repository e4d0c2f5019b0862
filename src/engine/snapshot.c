/* Snapshots that there are, in memory in the order in which their copies were begun, and how they go: by a record like that of a drop, but
 * that there is no name.
 *
 *     of the system actor    PUT 'd' -> the copy's id
 *     of the copy            DELETE RANGE of everything
 *     of the system actor    DELETE 's' tenant actor name */
#include "engine/snapshot.h"

#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine_private.h"

#define RECORD_BYTES 1024u                    /* what the record of a removal takes, about */
#define WAIT_US      1000000u                 /* after removing one whose time had come has failed */
#define LOOK_US      (UINT64_C(60) * 1000000) /* so often the clock is looked at, at least, while any has a time */

struct pd_kept {
	uint64_t id; /* of the copy */
	uint64_t tenant;
	struct pd_snapshot_record record;
	struct pd_store_actor *state; /* NULL: nothing of it is there any more, or was ever */
	size_t actor_size, name_size;
	uint8_t names[];
};

static struct pd_slice actor_of(const struct pd_kept *kept)
{
	return pd_slice(kept->names, kept->actor_size);
}

static struct pd_slice name_of(const struct pd_kept *kept)
{
	return pd_slice(kept->names + kept->actor_size, kept->name_size);
}

/* ---- in memory ---- */

static void release(void *context, void *item)
{
	(void)context;
	pd_free(item);
}

void pd_snapshots_init(struct pd_snapshots *snapshots)
{
	*snapshots = (struct pd_snapshots){ .due_us = UINT64_MAX };
	pd_id_list_init(&snapshots->list, release, NULL);
}

void pd_snapshots_done(struct pd_snapshots *snapshots)
{
	pd_id_list_done(&snapshots->list);
	pd_snapshots_init(snapshots);
}

bool pd_snapshot_has(const struct pd_engine *engine, uint64_t actor)
{
	return pd_id_list_find(&engine->snapshots.list, actor) != NULL;
}

static struct pd_kept *next_of(const struct pd_engine *engine, uint64_t after)
{
	return pd_id_list_next(&engine->snapshots.list, after);
}

void pd_snapshots_leave_out(const struct pd_engine *engine, struct pd_store_stats *stats)
{
	for (const struct pd_kept *kept = next_of(engine, 0); kept != NULL;
	     kept = next_of(engine, kept->id)) {
		if (kept->state == NULL)
			continue;
		stats->keys -= kept->state->key_count;
		stats->bytes -= kept->state->byte_count;
		stats->expiring_keys -= kept->state->expiring_count;
	}
}

struct pd_snapshot_figures pd_snapshots_figures(const struct pd_engine *engine)
{
	struct pd_snapshot_figures figures = { .count = pd_id_list_count(&engine->snapshots.list) };

	for (const struct pd_kept *kept = next_of(engine, 0); kept != NULL; kept = next_of(engine, kept->id))
		figures.bytes += kept->state != NULL ? kept->state->byte_count : 0;
	return figures;
}

/* NULL: out of memory. */
static struct pd_kept *kept_new(uint64_t tenant, struct pd_slice actor, struct pd_slice name,
				const struct pd_snapshot_record *record)
{
	struct pd_kept *kept = pd_calloc(1, sizeof *kept + actor.size + name.size);

	if (kept == NULL)
		return NULL;
	kept->id = record->copy;
	kept->tenant = tenant;
	kept->record = *record;
	kept->actor_size = actor.size;
	kept->name_size = name.size;
	memcpy(kept->names, actor.data, actor.size);
	memcpy(kept->names + actor.size, name.data, name.size);
	return kept;
}

/* One more has a time: look when that is, or before. */
static void hurry(struct pd_engine *engine, const struct pd_kept *kept)
{
	if (kept->record.keep_us != 0)
		engine->snapshots.due_us = 0;
}

static struct pd_kept *find(const struct pd_engine *engine, uint64_t tenant, struct pd_slice actor,
			    struct pd_slice name)
{
	for (struct pd_kept *kept = next_of(engine, 0); kept != NULL; kept = next_of(engine, kept->id))
		if (kept->tenant == tenant && pd_slice_equal(actor_of(kept), actor) &&
		    pd_slice_equal(name_of(kept), name))
			return kept;
	return NULL;
}

bool pd_engine_next_snapshot(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			     uint64_t after, struct pd_snapshot_info *ret_info)
{
	struct pd_slice tenant_name = pd_session_tenant(session), name = actor;
	const struct pd_tenant *tenant;
	const struct pd_kept *kept;

	if (actor.size > 0 && pd_session_place(session, actor, &tenant_name, &name, NULL) != 0)
		return false;
	tenant = pd_directory_tenant(&engine->directory, tenant_name);
	if (tenant == NULL)
		return false;
	for (kept = next_of(engine, after); kept != NULL; kept = next_of(engine, kept->id)) {
		if (kept->tenant != tenant->id || (actor.size > 0 && !pd_slice_equal(actor_of(kept), name)))
			continue;
		*ret_info = (struct pd_snapshot_info){
			.record = kept->record,
			.tenant = pd_slice(tenant->name, tenant->name_size),
			.actor = actor_of(kept),
			.name = name_of(kept),
			.keys = kept->state != NULL ? kept->state->key_count : 0,
			.bytes = kept->state != NULL ? kept->state->byte_count : 0,
		};
		return true;
	}
	return false;
}

/* ---- making one ---- */

static int check(const struct pd_engine *engine, uint64_t tenant, struct pd_slice actor, struct pd_slice name,
		 struct pd_error *err)
{
	unsigned of_tenant = 0;

	if (!pd_snapshot_name_is_good(name))
		return pd_error_set(err, PD_INVALID,
				    "'%.*s' is no snapshot's name: it has 1 to %u bytes, no space, {, } or / "
				    "among them",
				    (int)(name.size < 64 ? name.size : 64), (const char *)name.data,
				    PD_SNAPSHOT_NAME_MAX);
	if (find(engine, tenant, actor, name) != NULL)
		return pd_error_set(
			err, PD_EXISTS,
			"actor '%.*s' has a snapshot '%.*s' already: take another name, or remove "
			"it first with PD.ACTOR UNSNAPSHOT",
			(int)actor.size, (const char *)actor.data, (int)name.size, (const char *)name.data);
	for (const struct pd_kept *kept = next_of(engine, 0); kept != NULL; kept = next_of(engine, kept->id))
		of_tenant += kept->tenant == tenant;
	if (of_tenant >= PD_SNAPSHOTS_TENANT_MAX)
		return pd_error_set(err, PD_TOO_LARGE,
				    "a tenant may have %u snapshots, and this one has them: remove some with "
				    "PD.ACTOR UNSNAPSHOT, or let them go by themselves with KEEP",
				    PD_SNAPSHOTS_TENANT_MAX);
	if (pd_id_list_count(&engine->snapshots.list) >= PD_SNAPSHOTS_MAX)
		return pd_error_set(err, PD_TOO_LARGE,
				    "all tenants together may have %u snapshots, and they have them: remove "
				    "some with PD.ACTOR UNSNAPSHOT",
				    PD_SNAPSHOTS_MAX);
	return 0;
}

int pd_engine_check_snapshot(const struct pd_engine *engine, struct pd_slice tenant_name,
			     struct pd_slice actor, struct pd_slice name, struct pd_error *err)
{
	const struct pd_tenant *tenant = pd_directory_tenant(&engine->directory, tenant_name);

	return check(engine, tenant != NULL ? tenant->id : 0, actor, name, err);
}

/* Snapshots of a tenant may take as much again as its actors may. */
static int check_quota(const struct pd_engine *engine, const struct pd_tenant *tenant,
		       const struct pd_store_actor *state, struct pd_error *err)
{
	uint64_t keys = state->key_count, bytes = state->byte_count;
	const struct pd_quotas *quotas;

	if (tenant->quota == NULL)
		return 0;
	quotas = &tenant->quota->quotas;
	for (const struct pd_kept *kept = next_of(engine, 0); kept != NULL;
	     kept = next_of(engine, kept->id)) {
		if (kept->tenant != tenant->id || kept->state == NULL)
			continue;
		keys += kept->state->key_count;
		bytes += kept->state->byte_count;
	}
	if ((quotas->keys == 0 || keys <= quotas->keys) && (quotas->bytes == 0 || bytes <= quotas->bytes))
		return 0;
	return pd_error_set(err, PD_QUOTA,
			    "the snapshots of tenant '%.*s' may have what its actors may, and with this one "
			    "they would have %llu keys and %llu bytes: remove some with PD.ACTOR UNSNAPSHOT, "
			    "or raise its quota with PD.TENANT PROFILE",
			    (int)tenant->name_size, (const char *)tenant->name, (unsigned long long)keys,
			    (unsigned long long)bytes);
}

int pd_snapshot_arrive(struct pd_txn *txn, const struct pd_tenant *tenant, struct pd_store_actor *state,
		       struct pd_slice actor, struct pd_slice name, const struct pd_snapshot_record *record)
{
	struct pd_engine *engine = txn->engine;
	uint8_t key[PD_SNAPSHOT_KEY_MAX], value[PD_SNAPSHOT_VALUE_MAX];
	struct pd_kept *kept;
	int result = check(engine, tenant->id, actor, name, &txn->err);

	if (result == 0)
		result = check_quota(engine, tenant, state, &txn->err);
	if (result == 0)
		result = pd_txn_put_system(txn, pd_snapshot_key(tenant->id, actor, name, key), 0,
					   pd_snapshot_write(record, value));
	if (result != 0)
		return result;
	kept = kept_new(tenant->id, actor, name, record);
	if (kept == NULL || pd_id_list_add(&engine->snapshots.list, kept) != 0) {
		pd_free(kept);
		return PD_NO_MEMORY;
	}
	kept->state = state;
	hurry(engine, kept);
	return 0;
}

/* ---- removing ---- */

static int remove_one(struct pd_txn *txn, const struct pd_kept *kept)
{
	uint8_t key[PD_SNAPSHOT_KEY_MAX];
	int result = 0;

	if (kept->state != NULL)
		result = pd_txn_say_dropped(txn, kept->id);
	if (result == 0 && kept->state != NULL)
		result = pd_txn_drop_state(txn, kept->state);
	if (result == 0)
		result = pd_txn_delete_entry(
			txn, txn->engine->system, PD_SYSTEM_TENANT,
			pd_snapshot_key(kept->tenant, actor_of(kept), name_of(kept), key));
	return result == 0 ? txn->failed : result;
}

int pd_engine_remove_snapshot(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			      struct pd_slice name, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_slice tenant_name, actor_name;
	struct pd_txn *txn = &engine->txn;
	const struct pd_tenant *tenant;
	struct pd_kept *kept = NULL;
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	result = pd_session_place(session, actor, &tenant_name, &actor_name, err);
	if (result != 0)
		return result;
	tenant = pd_directory_tenant(&engine->directory, tenant_name);
	if (tenant != NULL)
		kept = find(engine, tenant->id, actor_name, name);
	if (kept == NULL)
		return pd_error_set(err, PD_NOT_FOUND,
				    "actor '%.*s' has no snapshot '%.*s': PD.ACTOR SNAPSHOTS lists them",
				    (int)(actor.size < 300 ? actor.size : 300), (const char *)actor.data,
				    (int)(name.size < 64 ? name.size : 64), (const char *)name.data);
	result = pd_engine_admit(engine, RECORD_BYTES, false, ret_receipt, err);
	if (result != 0)
		return result;
	pd_txn_start(txn, session);
	txn->level = session->level;
	txn->profile_level = tenant->level;
	result = remove_one(txn, kept);
	if (result != 0) {
		pd_txn_abort(txn);
		if (txn->failed == PD_CORRUPT)
			pd_state_note_damage(engine, &txn->err);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	pd_id_list_remove(&engine->snapshots.list, kept);
	return 0;
}

/* ---- whose time has come ---- */

/* NULL: of none; then *ret_left_us is when it will be of the next. */
static struct pd_kept *find_expired(struct pd_engine *engine, uint64_t *ret_left_us)
{
	uint64_t now_us;

	pd_clock_update(&engine->clock);
	now_us = engine->clock.time_us;
	*ret_left_us = UINT64_MAX;
	for (struct pd_kept *kept = next_of(engine, 0); kept != NULL; kept = next_of(engine, kept->id)) {
		uint64_t ends_us = kept->record.made_us + kept->record.keep_us;

		if (kept->record.keep_us == 0)
			continue;
		if (ends_us <= now_us)
			return kept;
		if (ends_us - now_us < *ret_left_us)
			*ret_left_us = ends_us - now_us;
	}
	return NULL;
}

int pd_snapshots_sweep(struct pd_engine *engine, uint64_t now_us)
{
	struct pd_txn *txn = &engine->txn;
	struct pd_kept *kept;
	uint64_t left_us;
	int result;

	if (engine->log->fenced)
		return PD_FENCED;
	kept = find_expired(engine, &left_us);
	if (kept == NULL) {
		engine->snapshots.due_us = left_us == UINT64_MAX
						   ? UINT64_MAX
						   : now_us + (left_us < LOOK_US ? left_us : LOOK_US);
		return 0;
	}
	pd_txn_start(txn, NULL);
	txn->level = PD_LEVEL_NONE; /* nobody is told */
	result = remove_one(txn, kept);
	if (result == 0) {
		(void)pd_txn_commit(txn);
		pd_id_list_remove(&engine->snapshots.list, kept);
		return 0;
	}
	pd_txn_abort(txn);
	if (txn->failed == PD_CORRUPT)
		pd_state_note_damage(engine, &txn->err);
	/* No room to write it down, or no way to read it: it stays for a while. */
	engine->snapshots.due_us = now_us + WAIT_US;
	return result == PD_FENCED ? result : 0;
}

/* ---- at the start ---- */

static int load_one(struct pd_engine *engine, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_snapshot_record record;
	struct pd_slice actor, name;
	struct pd_kept *kept;
	uint64_t tenant;

	if (pd_snapshot_read_key(entry->key, &tenant, &actor, &name) != 0 ||
	    pd_snapshot_read(entry->value, &record) != 0)
		return pd_error_set(err, PD_CORRUPT,
				    "what is kept of a snapshot makes no sense: check the log with 'perdure "
				    "log verify'");
	kept = kept_new(tenant, actor, name, &record);
	if (kept == NULL || pd_id_list_append(&engine->snapshots.list, kept) != 0) {
		pd_free(kept);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the names of snapshots");
	}
	kept->state = pd_store_actor_get(engine->store, record.copy);
	hurry(engine, kept);
	return 0;
}

int pd_snapshots_load(struct pd_engine *engine, struct pd_error *err)
{
	static const uint8_t kind = 's', next_kind = 's' + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_snapshots_done(&engine->snapshots);
	pd_store_begin(engine->store);
	pd_store_seek(engine->store, engine->system, pd_slice(&kind, 1), pd_slice(&next_kind, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = load_one(engine, &entry, err);
		if (result != 0)
			break;
	}
	pd_store_commit(engine->store);
	if (result == 0 && !pd_id_list_sort(&engine->snapshots.list))
		result = pd_error_set(err, PD_CORRUPT,
				      "two snapshots have the same content: check the log with 'perdure log "
				      "verify'");
	return result;
}
