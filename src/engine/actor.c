/* What is known of actors, and dropping one. */
#include "engine/actor.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "engine/engine_private.h"

/* ---- finding one ---- */

struct pd_actor *pd_engine_find_actor(struct pd_engine *engine, struct pd_session *session,
				      struct pd_slice name)
{
	const struct pd_directory *directory = &engine->directory;
	const uint8_t *slash = name.size > 0 ? memchr(name.data, '/', name.size) : NULL;
	struct pd_actor *actor;
	struct pd_tenant *tenant;
	size_t size;

	pd_session_resolve(session);
	actor = pd_directory_actor(directory, session->tenant, name);
	if (actor != NULL || slash == NULL)
		return actor;
	size = (size_t)(slash - name.data);
	/* Whether others' are there is not told. */
	if (!pd_session_reaches(session, pd_slice(name.data, size)))
		return NULL;
	tenant = pd_directory_tenant(directory, pd_slice(name.data, size));
	return pd_directory_actor(directory, tenant, pd_slice(slash + 1, name.size - size - 1));
}

int pd_engine_no_actor(struct pd_slice name, struct pd_error *err)
{
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor '%.*s'",
			    name.size < 300 ? (int)name.size : 300, (const char *)name.data);
}

int pd_engine_next_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice tenant_name,
			 uint64_t after, uint64_t *looks, struct pd_actor_place *ret_place,
			 struct pd_error *err)
{
	const struct pd_tenant *tenant;
	const struct pd_actor *actor;

	pd_session_resolve(session);
	tenant = session->tenant;
	if (tenant_name.size > 0) {
		tenant = pd_session_reaches(session, tenant_name)
				 ? pd_directory_tenant(&engine->directory, tenant_name)
				 : NULL;
		if (tenant == NULL)
			return pd_error_set(err, PD_NOT_FOUND, "there is no tenant '%.*s'",
					    tenant_name.size < 300 ? (int)tenant_name.size : 300,
					    (const char *)tenant_name.data);
	}
	while (tenant != NULL && (actor = pd_directory_actor_next(&engine->directory, after)) != NULL) {
		if (*looks == 0) {
			*ret_place = (struct pd_actor_place){ .id = after };
			return PD_AGAIN;
		}
		--*looks;
		after = actor->id;
		if (actor->tenant != tenant)
			continue;
		*ret_place = (struct pd_actor_place){ actor->id, pd_actor_name(actor) };
		return 1;
	}
	return 0;
}

/* ---- which are busy ---- */

/* Keep the few that do most. */
static size_t take_heat(struct pd_actor_heat *actors, size_t count, size_t most,
			const struct pd_actor_heat *heat)
{
	size_t place = count;

	while (place > 0 && actors[place - 1].operations_per_s < heat->operations_per_s)
		place--;
	if (place == most)
		return count;
	if (count < most)
		count++;
	memmove(actors + place + 1, actors + place, (count - place - 1) * sizeof *actors);
	actors[place] = *heat;
	return count;
}

size_t pd_engine_hot_actors(struct pd_engine *engine, const struct pd_session *session, size_t most,
			    struct pd_actor_heat *ret_actors)
{
	uint64_t now_us = pd_engine_monotonic_us(engine);
	size_t count = 0;

	PD_ASSERT(most > 0 && most <= PD_HOT_MAX);
	pd_hot_pass(&engine->hot, now_us);
	for (unsigned i = 0; i < PD_HOT_SLOTS; i++) {
		const struct pd_hot_slot *slot = &engine->hot.slots[i];
		const struct pd_actor *actor = slot->id == 0 ? NULL
							     : pd_directory_actor_by_id(&engine->directory,
											slot->id);
		struct pd_actor_heat heat;

		if (actor == NULL) /* it was dropped since */
			continue;
		heat = (struct pd_actor_heat){ .id = actor->id,
					       .tenant = pd_slice(actor->tenant->name,
								  actor->tenant->name_size),
					       .name = pd_actor_name(actor),
					       .operations_per_s = pd_hot_rate(&engine->hot, slot, now_us) };
		if (heat.operations_per_s > 0 && pd_session_reaches(session, heat.tenant))
			count = take_heat(ret_actors, count, most, &heat);
	}
	return count;
}

void pd_engine_names_of(const struct pd_engine *engine, uint64_t tenant, uint64_t actor,
			struct pd_slice *ret_tenant, struct pd_slice *ret_actor)
{
	const struct pd_directory *directory = &engine->directory;
	const struct pd_actor *found = pd_directory_actor_by_id(directory, actor);

	*ret_actor = found != NULL ? pd_actor_name(found) : pd_slice(NULL, 0);
	*ret_tenant = pd_slice(NULL, 0);
	for (size_t i = 0; i < directory->tenant_count; i++)
		if (directory->tenants[i]->id == tenant)
			*ret_tenant = pd_slice(directory->tenants[i]->name, directory->tenants[i]->name_size);
}

/* ---- what is known of it ---- */

const char *pd_profile_scope_name(enum pd_profile_scope scope)
{
	static const char *const names[] = { "actor", "tenant", "server" };

	return names[scope];
}

const char *pd_bytes_known_name(enum pd_bytes_known known)
{
	static const char *const names[] = { "exact", "at most", "not yet" };

	return names[known];
}

/* The version of its name's entry is when it was made. */
static int find_birth(struct pd_engine *engine, const struct pd_actor *actor, struct pd_actor_info *info,
		      struct pd_error *err)
{
	uint8_t key[PD_NAME_KEY_MAX];
	struct pd_entry entry;
	int result;

	pd_store_begin(engine->store);
	result = pd_store_get(engine->store, engine->system, pd_actor_name_key(actor, key), &entry, err);
	if (result > 0) {
		info->created_lsn = entry.lsn;
		info->created_epoch = pd_engine_epoch_of(engine, entry.lsn);
	}
	pd_store_commit(engine->store);
	return result < 0 ? result : 0;
}

int pd_engine_actor_info(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_actor_info *ret_info, struct pd_error *err)
{
	const struct pd_actor *actor = pd_engine_find_actor(engine, session, name);
	struct pd_actor_info info = { 0 };
	int result;

	if (actor == NULL)
		return pd_engine_no_actor(name, err);
	info = (struct pd_actor_info){ .id = actor->id,
				       .tenant = pd_slice(actor->tenant->name, actor->tenant->name_size),
				       .name = pd_actor_name(actor),
				       .keys = actor->state->key_count,
				       .expiring_keys = actor->state->expiring_count,
				       .bytes_known = actor->state->bytes_known,
				       .last_write_us = actor->state->last_write_us,
				       .level = actor->level,
				       .quarantined = actor->quarantined,
				       .lost_first_lsn = actor->lost_first,
				       .lost_last_lsn = actor->lost_last };
	if (info.bytes_known != PD_BYTES_UNKNOWN)
		info.bytes = actor->state->byte_count;
	if (info.bytes_known != PD_BYTES_EXACT)
		pd_recount_want(engine);
	if (info.level == PD_LEVEL_UNSET) {
		info.level = actor->tenant->level;
		info.level_scope = PD_SCOPE_TENANT;
	}
	if (info.level == PD_LEVEL_UNSET) {
		info.level = engine->options.default_level;
		info.level_scope = PD_SCOPE_SERVER;
	}
	if (actor->quota != NULL)
		info.quotas = actor->quota->quotas;
	pd_clock_update(&engine->clock);
	pd_lease_tell(engine, actor, &info.lease);
	result = find_birth(engine, actor, &info, err);
	if (result == 0)
		*ret_info = info;
	return result;
}

/* ---- dropping ---- */

#define DROP_BYTES 1024u /* what the record of one takes, about */

int pd_engine_drop_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	struct pd_receipt receipt = { 0 };
	struct pd_actor *actor;
	int result;

	*ret_receipt = receipt;
	actor = pd_engine_find_actor(engine, session, name);
	if (actor == NULL)
		return pd_engine_no_actor(name, err);
	result = pd_engine_admit(engine, DROP_BYTES, false, &receipt, err);
	if (result != 0) {
		*ret_receipt = receipt;
		return result;
	}
	pd_txn_start(txn, session);
	txn->level = session->level;
	result = pd_txn_drop(txn, actor, NULL);
	if (result != 0) {
		pd_txn_abort(txn);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), &receipt);
	pd_drop_done(engine, actor, receipt.lsn);
	*ret_receipt = receipt;
	return 0;
}
