/* Profiles and quotas: profile.h. */
#include "engine/profile.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

#define PROFILE_BYTES 256u     /* what the record of one takes, about */
#define SECOND_US     1000000u /* an operation costs as many parts of a token */
#define COUNTING_US   20000u   /* to come again while bytes are counted */

/* ---- quotas in memory ---- */

static struct pd_quota *quota_new(const struct pd_quotas *quotas)
{
	struct pd_quota *quota = pd_calloc(1, sizeof *quota);

	if (quota == NULL)
		return NULL;
	quota->quotas = *quotas;
	quota->tokens = quotas->ops * SECOND_US;
	return quota;
}

static int read_quotas(struct pd_slice value, struct pd_quotas *ret_quotas)
{
	uint64_t numbers[4] = { 0 }; /* keys, operations; with later versions also seconds, bytes */
	size_t at = 0;

	for (unsigned i = 0; i < 4 && (i < 2 || at < value.size); i++) {
		size_t size = pd_varint_get(value.data + at, value.size - at, &numbers[i]);

		if (size == 0)
			return PD_CORRUPT;
		at += size;
	}
	if (at != value.size || numbers[1] > PD_QUOTA_OPS_MAX || numbers[2] > PD_IDLE_S_MAX)
		return PD_CORRUPT;
	*ret_quotas = (struct pd_quotas){
		.keys = numbers[0], .ops = numbers[1], .idle_s = numbers[2], .bytes = numbers[3]
	};
	return 0;
}

int pd_quota_load(struct pd_quota **quota, struct pd_slice value)
{
	struct pd_quotas quotas;
	int result = read_quotas(value, &quotas);

	if (result != 0)
		return result;
	pd_free(*quota);
	*quota = quota_new(&quotas);
	return *quota != NULL ? 0 : PD_NO_MEMORY;
}

/* What a tenant's actors have together. */
struct holdings {
	uint64_t actors, keys, bytes;
	enum pd_bytes_known known;
};

static struct holdings add_up(const struct pd_directory *directory, const struct pd_tenant *tenant)
{
	struct holdings all = { 0 };

	for (const struct pd_actor *actor = pd_directory_actor_next(directory, 0); actor != NULL;
	     actor = pd_directory_actor_next(directory, actor->id)) {
		if (actor->tenant != tenant)
			continue;
		all.actors++;
		all.keys += actor->state->key_count;
		all.bytes += actor->state->byte_count;
		if (actor->state->bytes_known > all.known)
			all.known = actor->state->bytes_known;
	}
	return all;
}

static void note_holdings(const struct pd_directory *directory, struct pd_tenant *tenant)
{
	struct holdings all = add_up(directory, tenant);

	tenant->quota->key_count = all.keys;
	tenant->quota->byte_count = all.bytes;
}

void pd_quota_count(const struct pd_directory *directory)
{
	for (size_t i = 0; i < directory->tenant_count; i++)
		if (directory->tenants[i]->quota != NULL)
			note_holdings(directory, directory->tenants[i]);
}

void pd_quota_add_bytes(struct pd_engine *engine, uint64_t actor, uint64_t more)
{
	const struct pd_actor *found = pd_directory_actor_by_id(&engine->directory, actor);

	if (found != NULL && found->tenant->quota != NULL)
		found->tenant->quota->byte_count += more;
}

/* ---- operations ---- */

/* 0, or microseconds until there is one. */
static uint64_t take(struct pd_quota *quota, uint64_t now_us)
{
	uint64_t ops = quota->quotas.ops, passed_us;

	if (ops == 0)
		return 0;
	passed_us = now_us - quota->filled_us < SECOND_US ? now_us - quota->filled_us : SECOND_US;
	quota->filled_us = now_us;
	quota->tokens += passed_us * ops;
	if (quota->tokens > ops * SECOND_US)
		quota->tokens = ops * SECOND_US;
	if (quota->tokens < SECOND_US)
		return (SECOND_US - quota->tokens + ops - 1) / ops;
	quota->tokens -= SECOND_US;
	return 0;
}

static int refuse_ops(const char *what, struct pd_slice name, const struct pd_quota *quota, uint64_t wait_us,
		      struct pd_error *err)
{
	return pd_error_set(err, PD_QUOTA,
			    "%s '%.*s' may do %" PRIu64
			    " operations a second and has done them: come again in %" PRIu64
			    " ms, or raise QUOTA-OPS with PD.%s PROFILE",
			    what, (int)name.size, (const char *)name.data, quota->quotas.ops,
			    (wait_us + 999) / 1000, what[0] == 'a' ? "ACTOR" : "TENANT");
}

int pd_quota_take(struct pd_txn *txn, const struct pd_actor *actor, struct pd_error *err)
{
	struct pd_tenant *tenant = txn->session->tenant;
	uint64_t wait_us;

	if (actor != NULL && actor->quota != NULL) {
		wait_us = take(actor->quota, txn->now_us);
		if (wait_us > 0)
			return refuse_ops("actor", pd_actor_name(actor), actor->quota, wait_us, err);
	}
	if (tenant != NULL && tenant->quota != NULL) {
		wait_us = take(tenant->quota, txn->now_us);
		if (wait_us > 0)
			return refuse_ops("tenant", pd_slice(tenant->name, tenant->name_size), tenant->quota,
					  wait_us, err);
	}
	return 0;
}

/* ---- actors that expire ---- */

static struct pd_slice idle_key(uint64_t actor, uint8_t key[PD_SYSTEM_KEY_MAX])
{
	key[0] = 'w';
	return pd_slice(key, 1 + pd_varint_put(key + 1, actor));
}

int pd_idle_put(struct pd_txn *txn, uint64_t actor, uint64_t due_us)
{
	uint8_t key[PD_SYSTEM_KEY_MAX];

	return pd_txn_put_system(txn, idle_key(actor, key), due_us, pd_slice(NULL, 0));
}

/* Somebody writes to the actor. Its end moves a sixteenth further than it must, so that not each write has to move it. */
static int note_use(struct pd_txn *txn, struct pd_touched *touched)
{
	const struct pd_quota *quota = touched->actor->quota;
	uint64_t idle_us = quota != NULL ? quota->quotas.idle_s * SECOND_US : 0;

	if (idle_us == 0 || txn->session == NULL || quota->idle_due_us >= txn->now_us + idle_us)
		return 0;
	touched->idle_due_us = txn->now_us + idle_us + idle_us / 16;
	return pd_idle_put(txn, touched->actor->id, touched->idle_due_us);
}

bool pd_idle_entry(struct pd_slice key, uint64_t *ret_actor)
{
	return key.size > 1 && key.data[0] == 'w' &&
	       pd_varint_get(key.data + 1, key.size - 1, ret_actor) == key.size - 1;
}

int pd_quota_touch(struct pd_txn *txn, const struct pd_actor *actor)
{
	struct pd_touched *touched;

	if (actor->quota == NULL && actor->tenant->quota == NULL)
		return 0;
	for (size_t i = 0; i < txn->touched_count; i++)
		if (txn->touched[i].actor == actor)
			return 0;
	touched = pd_grow(txn->touched, txn->touched_count, &txn->touched_capacity, sizeof *touched, 8);
	if (touched == NULL)
		return PD_NO_MEMORY;
	txn->touched = touched;
	touched[txn->touched_count] = (struct pd_touched){ .actor = actor,
							   .keys_before = actor->state->key_count,
							   .bytes_before = actor->state->byte_count,
							   .known_before = actor->state->bytes_known };
	return note_use(txn, &touched[txn->touched_count++]);
}

/* ---- keys and bytes ---- */

/* What somebody with quotas has, before and after the transaction. */
struct balance {
	const char *what; /* "actor" */
	struct pd_slice name;
	const struct pd_quotas *quotas;
	uint64_t keys_before, keys, bytes_before, bytes;
	enum pd_bytes_known known;
	bool counts_soon; /* what is at most so much now will be known exactly, without this transaction */
};

static int refuse(const struct balance *balance, const char *unit, const char *option, uint64_t quota,
		  uint64_t before, uint64_t after, struct pd_error *err)
{
	bool at_most = unit[0] == 'b' && balance->known != PD_BYTES_EXACT;

	return pd_error_set(err, PD_QUOTA,
			    "%s '%.*s' may have %" PRIu64 " %s and has %s%" PRIu64
			    ", this would make it %" PRIu64 ": delete some, or raise %s with PD.%s PROFILE",
			    balance->what, (int)balance->name.size, (const char *)balance->name.data, quota,
			    unit, at_most ? "at most " : "", before, after, option,
			    balance->what[0] == 'a' ? "ACTOR" : "TENANT");
}

static int check(struct pd_txn *txn, const struct balance *balance, struct pd_error *err)
{
	const struct pd_quotas *quotas = balance->quotas;

	if (quotas->keys != 0 && balance->keys > quotas->keys && balance->keys > balance->keys_before)
		return refuse(balance, "keys", "QUOTA-KEYS", quotas->keys, balance->keys_before,
			      balance->keys, err);
	if (quotas->bytes == 0 || balance->known == PD_BYTES_UNKNOWN || balance->bytes <= quotas->bytes ||
	    balance->bytes <= balance->bytes_before)
		return 0;
	if (balance->counts_soon && !txn->engine->recount.failing) {
		pd_recount_want(txn->engine);
		txn->retry_us = COUNTING_US;
		return pd_error_set(err, PD_AGAIN, "what was deleted must be counted first: try again");
	}
	return refuse(balance, "bytes", "QUOTA-BYTES", quotas->bytes, balance->bytes_before, balance->bytes,
		      err);
}

/* Are bytes of others than those of this transaction's making not known exactly? */
static bool any_uncounted(const struct pd_txn *txn)
{
	uint64_t own = 0;

	for (size_t i = 0; i < txn->touched_count; i++)
		own += txn->touched[i].known_before == PD_BYTES_EXACT &&
		       txn->touched[i].actor->state->bytes_known != PD_BYTES_EXACT;
	return pd_store_uncounted(txn->engine->store) > own;
}

static int check_tenant(struct pd_txn *txn, const struct pd_tenant *tenant, struct balance *balance,
			struct pd_error *err)
{
	const struct pd_quota *quota = tenant->quota;

	balance->what = "tenant";
	balance->name = pd_slice(tenant->name, tenant->name_size);
	balance->quotas = &quota->quotas;
	balance->keys = quota->key_count + balance->keys - balance->keys_before;
	balance->keys_before = quota->key_count;
	balance->bytes = quota->byte_count + balance->bytes - balance->bytes_before;
	balance->bytes_before = quota->byte_count;
	/* Others' actors may be those: then this one waits, or is let through, for a while. */
	balance->known = pd_store_unknown(txn->engine->store) > 0     ? PD_BYTES_UNKNOWN
			 : pd_store_uncounted(txn->engine->store) > 0 ? PD_BYTES_AT_MOST
								      : PD_BYTES_EXACT;
	balance->counts_soon = any_uncounted(txn);
	return check(txn, balance, err);
}

int pd_quota_check(struct pd_txn *txn, struct pd_error *err)
{
	/* All that a transaction writes to is its session's tenant's. */
	const struct pd_tenant *tenant = txn->touched_count > 0 ? txn->touched[0].actor->tenant : NULL;
	struct balance all = { 0 };
	int result = 0;

	if (pd_plant(PD_PLANT_QUOTA_UNCHECKED))
		return 0;
	for (size_t i = 0; i < txn->touched_count; i++) {
		const struct pd_touched *touched = &txn->touched[i];
		const struct pd_actor *actor = touched->actor;
		struct balance balance = { .what = "actor",
					   .name = pd_actor_name(actor),
					   .keys_before = touched->keys_before,
					   .keys = actor->state->key_count,
					   .bytes_before = touched->bytes_before,
					   .bytes = actor->state->byte_count,
					   .known = actor->state->bytes_known,
					   .counts_soon = touched->known_before != PD_BYTES_EXACT };

		all.keys_before += balance.keys_before;
		all.keys += balance.keys;
		all.bytes_before += balance.bytes_before;
		all.bytes += balance.bytes;
		if (actor->quota == NULL)
			continue;
		balance.quotas = &actor->quota->quotas;
		result = check(txn, &balance, err);
		if (result != 0)
			return result;
	}
	return tenant != NULL && tenant->quota != NULL ? check_tenant(txn, tenant, &all, err) : 0;
}

void pd_quota_apply(struct pd_txn *txn)
{
	for (size_t i = 0; i < txn->touched_count; i++) {
		const struct pd_touched *touched = &txn->touched[i];
		struct pd_quota *quota = touched->actor->tenant->quota;

		if (quota != NULL) {
			quota->key_count += touched->actor->state->key_count - touched->keys_before;
			quota->byte_count += touched->actor->state->byte_count - touched->bytes_before;
		}
		if (touched->idle_due_us != 0)
			touched->actor->quota->idle_due_us = touched->idle_due_us;
	}
}

/* ---- changing ---- */

static int put_level(struct pd_txn *txn, uint8_t kind, uint64_t id, enum pd_level level)
{
	uint8_t key[PD_SYSTEM_KEY_MAX], value = (uint8_t)level;
	size_t size = 1;

	key[0] = kind;
	size += pd_varint_put(key + size, id);
	if (level == PD_LEVEL_UNSET)
		return pd_txn_delete_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, pd_slice(key, size));
	return pd_txn_put_system(txn, pd_slice(key, size), 0, pd_slice(&value, 1));
}

static bool has_none(const struct pd_quotas *quotas)
{
	return quotas->keys == 0 && quotas->bytes == 0 && quotas->ops == 0 && quotas->idle_s == 0;
}

static int put_quotas(struct pd_txn *txn, uint64_t id, const struct pd_quotas *quotas)
{
	uint8_t key[PD_SYSTEM_KEY_MAX], value[4 * PD_VARINT_MAX];
	size_t size = 1, value_size;

	key[0] = 'q';
	size += pd_varint_put(key + size, id);
	if (has_none(quotas))
		return pd_txn_delete_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, pd_slice(key, size));
	value_size = pd_varint_put(value, quotas->keys);
	value_size += pd_varint_put(value + value_size, quotas->ops);
	value_size += pd_varint_put(value + value_size, quotas->idle_s);
	if (quotas->bytes != 0)
		value_size += pd_varint_put(value + value_size, quotas->bytes);
	return pd_txn_put_system(txn, pd_slice(key, size), 0, pd_slice(value, value_size));
}

/* The time begins now. */
static int put_idle(struct pd_txn *txn, uint64_t actor, struct pd_quota *quota)
{
	uint8_t key[PD_SYSTEM_KEY_MAX];
	uint64_t idle_us = quota != NULL ? quota->quotas.idle_s * SECOND_US : 0;

	if (idle_us == 0)
		return pd_txn_delete_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, idle_key(actor, key));
	quota->idle_due_us = txn->now_us + idle_us;
	return pd_idle_put(txn, actor, quota->idle_due_us);
}

/* ---- of an actor that comes to be ---- */

static struct pd_slice key_of(uint8_t kind, uint64_t actor, uint8_t key[PD_PROFILE_KEY_MAX])
{
	key[0] = kind;
	return pd_slice(key, 1 + pd_varint_put(key + 1, actor));
}

struct pd_slice pd_profile_level_key(uint64_t actor, uint8_t key[PD_PROFILE_KEY_MAX])
{
	return key_of('p', actor, key);
}

struct pd_slice pd_profile_quotas_key(uint64_t actor, uint8_t key[PD_PROFILE_KEY_MAX])
{
	return key_of('q', actor, key);
}

int pd_profile_read(struct pd_slice level, struct pd_slice quotas, struct pd_profile *ret_profile)
{
	struct pd_profile profile = { .level = PD_LEVEL_UNSET };
	int result = 0;

	if (level.size > 1 || (level.size == 1 && level.data[0] >= PD_LEVEL_COUNT))
		return PD_CORRUPT;
	if (level.size == 1)
		profile.level = (enum pd_level)level.data[0];
	if (quotas.size > 0)
		result = read_quotas(quotas, &profile.quotas);
	if (result == 0)
		*ret_profile = profile;
	return result;
}

/* What it had whose place it takes, the transaction has noted where it matters, before it took it away. */
static int check_arrival(struct pd_txn *txn, struct pd_tenant *tenant, struct pd_slice name,
			 const struct pd_store_actor *state, const struct pd_actor *before,
			 const struct pd_quotas *quotas)
{
	struct balance balance = { .what = "actor",
				   .name = name,
				   .quotas = quotas,
				   .keys = state->key_count,
				   .bytes = state->byte_count,
				   .known = state->bytes_known };
	int result;

	for (size_t i = 0; before != NULL && i < txn->touched_count; i++) {
		if (txn->touched[i].actor != before)
			continue;
		balance.keys_before = txn->touched[i].keys_before;
		balance.bytes_before = txn->touched[i].bytes_before;
	}
	result = check(txn, &balance, &txn->err);
	return result == 0 && tenant->quota != NULL ? check_tenant(txn, tenant, &balance, &txn->err) : result;
}

int pd_profile_arrive(struct pd_txn *txn, struct pd_tenant *tenant, struct pd_slice name,
		      const struct pd_store_actor *state, const struct pd_actor *before,
		      const struct pd_profile *profile, struct pd_quota **ret_quota)
{
	const struct pd_quotas *quotas = &profile->quotas;
	struct pd_quota *quota = NULL;
	int result = check_arrival(txn, tenant, name, state, before, quotas);

	if (result != 0)
		return result;
	if (!has_none(quotas)) {
		quota = quota_new(quotas);
		if (quota == NULL)
			return PD_NO_MEMORY;
	}
	if (profile->level != PD_LEVEL_UNSET)
		result = put_level(txn, 'p', state->id, profile->level);
	if (result == 0 && quota != NULL)
		result = put_quotas(txn, state->id, quotas);
	if (result == 0 && quota != NULL && quotas->idle_s != 0)
		result = put_idle(txn, state->id, quota);
	if (result == 0)
		*ret_quota = quota;
	else
		pd_free(quota);
	return result;
}

void pd_quota_arrived(struct pd_tenant *tenant, const struct pd_store_actor *state)
{
	if (tenant->quota == NULL)
		return;
	tenant->quota->key_count += state->key_count;
	tenant->quota->byte_count += state->byte_count;
}

/* Whose profile it is. */
struct holder {
	struct pd_tenant *tenant; /* of the actor, or itself */
	struct pd_actor *actor;   /* NULL: the tenant's */
	struct pd_quota **quota;
	enum pd_level *level;
	uint64_t id;
};

static struct pd_tenant *find_tenant(struct pd_engine *engine, struct pd_session *session,
				     struct pd_slice name, struct pd_error *err)
{
	struct pd_tenant *tenant;

	pd_session_resolve(session);
	tenant = session->tenant;
	if (name.size > 0)
		tenant = pd_session_reaches(session, name) ? pd_directory_tenant(&engine->directory, name)
							   : NULL;
	if (tenant != NULL)
		return tenant;
	if (name.size == 0)
		name = pd_session_tenant(session);
	(void)pd_error_set(err, PD_NOT_FOUND, "there is no tenant '%.*s': write something to it first",
			   name.size < 300 ? (int)name.size : 300, (const char *)name.data);
	return NULL;
}

static int find_holder(struct pd_engine *engine, struct pd_session *session, bool of_tenant,
		       struct pd_slice name, struct holder *ret_holder, struct pd_error *err)
{
	struct pd_tenant *tenant;
	struct pd_actor *actor;

	if (of_tenant) {
		tenant = find_tenant(engine, session, name, err);
		if (tenant == NULL)
			return PD_NOT_FOUND;
		*ret_holder = (struct holder){ tenant, NULL, &tenant->quota, &tenant->level, tenant->id };
		return 0;
	}
	actor = pd_engine_find_actor(engine, session, name);
	if (actor == NULL)
		return pd_engine_no_actor(name, err);
	*ret_holder = (struct holder){ actor->tenant, actor, &actor->quota, &actor->level, actor->id };
	return 0;
}

static void take_over(struct pd_engine *engine, const struct holder *holder, struct pd_quota *quota)
{
	pd_free(*holder->quota);
	*holder->quota = quota;
	if (quota != NULL && holder->actor == NULL)
		note_holdings(&engine->directory, holder->tenant);
}

int pd_engine_change_profile(struct pd_engine *engine, struct pd_session *session, bool of_tenant,
			     struct pd_slice name, const struct pd_profile_change *change,
			     struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	struct pd_quotas quotas = { 0 };
	struct pd_quota *quota = NULL;
	bool has_quota = change->has_keys || change->has_bytes || change->has_ops || change->has_idle;
	struct holder holder = { 0 };
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	if (change->has_ops && change->quotas.ops > PD_QUOTA_OPS_MAX)
		return pd_error_set(err, PD_INVALID, "a quota is at most %" PRIu64 " operations a second",
				    PD_QUOTA_OPS_MAX);
	if (change->has_idle && (of_tenant || change->quotas.idle_s > PD_IDLE_S_MAX))
		return pd_error_set(err, PD_INVALID,
				    "an actor (no tenant) expires after at most %" PRIu64 " seconds",
				    PD_IDLE_S_MAX);
	result = change->has_level ? pd_engine_check_level(engine, change->level, err) : 0;
	if (result == 0)
		result = find_holder(engine, session, of_tenant, name, &holder, err);
	if (result == 0)
		result = pd_engine_admit(engine, PROFILE_BYTES, false, ret_receipt, err);
	if (result != 0)
		return result;
	if (*holder.quota != NULL)
		quotas = (*holder.quota)->quotas;
	quotas.keys = change->has_keys ? change->quotas.keys : quotas.keys;
	quotas.bytes = change->has_bytes ? change->quotas.bytes : quotas.bytes;
	quotas.ops = change->has_ops ? change->quotas.ops : quotas.ops;
	quotas.idle_s = change->has_idle ? change->quotas.idle_s : quotas.idle_s;
	if (!has_none(&quotas)) {
		quota = quota_new(&quotas);
		if (quota == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for a quota");
	}
	pd_txn_start(txn, session);
	txn->level = PD_LEVEL_STRICT;
	if (change->has_level)
		result = put_level(txn, of_tenant ? 'l' : 'p', holder.id, change->level);
	if (result == 0 && has_quota)
		result = put_quotas(txn, holder.id, &quotas);
	if (result == 0 && has_quota && !of_tenant)
		result = put_idle(txn, holder.id, quota);
	if (result != 0) {
		pd_txn_abort(txn);
		pd_free(quota);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	if (change->has_level)
		*holder.level = change->level;
	if (has_quota)
		take_over(engine, &holder, quota);
	else
		pd_free(quota);
	return 0;
}

int pd_engine_set_profile(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  enum pd_level level, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	const struct pd_profile_change change = { .has_level = true, .level = level };

	return pd_engine_change_profile(engine, session, name.size == 0, name, &change, ret_receipt, err);
}

int pd_engine_tenant_info(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_tenant_info *ret_info, struct pd_error *err)
{
	const struct pd_tenant *tenant = find_tenant(engine, session, name, err);
	struct holdings all;

	if (tenant == NULL && name.size > 0)
		return PD_NOT_FOUND;
	/* Nobody has written to it yet: it is empty, as DBSIZE says. */
	if (tenant == NULL) {
		*ret_info = (struct pd_tenant_info){ .name = pd_session_tenant(session) };
		return 0;
	}
	all = add_up(&engine->directory, tenant);
	*ret_info = (struct pd_tenant_info){ .id = tenant->id,
					     .name = pd_slice(tenant->name, tenant->name_size),
					     .actors = all.actors,
					     .keys = all.keys,
					     .bytes = all.known != PD_BYTES_UNKNOWN ? all.bytes : 0,
					     .bytes_known = all.known,
					     .level = tenant->level };
	if (tenant->quota != NULL)
		ret_info->quotas = tenant->quota->quotas;
	if (all.known != PD_BYTES_EXACT)
		pd_recount_want(engine);
	return 0;
}
