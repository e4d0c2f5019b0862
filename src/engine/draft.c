/* Drafts, and what is left of those that never came to be.
 *
 *     of the system actor    PUT 'n' -> the id, PUT 'h' id -> its tenant      begin
 *     of the draft           PUT …                                            put
 *     of the system actor    [a drop of the actor in whose place it comes: drop.c]
 *                            PUT 'a' tenant name -> the id                    publish
 *                            DELETE 'h' id
 *                            PUT of profile and lease
 *
 * Or it goes, with a record that says the same as one of a drop, but that there is no name: PUT 'd', DELETE RANGE of everything,
 * DELETE 'h' id.
 *
 * Or it is kept as a snapshot (snapshot.h): DELETE 'h' id, PUT 's' tenant actor name.
 *
 * All but the record of publishing is written at the level none: nobody is told of it. What settles is the last record, and all before
 * it in the log with it. */
#include "engine/draft.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "engine/relation.h"

#define NOTE          'h'
#define RECORD_BYTES  1024u    /* what the records take that have no content in them, about */
#define SWEEP_WAIT_US 1000000u /* after it failed */

struct pd_draft {
	struct pd_engine *engine;
	struct pd_session *session; /* NULL: left over */
	struct pd_draft *next;
	uint64_t id, tenant;
	struct pd_store_actor *state; /* NULL: there is nothing of it */
};

bool pd_draft_has(const struct pd_engine *engine, uint64_t actor)
{
	for (const struct pd_draft *draft = engine->drafts.first; draft != NULL; draft = draft->next)
		if (draft->id == actor)
			return true;
	return false;
}

uint64_t pd_draft_id(const struct pd_draft *draft)
{
	return draft->id;
}

uint64_t pd_drafts_count(const struct pd_engine *engine)
{
	return engine->drafts.count;
}

void pd_drafts_leave_out(const struct pd_engine *engine, struct pd_store_stats *stats)
{
	for (const struct pd_draft *draft = engine->drafts.first; draft != NULL; draft = draft->next) {
		if (draft->state == NULL)
			continue;
		stats->keys -= draft->state->key_count;
		stats->bytes -= draft->state->byte_count;
		stats->expiring_keys -= draft->state->expiring_count;
	}
}

static void enlist(struct pd_engine *engine, struct pd_draft *draft)
{
	draft->next = engine->drafts.first;
	engine->drafts.first = draft;
	engine->drafts.count++;
	engine->drafts.left_count += draft->session == NULL;
}

static void strike(struct pd_engine *engine, struct pd_draft *draft)
{
	struct pd_draft **at = &engine->drafts.first;

	for (; *at != draft; at = &(*at)->next)
		PD_ASSERT(*at != NULL);
	*at = draft->next;
	engine->drafts.count--;
	engine->drafts.left_count -= draft->session == NULL;
	pd_free(draft);
}

void pd_drafts_done(struct pd_engine *engine)
{
	while (engine->drafts.first != NULL)
		strike(engine, engine->drafts.first);
}

/* ---- transactions ---- */

static int fail(struct pd_txn *txn, int result, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	pd_txn_abort(txn);
	pd_txn_fill_receipt(txn, 0, ret_receipt);
	return pd_error_set(err, result, "%s",
			    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
}

static int begin_record(struct pd_draft *draft, uint64_t bytes, struct pd_receipt *ret_receipt,
			struct pd_error *err)
{
	struct pd_engine *engine = draft->engine;
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	result = pd_engine_admit(engine, bytes, true, ret_receipt, err);
	if (result != 0)
		return result;
	pd_txn_start(&engine->txn, draft->session);
	engine->txn.level = PD_LEVEL_NONE;
	return 0;
}

static int end_record(struct pd_draft *draft, int result, struct pd_receipt *ret_receipt,
		      struct pd_error *err)
{
	struct pd_txn *txn = &draft->engine->txn;

	if (result == 0)
		result = txn->failed;
	if (result != 0)
		return fail(txn, result, ret_receipt, err);
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	return 0;
}

static struct pd_slice note_key(uint64_t id, uint8_t key[PD_SYSTEM_KEY_MAX])
{
	key[0] = NOTE;
	return pd_slice(key, 1 + pd_varint_put(key + 1, id));
}

static int forget_note(struct pd_txn *txn, uint64_t id)
{
	uint8_t key[PD_SYSTEM_KEY_MAX];

	return pd_txn_delete_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, note_key(id, key));
}

/* ---- making one ---- */

static int begin(struct pd_draft *draft)
{
	struct pd_engine *engine = draft->engine;
	uint8_t key[PD_SYSTEM_KEY_MAX], value[PD_VARINT_MAX];
	int result = draft->tenant == 0 ? pd_txn_bear_tenant(&engine->txn) : 0;

	if (result == 0 && draft->tenant == 0)
		draft->tenant = draft->session->tenant->id;
	if (result == 0)
		result = pd_txn_give_id(&engine->txn, &draft->id);
	if (result == 0)
		result = pd_txn_put_system(&engine->txn, note_key(draft->id, key), 0,
					   pd_slice(value, pd_varint_put(value, draft->tenant)));
	if (result != 0)
		return result;
	/* The last that can fail. */
	draft->state = pd_store_actor_add(engine->store, draft->tenant, draft->id);
	return draft->state == NULL ? PD_NO_MEMORY : 0;
}

int pd_draft_begin(struct pd_engine *engine, struct pd_session *session, struct pd_slice tenant_name,
		   struct pd_draft **ret_draft, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	const struct pd_tenant *tenant = pd_directory_tenant(&engine->directory, tenant_name);
	struct pd_draft *draft;
	int result;

	if (tenant == NULL && !pd_slice_equal(tenant_name, pd_session_tenant(session)))
		return pd_error_set(err, PD_NOT_FOUND, "there is no tenant '%.*s'", (int)tenant_name.size,
				    (const char *)tenant_name.data);
	if (engine->drafts.count >= PD_DRAFTS_MAX)
		return pd_error_set(err, PD_BUSY,
				    "%zu actors are being made or removed already: try again when some are "
				    "done",
				    engine->drafts.count);
	draft = pd_calloc(1, sizeof *draft);
	if (draft == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an actor");
	*draft = (struct pd_draft){ .engine = engine,
				    .session = session,
				    .tenant = tenant != NULL ? tenant->id : 0 };
	result = begin_record(draft, RECORD_BYTES, ret_receipt, err);
	if (result == 0)
		result = end_record(draft, begin(draft), ret_receipt, err);
	if (result != 0) {
		pd_free(draft);
		return result;
	}
	enlist(engine, draft);
	*ret_draft = draft;
	return 0;
}

int pd_draft_blobs(struct pd_draft *draft, uint64_t count, uint64_t *ret_first,
		   struct pd_receipt *ret_receipt, struct pd_error *err)
{
	int result = begin_record(draft, RECORD_BYTES, ret_receipt, err);

	if (result != 0)
		return result;
	return end_record(draft, pd_txn_new_blobs(&draft->engine->txn, count, ret_first), ret_receipt, err);
}

int pd_draft_put(struct pd_draft *draft, struct pd_slice entries, struct pd_receipt *ret_receipt,
		 struct pd_error *err)
{
	struct pd_txn *txn = &draft->engine->txn;
	int result = begin_record(draft, entries.size, ret_receipt, err);

	if (result != 0)
		return result;
	for (size_t at = 0; result == 0 && at < entries.size;) {
		struct pd_entry entry;

		pd_entry_read(entries.data + at, 0, &entry);
		at += pd_entry_size(entry.bytes);
		PD_ASSERT(at <= entries.size && (at == entries.size || entries.size <= PD_DRAFT_PUT_MAX));
		result = pd_txn_put_entry(txn, draft->state, draft->tenant, entry.type, entry.expires_us,
					  entry.key, entry.value, NULL);
	}
	return end_record(draft, result, ret_receipt, err);
}

/* ---- publishing ---- */

static struct pd_tenant *tenant_of(const struct pd_draft *draft)
{
	struct pd_directory *directory = &draft->engine->directory;
	struct pd_tenant *tenant = NULL;

	for (size_t i = 0; i < directory->tenant_count; i++)
		if (directory->tenants[i]->id == draft->tenant)
			tenant = directory->tenants[i];
	PD_ASSERT(tenant != NULL);
	return tenant;
}

/* What comes to be, as far as it is in memory. */
struct arrival {
	struct pd_tenant *tenant;
	struct pd_actor *old, *actor;
	struct pd_quota *quota;
	struct pd_profile profile;
};

static int find_place(const struct pd_draft *draft, const struct pd_draft_place *place,
		      struct arrival *arrival, struct pd_error *err)
{
	struct pd_directory *directory = &draft->engine->directory;
	struct pd_actor *old;

	arrival->tenant = tenant_of(draft);
	PD_ASSERT(pd_actor_name_is_good(place->name));
	old = pd_directory_actor(directory, arrival->tenant, place->name);
	if (old != NULL && place->instead_of == 0)
		return pd_error_set(err, PD_EXISTS,
				    "there is an actor '%.*s' already: take another name, or drop it first",
				    (int)place->name.size, (const char *)place->name.data);
	if (place->instead_of != 0 && (old == NULL || old->id != place->instead_of))
		return pd_error_set(
			err, PD_CONFLICT,
			"actor '%.*s' was dropped or replaced meanwhile: look at it, and try again",
			(int)place->name.size, (const char *)place->name.data);
	arrival->old = old;
	arrival->profile = place->profile;
	if (old != NULL) {
		arrival->profile.level = old->level;
		arrival->profile.quotas = old->quota != NULL ? old->quota->quotas : (struct pd_quotas){ 0 };
	}
	return 0;
}

static int put_name(struct pd_txn *txn, const struct pd_draft *draft, struct pd_slice name)
{
	uint8_t key[PD_NAME_KEY_MAX], value[PD_VARINT_MAX];
	size_t size = 1;

	key[0] = 'a';
	size += pd_varint_put(key + size, draft->tenant);
	memcpy(key + size, name.data, name.size);
	return pd_txn_put_system(txn, pd_slice(key, size + name.size), 0,
				 pd_slice(value, pd_varint_put(value, draft->id)));
}

/* After this nothing can fail. */
static int publish(struct pd_txn *txn, const struct pd_draft *draft, const struct pd_draft_place *place,
		   struct arrival *arrival)
{
	struct pd_engine *engine = txn->engine;
	struct pd_slice name = place->name;
	int result = arrival->old != NULL ? pd_txn_drop(txn, arrival->old, draft->state) : 0;

	if (result == 0)
		result = put_name(txn, draft, name);
	if (result == 0)
		result = forget_note(txn, draft->id);
	if (result == 0 && arrival->old != NULL)
		result = pd_lease_hand_on(txn, arrival->old, draft->id);
	if (result == 0 && place->relations != NULL)
		result = pd_relations_arrive(txn, arrival->tenant, name, draft->state, place->relations);
	if (result == 0)
		result = pd_profile_arrive(txn, arrival->tenant, name, draft->state, arrival->old,
					   &arrival->profile, &arrival->quota);
	if (result == 0)
		result = txn->failed;
	if (result != 0)
		return result;
	arrival->actor = pd_directory_add_actor(&engine->directory, draft->id, arrival->tenant, name,
						draft->state);
	return arrival->actor == NULL ? PD_NO_MEMORY : 0;
}

/* The record is written: what is in memory follows. */
static void take_over(struct pd_engine *engine, struct arrival *arrival, uint64_t lsn)
{
	struct pd_actor *actor = arrival->actor;

	actor->level = arrival->profile.level;
	actor->quota = arrival->quota;
	pd_quota_arrived(arrival->tenant, actor->state);
	if (arrival->old != NULL) {
		actor->lease = arrival->old->lease;
		arrival->old->lease = NULL;
		pd_drop_done(engine, arrival->old, lsn);
	}
	/* Whatever had its time in the meantime goes now. */
	pd_store_look_again(engine->store);
}

int pd_draft_publish(struct pd_draft *draft, const struct pd_draft_place *place,
		     struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_engine *engine = draft->engine;
	struct pd_txn *txn = &engine->txn;
	struct arrival arrival = { 0 };
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	result = find_place(draft, place, &arrival, err);
	if (result == 0)
		result = begin_record(
			draft,
			RECORD_BYTES + (place->relations != NULL ? 2 * place->relations->entries.size : 0),
			ret_receipt, err);
	if (result != 0)
		return result;
	txn->level = draft->session->level;
	txn->profile_level = arrival.profile.level != PD_LEVEL_UNSET ? arrival.profile.level
								     : arrival.tenant->level;
	result = publish(txn, draft, place, &arrival);
	if (result != 0) {
		pd_free(arrival.quota);
		return fail(txn, result, ret_receipt, err);
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	take_over(engine, &arrival, ret_receipt->lsn);
	strike(engine, draft);
	return 0;
}

/* ---- kept as a snapshot ---- */

int pd_draft_keep(struct pd_draft *draft, struct pd_slice actor, struct pd_slice name,
		  const struct pd_snapshot_record *record, struct pd_receipt *ret_receipt,
		  struct pd_error *err)
{
	struct pd_engine *engine = draft->engine;
	struct pd_tenant *tenant = tenant_of(draft);
	struct pd_snapshot_record kept = *record;
	struct pd_txn *txn = &engine->txn;
	int result = begin_record(draft, RECORD_BYTES, ret_receipt, err);

	if (result != 0)
		return result;
	txn->level = draft->session->level;
	txn->profile_level = record->profile.level != PD_LEVEL_UNSET ? record->profile.level : tenant->level;
	kept.copy = draft->id;
	kept.made_us = txn->now_us;
	result = forget_note(txn, draft->id);
	if (result == 0)
		result = txn->failed;
	if (result == 0)
		result = pd_snapshot_arrive(txn, tenant, draft->state, actor, name, &kept);
	if (result != 0)
		return fail(txn, result, ret_receipt, err);
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	strike(engine, draft);
	return 0;
}

/* ---- what is left over ---- */

void pd_draft_discard(struct pd_draft *draft)
{
	if (draft == NULL)
		return;
	PD_ASSERT(draft->session != NULL);
	draft->session = NULL;
	draft->engine->drafts.left_count++;
	draft->engine->drafts.due_us = 0;
}

static int remove_draft(struct pd_txn *txn, const struct pd_draft *draft)
{
	int result = 0;

	if (draft->state != NULL)
		result = pd_txn_say_dropped(txn, draft->id);
	if (result == 0 && draft->state != NULL)
		result = pd_txn_drop_state(txn, draft->state);
	if (result == 0)
		result = forget_note(txn, draft->id);
	return result == 0 ? txn->failed : result;
}

int pd_drafts_sweep(struct pd_engine *engine, uint64_t now_us)
{
	struct pd_draft *draft = engine->drafts.first;
	struct pd_txn *txn = &engine->txn;
	int result;

	if (engine->log->fenced)
		return PD_FENCED;
	while (draft->session != NULL)
		draft = draft->next;
	pd_txn_start(txn, NULL);
	txn->level = PD_LEVEL_NONE; /* nobody sees it, with or without this */
	result = remove_draft(txn, draft);
	if (result == 0) {
		(void)pd_txn_commit(txn);
		strike(engine, draft);
		return 0;
	}
	pd_txn_abort(txn);
	/* No room to write it down, or no way to read it: it stays, and nobody sees it. */
	engine->drafts.due_us = now_us + SWEEP_WAIT_US;
	return result == PD_FENCED ? result : 0;
}

/* ---- at the start ---- */

static int load_note(struct pd_engine *engine, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_draft *draft;
	uint64_t id, tenant;

	if (pd_varint_get(entry->key.data + 1, entry->key.size - 1, &id) == 0 ||
	    pd_varint_get(entry->value.data, entry->value.size, &tenant) == 0)
		return pd_error_set(err, PD_CORRUPT,
				    "a note about an unfinished actor makes no sense: check the log with "
				    "'perdure log verify'");
	draft = pd_calloc(1, sizeof *draft);
	if (draft == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for what unfinished actors have left");
	*draft = (struct pd_draft){
		.engine = engine, .id = id, .tenant = tenant, .state = pd_store_actor_get(engine->store, id)
	};
	enlist(engine, draft);
	return 0;
}

int pd_drafts_load(struct pd_engine *engine, struct pd_error *err)
{
	static const uint8_t kind = NOTE, next_kind = NOTE + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_drafts_done(engine);
	pd_store_begin(engine->store);
	pd_store_seek(engine->store, engine->system, pd_slice(&kind, 1), pd_slice(&next_kind, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = load_note(engine, &entry, err);
		if (result != 0)
			break;
	}
	pd_store_commit(engine->store);
	return result;
}
