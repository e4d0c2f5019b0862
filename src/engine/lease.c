/* Owner leases: lease.h draws them. An entry of the system actor for each actor that ever was leased; in memory the same. */
#include "engine/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

#define LEASE_BYTES     1024u /* what the record of one takes, about */
#define LEASE_EXCLUSIVE 1u
#define VALUE_MAX       (2u * PD_VARINT_MAX + 1u + PD_OWNER_SIZE_MAX)

/* What the value of an entry says: varint epoch, varint the time it ends (0: not held), u8 flags, owner. */
struct pd_lease {
	uint64_t epoch, expires_us;
	bool exclusive;
	size_t owner_size;
	uint8_t owner[];
};

static struct pd_lease *lease_new(uint64_t epoch, struct pd_slice owner, uint64_t expires_us, bool exclusive)
{
	struct pd_lease *lease = pd_malloc(sizeof *lease + owner.size);

	if (lease == NULL)
		return NULL;
	*lease = (struct pd_lease){
		.epoch = epoch, .expires_us = expires_us, .exclusive = exclusive, .owner_size = owner.size
	};
	if (owner.size > 0)
		memcpy(lease->owner, owner.data, owner.size);
	return lease;
}

static struct pd_slice owner_of(const struct pd_lease *lease)
{
	return pd_slice(lease->owner, lease->owner_size);
}

static bool is_held(const struct pd_lease *lease, uint64_t now_us)
{
	return lease != NULL && lease->expires_us > now_us;
}

static uint64_t epoch_of(const struct pd_lease *lease)
{
	return lease != NULL ? lease->epoch : 0;
}

struct pd_slice pd_lease_key(uint64_t actor, uint8_t key[PD_SYSTEM_KEY_MAX])
{
	key[0] = 'o';
	return pd_slice(key, 1 + pd_varint_put(key + 1, actor));
}

static int put_lease(struct pd_txn *txn, uint64_t actor, const struct pd_lease *lease)
{
	uint8_t key[PD_SYSTEM_KEY_MAX], value[VALUE_MAX];
	size_t size = pd_varint_put(value, lease->epoch);

	size += pd_varint_put(value + size, lease->expires_us);
	value[size++] = lease->exclusive ? LEASE_EXCLUSIVE : 0;
	if (lease->owner_size > 0)
		memcpy(value + size, lease->owner, lease->owner_size);
	return pd_txn_put_system(txn, pd_lease_key(actor, key), 0, pd_slice(value, size + lease->owner_size));
}

int pd_lease_hand_on(struct pd_txn *txn, const struct pd_actor *from, uint64_t to)
{
	return from->lease != NULL ? put_lease(txn, to, from->lease) : 0;
}

int pd_lease_load(struct pd_actor *actor, struct pd_slice value)
{
	uint64_t numbers[2];
	size_t at = 0;

	for (unsigned i = 0; i < 2; i++) {
		size_t size = pd_varint_get(value.data + at, value.size - at, &numbers[i]);

		if (size == 0)
			return PD_CORRUPT;
		at += size;
	}
	if (at == value.size || value.size - at - 1 > PD_OWNER_SIZE_MAX)
		return PD_CORRUPT;
	pd_free(actor->lease);
	actor->lease = lease_new(numbers[0], pd_slice(value.data + at + 1, value.size - at - 1), numbers[1],
				 (value.data[at] & LEASE_EXCLUSIVE) != 0 &&
					 !pd_plant(PD_PLANT_LEASE_NOT_EXCLUSIVE));
	return actor->lease != NULL ? 0 : PD_NO_MEMORY;
}

/* ---- claims: what sessions write with ---- */

struct pd_claim {
	uint64_t epoch;
	size_t tenant_size, name_size;
	uint8_t names[]; /* the tenant's, then the actor's */
};

static bool claim_is_of(const struct pd_claim *claim, struct pd_slice tenant, struct pd_slice name)
{
	return pd_slice_equal(pd_slice(claim->names, claim->tenant_size), tenant) &&
	       pd_slice_equal(pd_slice(claim->names + claim->tenant_size, claim->name_size), name);
}

static size_t find_claim(const struct pd_session *session, struct pd_slice tenant, struct pd_slice name)
{
	size_t at = 0;

	while (at < session->claim_count && !claim_is_of(session->claims[at], tenant, name))
		at++;
	return at;
}

static int add_claim(struct pd_session *session, struct pd_slice tenant, struct pd_slice name, uint64_t epoch,
		     struct pd_error *err)
{
	struct pd_claim **claims;
	struct pd_claim *claim;

	if (session->claim_count == PD_CLAIMS_MAX)
		return pd_error_set(err, PD_TOO_LARGE,
				    "this session claims epochs of %u actors already: let go of some",
				    PD_CLAIMS_MAX);
	claims = pd_grow(session->claims, session->claim_count, &session->claim_capacity, sizeof *claims, 4);
	if (claims == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an epoch");
	session->claims = claims;
	claim = pd_malloc(sizeof *claim + tenant.size + name.size);
	if (claim == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an epoch");
	*claim = (struct pd_claim){ .epoch = epoch, .tenant_size = tenant.size, .name_size = name.size };
	memcpy(claim->names, tenant.data, tenant.size);
	memcpy(claim->names + tenant.size, name.data, name.size);
	session->claims[session->claim_count++] = claim;
	return 0;
}

int pd_session_claim(struct pd_session *session, struct pd_slice name, uint64_t epoch, struct pd_error *err)
{
	struct pd_slice tenant;
	int result = pd_session_place(session, name, &tenant, &name, err);
	size_t at;

	if (result != 0)
		return result;
	at = find_claim(session, tenant, name);
	if (at == session->claim_count)
		return epoch != 0 ? add_claim(session, tenant, name, epoch, err) : 0;
	session->claims[at]->epoch = epoch;
	if (epoch == 0) {
		pd_free(session->claims[at]);
		session->claims[at] = session->claims[--session->claim_count];
	}
	return 0;
}

void pd_session_claim_nothing(struct pd_session *session)
{
	while (session->claim_count > 0)
		pd_free(session->claims[--session->claim_count]);
	pd_free(session->claims);
	session->claims = NULL;
	session->claim_capacity = 0;
}

/* ---- the fence ---- */

static int refuse_epoch(const struct pd_actor *actor, uint64_t epoch, struct pd_error *err)
{
	return pd_error_set(err, PD_STALE_EPOCH,
			    "actor '%.*s' has epoch %" PRIu64 ", this write carries %" PRIu64
			    ": acquire it again before writing to it",
			    (int)actor->name_size, (const char *)actor->name, epoch_of(actor->lease), epoch);
}

static int refuse_bare(const struct pd_actor *actor, struct pd_error *err)
{
	const struct pd_lease *lease = actor->lease;

	return pd_error_set(
		err, PD_STALE_EPOCH,
		"actor '%.*s' has epoch %" PRIu64
		" and belongs to '%.*s' alone, this write carries none: only its owner writes to it",
		(int)actor->name_size, (const char *)actor->name, lease->epoch, (int)lease->owner_size,
		(const char *)lease->owner);
}

int pd_lease_check(struct pd_txn *txn, const struct pd_actor *actor)
{
	const struct pd_session *session = txn->session;
	size_t at;

	/* What the engine does by itself is nobody's write. */
	if (session == NULL || pd_plant(PD_PLANT_NO_FENCE))
		return 0;
	at = find_claim(session, pd_slice(actor->tenant->name, actor->tenant->name_size),
			pd_actor_name(actor));
	if (at < session->claim_count)
		return session->claims[at]->epoch == epoch_of(actor->lease)
			       ? 0
			       : refuse_epoch(actor, session->claims[at]->epoch, &txn->err);
	if (actor->lease != NULL && actor->lease->exclusive && is_held(actor->lease, txn->now_us))
		return refuse_bare(actor, &txn->err);
	return 0;
}

/* ---- acquiring, renewing, releasing ---- */

struct request {
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_slice name, owner;
	uint64_t epoch, ttl_us;
	bool exclusive;
};

static int check_owner(struct pd_slice owner, struct pd_error *err)
{
	if (owner.size > 0 && owner.size <= PD_OWNER_SIZE_MAX)
		return 0;
	return pd_error_set(err, PD_INVALID, "an owner's name has 1 to %u bytes, not %zu", PD_OWNER_SIZE_MAX,
			    owner.size);
}

static int check_ttl(uint64_t ttl_us, struct pd_error *err)
{
	if (ttl_us > 0 && ttl_us <= PD_LEASE_US_MAX)
		return 0;
	return pd_error_set(err, PD_INVALID, "a lease is held for 1 millisecond to 365 days");
}

static int refuse_busy(const struct pd_actor *actor, uint64_t now_us, struct pd_error *err)
{
	const struct pd_lease *lease = actor->lease;

	return pd_error_set(err, PD_BUSY,
			    "actor '%.*s' belongs to '%.*s' with epoch %" PRIu64 " for another %" PRIu64
			    " ms: wait, or let its owner release it",
			    (int)actor->name_size, (const char *)actor->name, (int)lease->owner_size,
			    (const char *)lease->owner, lease->epoch,
			    (lease->expires_us - now_us + 999) / 1000);
}

/* A name of the session's own tenant comes into being; another tenant's must be there. */
static int find_or_bear(struct pd_txn *txn, const struct request *request, struct pd_actor **ret_actor)
{
	struct pd_actor *actor = pd_engine_find_actor(request->engine, request->session, request->name);
	struct pd_slice tenant, name;
	int result;

	if (actor != NULL) {
		*ret_actor = actor;
		return pd_actor_check(actor, &txn->err);
	}
	result = pd_session_place(request->session, request->name, &tenant, &name, &txn->err);
	if (result != 0)
		return result;
	if (!pd_slice_equal(tenant, pd_session_tenant(request->session)))
		return pd_engine_no_actor(request->name, &txn->err);
	return pd_txn_actor(txn, name, ret_actor);
}

static int acquire(struct pd_txn *txn, const struct request *request, struct pd_actor **ret_actor,
		   struct pd_lease **ret_lease)
{
	struct pd_actor *actor = NULL;
	int result = find_or_bear(txn, request, &actor);

	if (result != 0)
		return result;
	if (is_held(actor->lease, txn->now_us) && !pd_slice_equal(owner_of(actor->lease), request->owner))
		return refuse_busy(actor, txn->now_us, &txn->err);
	*ret_actor = actor;
	*ret_lease = lease_new(txn->lsn, request->owner, txn->now_us + request->ttl_us, request->exclusive);
	return *ret_lease != NULL ? 0 : PD_NO_MEMORY;
}

/* Renew (with a time) or release. */
static int keep(struct pd_txn *txn, const struct request *request, struct pd_actor **ret_actor,
		struct pd_lease **ret_lease)
{
	struct pd_actor *actor = pd_engine_find_actor(request->engine, request->session, request->name);
	const struct pd_lease *old;

	if (actor == NULL)
		return pd_engine_no_actor(request->name, &txn->err);
	old = actor->lease;
	if ((epoch_of(old) != request->epoch || request->epoch == 0) &&
	    !(pd_plant(PD_PLANT_LEASE_RENEWED_STALE) && old != NULL))
		return pd_error_set(&txn->err, PD_STALE_EPOCH,
				    "actor '%.*s' has epoch %" PRIu64 ", not %" PRIu64
				    ": its lease is another one by now",
				    (int)actor->name_size, (const char *)actor->name, epoch_of(old),
				    request->epoch);
	if (!pd_slice_equal(owner_of(old), request->owner))
		return pd_error_set(&txn->err, PD_STALE_EPOCH,
				    "actor '%.*s' has epoch %" PRIu64 " and belongs to '%.*s'",
				    (int)actor->name_size, (const char *)actor->name, old->epoch,
				    (int)old->owner_size, (const char *)old->owner);
	*ret_actor = actor;
	if (request->ttl_us > 0)
		*ret_lease = lease_new(old->epoch, request->owner, txn->now_us + request->ttl_us,
				       old->exclusive);
	else /* an epoch that nobody has */
		*ret_lease = lease_new(txn->lsn, pd_slice(NULL, 0), 0, false);
	return *ret_lease != NULL ? 0 : PD_NO_MEMORY;
}

static int run(const struct request *request,
	       int (*change)(struct pd_txn *, const struct request *, struct pd_actor **, struct pd_lease **),
	       uint64_t *ret_epoch, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &request->engine->txn;
	struct pd_receipt receipt = { 0 };
	struct pd_actor *actor = NULL;
	struct pd_lease *lease = NULL;
	int result;

	result = check_owner(request->owner, err);
	if (result == 0)
		result = pd_engine_admit(request->engine, LEASE_BYTES, false, &receipt, err);
	*ret_receipt = receipt;
	if (result != 0)
		return result;
	pd_clock_update(&request->engine->clock);
	pd_txn_start(txn, request->session);
	txn->level = PD_LEVEL_STRICT;
	result = change(txn, request, &actor, &lease);
	if (result == 0)
		result = put_lease(txn, actor->id, lease);
	if (result == 0)
		result = txn->failed;
	if (result != 0) {
		pd_txn_abort(txn);
		pd_free(lease);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), &receipt);
	pd_free(actor->lease);
	actor->lease = lease;
	*ret_epoch = lease->epoch;
	*ret_receipt = receipt;
	return 0;
}

int pd_engine_lease_acquire(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			    struct pd_slice owner, uint64_t ttl_us, bool exclusive, uint64_t *ret_epoch,
			    struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct request request = { engine, session, name, owner, 0, ttl_us, exclusive };
	int result = check_ttl(ttl_us, err);

	return result == 0 ? run(&request, acquire, ret_epoch, ret_receipt, err) : result;
}

int pd_engine_lease_renew(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_slice owner, uint64_t epoch, uint64_t ttl_us,
			  struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct request request = { engine, session, name, owner, epoch, ttl_us, false };
	int result = check_ttl(ttl_us, err);

	return result == 0 ? run(&request, keep, &epoch, ret_receipt, err) : result;
}

int pd_engine_lease_release(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			    struct pd_slice owner, uint64_t epoch, struct pd_receipt *ret_receipt,
			    struct pd_error *err)
{
	struct request request = { engine, session, name, owner, epoch, 0, false };

	return run(&request, keep, &epoch, ret_receipt, err);
}

/* ---- telling ---- */

uint64_t pd_lease_end_us(const struct pd_actor *actor)
{
	return actor->lease != NULL ? actor->lease->expires_us : 0;
}

void pd_lease_tell(const struct pd_engine *engine, const struct pd_actor *actor,
		   struct pd_lease_info *ret_info)
{
	const struct pd_lease *lease = actor->lease;
	uint64_t now_us = pd_clock_now(&engine->clock);

	*ret_info = (struct pd_lease_info){ .epoch = epoch_of(lease) };
	if (!is_held(lease, now_us))
		return;
	ret_info->owner = owner_of(lease);
	ret_info->left_us = lease->expires_us - now_us;
	ret_info->exclusive = lease->exclusive;
}

int pd_engine_lease_owner(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_lease_info *ret_info, struct pd_error *err)
{
	const struct pd_actor *actor = pd_engine_find_actor(engine, session, name);

	if (actor == NULL)
		return pd_engine_no_actor(name, err);
	pd_clock_update(&engine->clock);
	pd_lease_tell(engine, actor, ret_info);
	return 0;
}
