/* Relations: both sides of one in one transaction, and what becomes of them when an actor goes.
 *
 * A relation that is made or ended is a write to both actors: their leases, quotas and levels are asked, as for any other. When an actor
 * is dropped, its relations end with it: the other sides go in the same record, and nobody of the others is asked. When another state takes an
 * actor's place (draft.c), it takes over the relations as they are at that moment. So there is never one side without the other; but for what
 * cannot be read when its actor goes, since damage stands in nobody's way: then the others keep their sides, until they are ended by name. */
#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "engine/relation.h"
#include "model/relation/relation.h"

#define RUN_MAX 32u /* relations that are read before anything is written */

static_assert(PD_RELATION_NAME_MAX == PD_NAME_SIZE_MAX, "a relation names an actor");

static const uint8_t space = PD_SPACE_RELATION, behind_space = PD_SPACE_RELATION + 1;
static const struct pd_slice count_key = { &space, 1 };

/* ---- one side ---- */

/* false: it could not be read, which the transaction remembers. */
static bool read_count(struct pd_txn *txn, struct pd_store_actor *state, struct pd_relation_count *ret_count)
{
	struct pd_entry entry;

	if (!pd_txn_read(txn, state, count_key, &entry) || !pd_relation_count_read(entry.value, ret_count))
		*ret_count = (struct pd_relation_count){ 0 };
	return txn->failed == 0;
}

static int write_count(struct pd_txn *txn, struct pd_store_actor *state,
		       const struct pd_relation_count *count)
{
	uint8_t value[PD_RELATION_COUNT_MAX];

	if (count->out + count->in == 0)
		return pd_txn_delete_entry(txn, state, state->tenant, count_key);
	return pd_txn_put_entry(txn, state, state->tenant, PD_TYPE_RELATIONS, 0, count_key,
				pd_relation_count_write(count, value), NULL);
}

static uint64_t *count_of(struct pd_relation_count *count, enum pd_relation_side side)
{
	return side == PD_RELATION_IN ? &count->in : &count->out;
}

static int put_side(struct pd_txn *txn, struct pd_store_actor *state, const struct pd_relation *relation,
		    struct pd_slice data, bool *ret_new)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_slice key = pd_relation_key(relation, bytes);
	struct pd_relation_count count;
	struct pd_entry old;
	bool there = pd_txn_read(txn, state, key, &old);
	int result;

	*ret_new = !there;
	if (txn->failed != 0 || (there && pd_slice_equal(old.value, data)))
		return txn->failed;
	result = pd_txn_put_entry(txn, state, state->tenant, PD_TYPE_RELATION, 0, key, data, NULL);
	if (result != 0 || there)
		return result;
	if (!read_count(txn, state, &count))
		return txn->failed;
	++*count_of(&count, relation->side);
	return write_count(txn, state, &count);
}

static int remove_side(struct pd_txn *txn, struct pd_store_actor *state, const struct pd_relation *relation,
		       bool *ret_was_there)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_slice key = pd_relation_key(relation, bytes);
	struct pd_relation_count count;
	struct pd_entry old;
	int result;

	*ret_was_there = pd_txn_read(txn, state, key, &old);
	if (!*ret_was_there)
		return txn->failed;
	result = pd_txn_delete_entry(txn, state, state->tenant, key);
	if (result != 0 || !read_count(txn, state, &count))
		return result != 0 ? result : txn->failed;
	if (*count_of(&count, relation->side) > 0)
		--*count_of(&count, relation->side);
	return write_count(txn, state, &count);
}

/* ---- the two ---- */

/* One of them, as it was named. */
struct end {
	struct pd_slice tenant, name;
	struct pd_actor *actor; /* NULL: it is not there */
};

static int find_end(struct pd_txn *txn, struct pd_slice name, struct end *ret_end, struct pd_error *err)
{
	struct pd_actor *actor;
	int result = pd_session_place(txn->session, name, &ret_end->tenant, &ret_end->name, err);

	if (result != 0)
		return result;
	actor = pd_engine_find_actor(txn->engine, txn->session, name);
	ret_end->actor = actor;
	if (actor == NULL)
		return 0;
	if (!txn->unmetered && txn->born_count == 0)
		pd_hot_note(&txn->engine->hot, actor->id, &actor->hot_slot);
	result = txn->unmetered ? 0 : pd_quota_take(txn, actor, err);
	return result == 0 ? pd_actor_check(actor, err) : result;
}

int pd_txn_named_actor(struct pd_txn *txn, struct pd_slice name, struct pd_actor **ret_actor,
		       struct pd_error *err)
{
	struct end end;
	int result = find_end(txn, name, &end, err);

	if (result == 0 && end.actor == NULL)
		return pd_engine_no_actor(name, err);
	*ret_actor = result == 0 ? end.actor : NULL;
	return result;
}

static int find_ends(struct pd_txn *txn, const struct pd_relating *relating, struct end *from, struct end *to,
		     struct pd_error *err)
{
	int result = find_end(txn, relating->from, from, err);

	if (result == 0)
		result = find_end(txn, relating->to, to, err);
	if (result != 0 || pd_slice_equal(from->tenant, to->tenant))
		return result;
	return pd_error_set(
		err, PD_INVALID,
		"'%.*s' and '%.*s' are of two tenants: actors are related to others of their own "
		"tenant",
		relating->from.size < 100 ? (int)relating->from.size : 100, (const char *)relating->from.data,
		relating->to.size < 100 ? (int)relating->to.size : 100, (const char *)relating->to.data);
}

static struct pd_relation side_of(const struct pd_relating *relating, enum pd_relation_side side,
				  const struct end *other)
{
	return (struct pd_relation){ .side = side, .kind = relating->kind, .other = other->name };
}

/* ---- relating ---- */

static int check_room(struct pd_txn *txn, const struct pd_actor *actor, const struct pd_relation *relation,
		      uint64_t more, struct pd_error *err)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_relation_count count;
	struct pd_entry old;

	if (pd_txn_read(txn, actor->state, pd_relation_key(relation, bytes), &old))
		return 0;
	if (!read_count(txn, actor->state, &count))
		return txn->failed;
	if (count.out + count.in + more <= PD_RELATIONS_MAX)
		return 0;
	return pd_error_set(
		err, PD_TOO_LARGE,
		"actor '%.*s' has %llu relations, and one may have %u: end some, or keep such lists "
		"under keys",
		(int)actor->name_size, (const char *)actor->name, (unsigned long long)(count.out + count.in),
		PD_RELATIONS_MAX);
}

int pd_txn_relate(struct pd_txn *txn, const struct pd_relating *relating, bool *ret_new, struct pd_error *err)
{
	struct pd_relation out, in;
	struct end from, to;
	bool in_new;
	int result = find_ends(txn, relating, &from, &to, err);

	if (result != 0)
		return result;
	if (from.actor == NULL || to.actor == NULL)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no actor '%.*s' to relate: one comes into being when it is first "
			"written to",
			(int)(from.actor == NULL ? from.name : to.name).size,
			(const char *)(from.actor == NULL ? from.name : to.name).data);
	out = side_of(relating, PD_RELATION_OUT, &to);
	in = side_of(relating, PD_RELATION_IN, &from);
	result = check_room(txn, from.actor, &out, from.actor == to.actor ? 2 : 1, err);
	if (result == 0)
		result = check_room(txn, to.actor, &in, 1, err);
	if (result == 0)
		result = pd_txn_may_write(txn, from.actor);
	if (result == 0)
		result = pd_txn_may_write(txn, to.actor);
	if (result == 0)
		result = put_side(txn, from.actor->state, &out, relating->data, ret_new);
	if (result == 0 && !pd_plant(PD_PLANT_RELATION_ONE_SIDED))
		result = put_side(txn, to.actor->state, &in, relating->data, &in_new);
	return result;
}

static int end_side(struct pd_txn *txn, const struct end *end, const struct pd_relation *relation,
		    bool *ret_was_there)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_entry old;
	int result;

	*ret_was_there = false;
	/* What is not there needs nobody's leave. */
	if (end->actor == NULL ||
	    !pd_txn_read(txn, end->actor->state, pd_relation_key(relation, bytes), &old))
		return txn->failed;
	result = pd_txn_may_write(txn, end->actor);
	return result == 0 ? remove_side(txn, end->actor->state, relation, ret_was_there) : result;
}

int pd_txn_unrelate(struct pd_txn *txn, const struct pd_relating *relating, bool *ret_was_there,
		    struct pd_error *err)
{
	struct pd_relation out, in;
	struct end from, to;
	bool was_out = false, was_in = false;
	int result = find_ends(txn, relating, &from, &to, err);

	if (result != 0)
		return result;
	out = side_of(relating, PD_RELATION_OUT, &to);
	in = side_of(relating, PD_RELATION_IN, &from);
	result = end_side(txn, &from, &out, &was_out);
	if (result == 0)
		result = end_side(txn, &to, &in, &was_in);
	*ret_was_there = was_out || was_in;
	return result;
}

/* ---- all of an actor ---- */

/* Some of them, copied: any write ends a walk. */
struct run {
	struct {
		uint8_t key[PD_RELATION_KEY_MAX], data[PD_RELATION_DATA_MAX];
		size_t key_size, data_size;
		struct pd_relation relation; /* of key */
	} items[RUN_MAX];
	size_t count;
	uint8_t from[PD_RELATION_KEY_MAX + 1]; /* where the next begins */
	size_t from_size;
	bool damaged; /* some could not be read */
};

static void take(struct run *run, const struct pd_entry *entry)
{
	size_t n = run->count;

	memcpy(run->items[n].key, entry->key.data, entry->key.size);
	run->items[n].key_size = entry->key.size;
	run->items[n].data_size = entry->value.size;
	if (entry->value.size > 0)
		memcpy(run->items[n].data, entry->value.data, entry->value.size);
	run->count += pd_relation_read_key(pd_slice(run->items[n].key, entry->key.size),
					   &run->items[n].relation);
}

/* 1: there is one; 0: there are no more. What cannot be read is noted, and ends it: it must not stand in the way of who wants to be
 * rid of it. */
static int next_run(struct pd_txn *txn, struct pd_store_actor *state, struct run *run)
{
	struct pd_store_cursor cursor;
	struct pd_error err = { 0 };
	struct pd_entry entry;
	int result = 0;

	run->count = 0;
	pd_store_seek(txn->engine->store, state, pd_slice(run->from, run->from_size),
		      pd_slice(&behind_space, 1), &cursor);
	while (run->count < RUN_MAX && (result = pd_store_next(&cursor, &entry, &err)) == 1) {
		if (entry.key.size > PD_RELATION_KEY_MAX || entry.value.size > PD_RELATION_DATA_MAX)
			continue;
		take(run, &entry);
		memcpy(run->from, entry.key.data, entry.key.size);
		run->from[entry.key.size] = 0;
		run->from_size = entry.key.size + 1;
	}
	pd_store_cursor_done(&cursor);
	if (result < 0 && result != PD_CORRUPT && result != PD_IO)
		return result;
	if (result < 0)
		pd_state_note_damage(txn->engine, &err);
	run->damaged = run->damaged || result < 0;
	return run->count > 0;
}

static void first_run(struct run *run)
{
	run->count = 0;
	run->damaged = false;
	run->from[0] = PD_SPACE_RELATION;
	run->from_size = 1;
}

/* Can what the other side stands on be read? */
static bool is_readable(struct pd_txn *txn, struct pd_store_actor *state, struct pd_slice key)
{
	struct pd_error err = { 0 };
	struct pd_entry entry;
	int result = pd_store_get(txn->engine->store, state, key, &entry, &err);

	if (result < 0)
		pd_state_note_damage(txn->engine, &err);
	return result >= 0;
}

static int end_other_side(struct pd_txn *txn, const struct pd_actor *actor,
			  const struct pd_relation *relation)
{
	struct pd_relation mirror = pd_relation_mirror(relation, pd_actor_name(actor));
	struct pd_actor *other = pd_directory_actor(&txn->engine->directory, actor->tenant, relation->other);
	uint8_t bytes[PD_RELATION_KEY_MAX];
	bool was_there;
	int result;

	if (other == NULL || other == actor || pd_plant(PD_PLANT_DROP_LEAVES_SIDES) ||
	    !is_readable(txn, other->state, pd_relation_key(&mirror, bytes)) ||
	    !is_readable(txn, other->state, count_key))
		return 0;
	result = pd_quota_touch(txn, other);
	return result == 0 ? remove_side(txn, other->state, &mirror, &was_there) : result;
}

int pd_relations_end(struct pd_txn *txn, const struct pd_actor *actor)
{
	struct run *run = pd_malloc(sizeof *run);
	int result = run != NULL ? 1 : PD_NO_MEMORY;

	if (run != NULL)
		first_run(run);
	while (result == 1 && (result = next_run(txn, actor->state, run)) == 1)
		for (size_t i = 0; result == 1 && i < run->count; i++) {
			result = end_other_side(txn, actor, &run->items[i].relation);
			result = result == 0 ? 1 : result;
		}
	pd_free(run);
	return result;
}

int pd_relations_hand_on(struct pd_txn *txn, const struct pd_actor *from, struct pd_store_actor *to)
{
	struct run *run = pd_malloc(sizeof *run);
	struct pd_relation_count count = { 0 };
	int result = run != NULL ? 1 : PD_NO_MEMORY;

	if (run != NULL)
		first_run(run);
	if (pd_plant(PD_PLANT_HEIR_UNRELATED))
		result = 0;
	while (result == 1 && (result = next_run(txn, from->state, run)) == 1)
		for (size_t i = 0; result == 1 && i < run->count; i++) {
			++*count_of(&count, run->items[i].relation.side);
			result = pd_txn_put_entry(txn, to, to->tenant, PD_TYPE_RELATION, 0,
						  pd_slice(run->items[i].key, run->items[i].key_size),
						  pd_slice(run->items[i].data, run->items[i].data_size),
						  NULL);
			result = result == 0 ? 1 : result;
		}
	pd_free(run);
	return result == 0 && count.out + count.in > 0 ? write_count(txn, to, &count) : result;
}

struct pd_slice pd_relations_place(struct pd_txn *txn, struct pd_store_actor *state)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(txn->engine->store, state, count_key, pd_slice(&behind_space, 1), &cursor);
	result = pd_store_next(&cursor, &entry, &txn->err);
	pd_store_cursor_done(&cursor);
	if (result < 0)
		txn->failed = result; /* whatever it was: none found is not known */
	return result == 1 ? count_key : pd_slice(NULL, 0);
}

/* ---- what comes with an actor ---- */

/* One more of these would not be too many, or it is there. */
static bool has_room(struct pd_txn *txn, struct pd_store_actor *state, const struct pd_relation *relation,
		     uint64_t more)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_relation_count count;
	struct pd_entry old;

	return pd_txn_read(txn, state, pd_relation_key(relation, bytes), &old) ||
	       (read_count(txn, state, &count) && count.out + count.in + more <= PD_RELATIONS_MAX);
}

/* One that comes to be. */
struct arriving {
	const struct pd_tenant *tenant;
	struct pd_slice name;
	struct pd_store_actor *state;
};

static int arrive_one(struct pd_txn *txn, const struct arriving *arriving, const struct pd_relation *relation,
		      struct pd_slice data, bool *ret_missing)
{
	/* The name may be that of another, which goes with this very record. */
	bool own = pd_slice_equal(relation->other, arriving->name), is_new;
	struct pd_actor *other = own ? NULL
				     : pd_directory_actor(&txn->engine->directory, arriving->tenant,
							  relation->other);
	struct pd_store_actor *state = own ? arriving->state : other != NULL ? other->state : NULL;
	struct pd_relation mirror = pd_relation_mirror(relation, arriving->name);
	int result = 0;

	*ret_missing = state == NULL || (other != NULL && other->quarantined) ||
		       !has_room(txn, arriving->state, relation, own ? 2 : 1) ||
		       !has_room(txn, state, &mirror, 1);
	if (*ret_missing || txn->failed != 0)
		return txn->failed;
	if (other != NULL)
		result = pd_txn_may_write(txn, other);
	*ret_missing = result == PD_STALE_EPOCH;
	if (*ret_missing)
		return 0;
	if (result == 0)
		result = put_side(txn, arriving->state, relation, data, &is_new);
	return result == 0 ? put_side(txn, state, &mirror, data, &is_new) : result;
}

int pd_relations_arrive(struct pd_txn *txn, const struct pd_tenant *tenant, struct pd_slice name,
			struct pd_store_actor *state, struct pd_relations_arrival *arrival)
{
	struct arriving arriving = { tenant, name, state };
	int result = 0;
	size_t n = 0;

	arrival->related = 0;
	for (size_t at = 0; result == 0 && at < arrival->entries.size; n++) {
		struct pd_relation relation;
		struct pd_entry entry;

		pd_entry_read(arrival->entries.data + at, 0, &entry);
		at += pd_entry_size(entry.bytes);
		if (!pd_relation_read_key(entry.key, &relation))
			return pd_error_set(&txn->err, PD_INVALID, "that is no relation");
		if (pd_slice_equal(relation.other, arrival->was))
			relation.other = name;
		result = arrive_one(txn, &arriving, &relation, entry.value, &arrival->missing[n]);
		arrival->related += !arrival->missing[n];
	}
	return result == 0 && txn->touched_count > 0 ? pd_quota_check(txn, &txn->err) : result;
}

/* ---- what they were ---- */

/* What an actor is to be related to. */
struct wanted {
	struct pd_actor *actor;
	struct pd_slice entries;
	struct pd_relations_done done;
};

/* The entry at *at, which moves on; false: that was the last. */
static bool next_wanted(const struct wanted *wanted, size_t *at, struct pd_entry *ret_entry,
			struct pd_relation *ret_relation)
{
	while (*at < wanted->entries.size) {
		pd_entry_read(wanted->entries.data + *at, 0, ret_entry);
		*at += pd_entry_size(ret_entry->bytes);
		if (ret_entry->type == PD_TYPE_RELATION && pd_relation_read_key(ret_entry->key, ret_relation))
			return true;
	}
	return false;
}

static struct pd_actor *other_of(struct pd_txn *txn, const struct wanted *wanted,
				 const struct pd_relation *relation)
{
	return pd_directory_actor(&txn->engine->directory, wanted->actor->tenant, relation->other);
}

/* Does this actor say that of it? */
static bool says(struct pd_txn *txn, const struct pd_actor *actor, const struct pd_relation *relation,
		 struct pd_slice data)
{
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_entry entry;

	return pd_txn_read(txn, actor->state, pd_relation_key(relation, bytes), &entry) &&
	       pd_slice_equal(entry.value, data);
}

static int relate_again(struct pd_txn *txn, struct wanted *wanted, const struct pd_relation *relation,
			struct pd_slice data)
{
	struct pd_actor *other = other_of(txn, wanted, relation);
	struct pd_relation mirror = pd_relation_mirror(relation, pd_actor_name(wanted->actor));
	bool is_new;
	int result;

	if (other == NULL || other->quarantined) {
		wanted->done.missing++;
		return 0;
	}
	if (says(txn, wanted->actor, relation, data) && says(txn, other, &mirror, data))
		return 0;
	result = txn->failed != 0 ? txn->failed : pd_txn_may_write(txn, other);
	if (result == 0)
		result = check_room(txn, wanted->actor, relation, 1, &txn->err);
	if (result == 0)
		result = check_room(txn, other, &mirror, 1, &txn->err);
	if (result == 0)
		result = put_side(txn, wanted->actor->state, relation, data, &is_new);
	if (result == 0)
		result = put_side(txn, other->state, &mirror, data, &is_new);
	wanted->done.related += result == 0;
	return result;
}

/* Of those that are to stay, the next that is not before this one; both are in order. */
static bool is_wanted(const struct wanted *wanted, size_t *at, struct pd_slice key)
{
	while (*at < wanted->entries.size) {
		struct pd_entry entry;
		int order;

		pd_entry_read(wanted->entries.data + *at, 0, &entry);
		order = pd_slice_compare(entry.key, key);
		if (order >= 0)
			return order == 0;
		*at += pd_entry_size(entry.bytes);
	}
	return false;
}

static int end_one(struct pd_txn *txn, struct wanted *wanted, const struct pd_relation *relation)
{
	struct pd_relation mirror = pd_relation_mirror(relation, pd_actor_name(wanted->actor));
	struct end other = { .actor = other_of(txn, wanted, relation) };
	bool was_there;
	int result;

	if (other.actor == NULL || other.actor->quarantined) {
		wanted->done.missing++;
		return 0;
	}
	result = remove_side(txn, wanted->actor->state, relation, &was_there);
	wanted->done.ended += was_there; /* of one to itself, with its mirror already */
	if (pd_plant(PD_PLANT_RELATIONS_ENDED_HALF))
		return result;
	return result == 0 ? end_side(txn, &other, &mirror, &was_there) : result;
}

static int end_others(struct pd_txn *txn, struct wanted *wanted)
{
	struct run *run = pd_malloc(sizeof *run);
	int result = run != NULL ? 1 : PD_NO_MEMORY;
	size_t at = 0;

	if (run != NULL)
		first_run(run);
	while (result == 1 && (result = next_run(txn, wanted->actor->state, run)) == 1)
		for (size_t i = 0; result == 1 && i < run->count; i++) {
			if (is_wanted(wanted, &at, pd_slice(run->items[i].key, run->items[i].key_size)))
				continue;
			result = end_one(txn, wanted, &run->items[i].relation);
			result = result == 0 ? 1 : result;
		}
	if (result == 0 && run->damaged)
		result = pd_error_set(&txn->err, PD_CORRUPT,
				      "the relations of actor '%.*s' cannot be read: restore all of it",
				      (int)wanted->actor->name_size, (const char *)wanted->actor->name);
	pd_free(run);
	return result;
}

static int set_relations(struct pd_txn *txn, struct wanted *wanted)
{
	struct pd_relation relation;
	struct pd_entry entry;
	size_t at = 0;
	int result = pd_txn_may_write(txn, wanted->actor);

	if (result == 0)
		result = end_others(txn, wanted);
	while (result == 0 && next_wanted(wanted, &at, &entry, &relation))
		result = relate_again(txn, wanted, &relation, entry.value);
	if (result == 0)
		result = txn->failed;
	return result == 0 && txn->touched_count > 0 ? pd_quota_check(txn, &txn->err) : result;
}

int pd_engine_set_relations(struct pd_engine *engine, struct pd_session *session,
			    const struct pd_relations_order *order, struct pd_relations_done *ret_done,
			    struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory, order->actor);
	struct wanted wanted = { .actor = actor, .entries = order->entries };
	struct pd_txn *txn = &engine->txn;
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	if (actor == NULL)
		return pd_error_set(err, PD_CONFLICT,
				    "the actor was dropped or replaced meanwhile: look at it, and try again");
	result = pd_actor_check(actor, err);
	if (result == 0)
		result = pd_engine_admit(engine, order->entries.size, true, ret_receipt, err);
	if (result != 0)
		return result;
	pd_txn_start(txn, session);
	txn->level = session->level;
	result = set_relations(txn, &wanted);
	if (result != 0 || order->dry_run) {
		pd_txn_abort(txn);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		ret_receipt->retry_us = txn->retry_us;
	} else {
		pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	}
	*ret_done = wanted.done;
	if (result == 0)
		return 0;
	return pd_error_set(err, result, "%s",
			    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
}
