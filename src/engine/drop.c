/* Dropping an actor: everything that it has and everything that is kept about it, in a record of its own, or in that which gives its
 * name to what was made in its place (draft.c), before that:
 *
 *     of the system actor    PUT 'd' -> the actor's id           says what this record is, and so comes first
 *                            DELETE 'a' tenant name               from here on the name is free
 *     of other actors        DELETE of their sides of its relations; or, where another takes its place, of that one PUT of
 *                            these relations (relation.c)
 *     of the actor           DELETE RANGE of everything
 *     of the system actor    DELETE of all that is kept under its id: profile, quotas, lease; the last, since a drop is a write
 *                            to the actor, too, and as such may have moved when it expires
 *
 * The id is never given again, so whatever is still found under it is of an actor that is gone: notes about what damage
 * has taken, entries of the index of what expires, cursors. Replay does the same from the same record.
 *
 * Its entries are deleted here. Who wants them back makes another actor of what the log still has of this one. */
#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

static const struct pd_slice drop_key = { (const uint8_t *)"d", 1 };

struct pd_slice pd_actor_name_key(const struct pd_actor *actor, uint8_t key[PD_NAME_KEY_MAX])
{
	size_t size = 1;

	key[0] = 'a';
	size += pd_varint_put(key + size, actor->tenant->id);
	memcpy(key + size, actor->name, actor->name_size);
	return pd_slice(key, size + actor->name_size);
}

/* ---- the transaction ---- */

int pd_txn_say_dropped(struct pd_txn *txn, uint64_t id)
{
	uint8_t value[PD_VARINT_MAX];

	return pd_txn_put_system(txn, drop_key, 0, pd_slice(value, pd_varint_put(value, id)));
}

int pd_txn_drop(struct pd_txn *txn, struct pd_actor *actor, struct pd_store_actor *heir)
{
	static const uint8_t kinds[] = { 'p', 'o', 'q', 'w' }; /* what is kept under an actor's id */
	struct pd_store_actor *system = txn->engine->system;
	uint8_t key[PD_NAME_KEY_MAX];
	int result;

	result = pd_txn_say_dropped(txn, actor->id);
	if (result == 0 && !pd_plant(PD_PLANT_DROP_KEEPS_NAME))
		result = pd_txn_delete_entry(txn, system, PD_SYSTEM_TENANT, pd_actor_name_key(actor, key));
	if (result == 0)
		result = pd_txn_may_write(txn, actor);
	if (result == 0)
		result = heir != NULL ? pd_relations_hand_on(txn, actor, heir) : pd_relations_end(txn, actor);
	if (result == 0)
		result = pd_txn_drop_state(txn, actor->state);
	for (size_t i = 0; result == 0 && i < sizeof kinds; i++) {
		key[0] = kinds[i];
		result = pd_txn_delete_entry(txn, system, PD_SYSTEM_TENANT,
					     pd_slice(key, 1 + pd_varint_put(key + 1, actor->id)));
	}
	if (result == 0 && actor->quarantined)
		result = pd_note_dropped(txn->engine, actor, txn->lsn, &txn->err);
	return result == 0 ? txn->failed : result;
}

static size_t slot_of(const struct pd_directory *directory, const struct pd_tenant *tenant,
		      struct pd_slice name)
{
	return pd_hash64(name, directory->hash_seed ^ ~tenant->id) % PD_DROPS_SLOTS;
}

void pd_drop_done(struct pd_engine *engine, struct pd_actor *actor, uint64_t lsn)
{
	engine->drops.lsn[slot_of(&engine->directory, actor->tenant, pd_actor_name(actor))] = lsn;
	if (actor->quarantined)
		engine->recovery.quarantined_actors--;
	pd_directory_remove_actor(&engine->directory, actor);
}

bool pd_dropped_since(const struct pd_engine *engine, const struct pd_tenant *tenant, struct pd_slice name,
		      uint64_t lsn)
{
	/* Tenants stay: one that is not there has never had an actor. */
	return tenant != NULL && engine->drops.lsn[slot_of(&engine->directory, tenant, name)] > lsn;
}

/* ---- replay ---- */

bool pd_drop_effect(const struct pd_effect *effect, uint64_t *ret_id)
{
	return effect->kind == PD_EFFECT_PUT && effect->actor == PD_SYSTEM_ACTOR &&
	       pd_slice_equal(effect->key, drop_key) &&
	       pd_varint_get(effect->value.data, effect->value.size, ret_id) > 0;
}

int pd_drop_replay(struct pd_engine *engine, struct pd_store_actor *state, uint64_t id, uint64_t lsn,
		   struct pd_error *err)
{
	uint64_t *ids = pd_grow(engine->replayed_drops, engine->replayed_drop_count,
				&engine->replayed_drop_capacity, sizeof *ids, 16);

	if (ids == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while replaying the log");
	engine->replayed_drops = ids;
	ids[engine->replayed_drop_count++] = id;
	if (state == NULL || pd_plant(PD_PLANT_DROP_NOT_REPLAYED))
		return 0;
	return pd_store_actor_drop(engine->store, state, lsn, err);
}

/* Asked for actors that damage has met and the directory has not: few. */
bool pd_drop_was_replayed(const struct pd_engine *engine, uint64_t id)
{
	for (size_t i = 0; i < engine->replayed_drop_count; i++)
		if (engine->replayed_drops[i] == id)
			return true;
	return false;
}

void pd_drop_forget_replayed(struct pd_engine *engine)
{
	pd_free(engine->replayed_drops);
	engine->replayed_drops = NULL;
	engine->replayed_drop_count = engine->replayed_drop_capacity = 0;
}

/* Of drops in earlier lives only the last one's LSN is known: any name may have been among them. */
int pd_drop_settle(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_entry entry;
	int result;

	pd_drop_forget_replayed(engine);
	pd_store_begin(engine->store);
	result = pd_store_get(engine->store, engine->system, drop_key, &entry, err);
	if (result > 0)
		for (size_t i = 0; i < PD_DROPS_SLOTS; i++)
			engine->drops.lsn[i] = entry.lsn;
	pd_store_commit(engine->store);
	return result < 0 ? result : 0;
}
