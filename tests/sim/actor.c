/* Actors as their owners see them: they are dropped, others come in their place, and what is said of them is true. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/actor.h"
#include "engine/lease.h"
#include "world.h"

#define AGAIN_MAX 20000u

static struct pd_slice name_of(const struct client *client, uint8_t actor, char *text, size_t size)
{
	if (client->tenant == 0)
		(void)snprintf(text, size, "%s", actor_name(actor));
	else
		(void)snprintf(text, size, "%s/%s", tenant_name(client->tenant), actor_name(actor));
	return pd_slice_string(text);
}

/* As a write is: told to come again, while time passes. */
static int drop(struct world *world, struct client *client, struct pd_slice name, uint64_t *ret_before_lsn,
		struct pd_receipt *receipt, struct pd_error *err)
{
	uint64_t epoch;

	for (unsigned attempt = 0;; attempt++) {
		int result;

		pd_engine_now(world->engine, &epoch, ret_before_lsn);
		result = pd_engine_drop_actor(world->engine, client->session, name, receipt, err);
		if (result != PD_AGAIN || world_dead(world) || attempt == AGAIN_MAX)
			return result;
		world->totals->braked++;
		pd_sim_advance_us(world->os, receipt->retry_us);
		if (!work_step(world))
			return PD_CANCELLED;
	}
}

static bool may_not_write(const struct world *world, const struct client *client, uint8_t actor,
			  uint64_t now_us)
{
	const struct oracle_name *name = world->oracle.cells[cell_actor(client->tenant, actor)];
	uint64_t claim = client->claims[client->tenant][actor];

	if (name == NULL)
		return false;
	return claim != 0 ? claim != name->epoch : name->exclusive && name->lease_end_us > now_us;
}

/* Rather one for which a value is arriving. */
static uint8_t choose_dropped(struct world *world, const struct client *client)
{
	for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
		const struct upload *upload = &world->clients[i].upload;

		if (upload->stage != NULL && upload->given > 0 && upload->request->tenant == client->tenant &&
		    chance_one_in(&world->side_chance, 2))
			return upload->request->operations[0].places[0].actor;
	}
	return chance_one_in(&world->chance, 2) ? client->actor
						: (uint8_t)chance_below(&world->chance, WORLD_ACTORS);
}

/* Damage stands in nobody's way who drops an actor. */
static void note_halves(struct world *world, uint8_t tenant, uint8_t actor)
{
	struct pd_engine_stats stats;

	if (!world_rotten(world) || !oracle_is_related(&world->oracle, tenant, actor))
		return;
	pd_engine_stats(world->engine, &stats);
	if (stats.state_damage[0] == '\0')
		return;
	world->half_related = true;
	world->taste.no_relations = true;
}

bool actor_drop_one(struct world *world, unsigned number, uint8_t actor)
{
	struct client *client = &world->clients[number];
	bool there = world->oracle.cells[cell_actor(client->tenant, actor)] != NULL;
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch, before_lsn;
	char text[2 * PD_NAME_SIZE_MAX + 2];
	int result;

	result = drop(world, client, name_of(client, actor, text, sizeof text), &before_lsn, &receipt, &err);
	if (world->failed)
		return false;
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world_say(world, "drop of %s: %s, LSN %" PRIu64, text, pd_code_name(result), receipt.lsn);
	world_trace(world, (uint64_t)result ^ receipt.lsn << 8);
	if (result == PD_NOT_FOUND)
		return !there || world_fail(world, "%s is not there: %s", text, err.text);
	if (result != 0 && world->newest_lsn != before_lsn)
		return world_fail(world, "a refused drop got an LSN");
	if (result == PD_STALE_EPOCH && may_not_write(world, client, actor, receipt.time_us))
		return true;
	if (result != 0)
		return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
	if (may_not_write(world, client, actor, receipt.time_us))
		return world_fail(world, "%s was dropped by somebody who is not its owner", text);
	if (!there)
		return world_fail(world, "%s was dropped, and was not there", text);
	if (receipt.lsn != before_lsn + 1)
		return world_fail(world, "a drop with LSN %" PRIu64 " after %" PRIu64, receipt.lsn,
				  before_lsn);
	world->drop_lsn = receipt.lsn;
	world->totals->drops++;
	note_halves(world, client->tenant, actor);
	oracle_drop(&world->oracle, client->tenant, actor, receipt.lsn);
	work_note_write(world, &receipt);
	return work_hold(world, number, &receipt);
}

bool actor_drop(struct world *world)
{
	unsigned number = (unsigned)chance_below(&world->chance, WORLD_SESSIONS);

	return actor_drop_one(world, number, choose_dropped(world, &world->clients[number]));
}

/* ---- owners ---- */

static const char *const owners[] = { "node-1", "node-2", "node-3" };
#define OWNERS 3

enum change { ACQUIRE, RENEW, RELEASE };

struct lease {
	enum change change;
	unsigned owner;
	uint64_t epoch, ttl_us;
	bool exclusive;
};

static int ask(struct world *world, struct client *client, struct pd_slice name, const struct lease *lease,
	       uint64_t *ret_epoch, struct pd_receipt *receipt, struct pd_error *err)
{
	struct pd_slice owner = pd_slice_string(owners[lease->owner]);

	switch (lease->change) {
	case ACQUIRE:
		return pd_engine_lease_acquire(world->engine, client->session, name, owner, lease->ttl_us,
					       lease->exclusive, ret_epoch, receipt, err);
	case RENEW:
		return pd_engine_lease_renew(world->engine, client->session, name, owner, lease->epoch,
					     lease->ttl_us, receipt, err);
	case RELEASE:
		break;
	}
	return pd_engine_lease_release(world->engine, client->session, name, owner, lease->epoch, receipt,
				       err);
}

/* As a write is: told to come again, while time passes. */
static int ask_patiently(struct world *world, struct client *client, struct pd_slice name,
			 const struct lease *lease, uint64_t *ret_before_lsn, uint64_t *ret_epoch,
			 struct pd_receipt *receipt, struct pd_error *err)
{
	uint64_t epoch;

	for (unsigned attempt = 0;; attempt++) {
		int result;

		pd_engine_now(world->engine, &epoch, ret_before_lsn);
		result = ask(world, client, name, lease, ret_epoch, receipt, err);
		if (result != PD_AGAIN || world_dead(world) || attempt == AGAIN_MAX)
			return result;
		pd_sim_advance_us(world->os, receipt->retry_us);
		if (!work_step(world))
			return PD_CANCELLED;
	}
}

/* What the model thinks of it; 0: `name` is what becomes of the actor. */
static int expect(const struct lease *lease, uint64_t now_us, uint64_t lsn, struct oracle_name *name)
{
	if (lease->change == ACQUIRE) {
		if (name->lease_end_us > now_us && name->owner != lease->owner)
			return PD_BUSY;
		name->epoch = lsn;
		name->exclusive = lease->exclusive;
	} else if (name->epoch != lease->epoch || name->owner != lease->owner || name->owner == OWNERS) {
		return PD_STALE_EPOCH;
	}
	name->owner = lease->owner;
	name->lease_end_us = now_us + lease->ttl_us;
	if (lease->change != RELEASE)
		return 0;
	name->epoch = lsn;
	name->lease_end_us = 0;
	name->exclusive = false;
	name->owner = OWNERS; /* nobody */
	return 0;
}

/* *ret_got is the epoch that was acquired; 0: none was. */
static bool change_lease(struct world *world, unsigned number, uint8_t actor, const struct lease *lease,
			 uint64_t *ret_got)
{
	struct client *client = &world->clients[number];
	unsigned cell = cell_actor(client->tenant, actor);
	const struct oracle_name *before = world->oracle.cells[cell];
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	struct oracle_name *name;
	uint64_t epoch, before_lsn, got = 0;
	char text[2 * PD_NAME_SIZE_MAX + 2];
	int result, expected = PD_NOT_FOUND;

	*ret_got = 0;
	result = ask_patiently(world, client, name_of(client, actor, text, sizeof text), lease, &before_lsn,
			       &got, &receipt, &err);
	if (world->failed)
		return false;
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world_say(world, "lease of %s, %d by %u with %" PRIu64 ": %s, LSN %" PRIu64, text, (int)lease->change,
		  lease->owner, lease->epoch, pd_code_name(result), receipt.lsn);
	world_trace(world, (uint64_t)result ^ receipt.lsn << 8);
	if (before == NULL && lease->change == ACQUIRE) {
		oracle_bear(&world->oracle, client->tenant, actor, before_lsn + 1);
		before = world->oracle.cells[cell];
	}
	name = arena_take(&world->arena, sizeof *name);
	if (before != NULL) {
		*name = *before;
		expected = expect(lease, receipt.time_us, before_lsn + 1, name);
	}
	if (result == 0 && expected == 0) {
		if (receipt.lsn != before_lsn + 1 || (lease->change == ACQUIRE && got != receipt.lsn))
			return world_fail(world, "%s got epoch %" PRIu64 " with LSN %" PRIu64, text, got,
					  receipt.lsn);
		world->totals->leases++;
		oracle_set(&world->oracle, cell, name, receipt.lsn);
		*ret_got = got;
		work_note_write(world, &receipt);
		return work_hold(world, number, &receipt);
	}
	oracle_rewind(&world->oracle, before_lsn);
	if (result == 0 || world->newest_lsn != before_lsn)
		return world_fail(world, "a lease of %s is given, expected %s", text, pd_code_name(expected));
	if (result == expected)
		return true;
	return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
}

/* From here on this client writes with that epoch, unless there is no memory to note it. */
static bool claim(struct world *world, unsigned number, uint8_t actor, uint64_t epoch)
{
	struct client *client = &world->clients[number];
	char text[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_error err;
	int result = pd_session_claim(client->session, name_of(client, actor, text, sizeof text), epoch,
				      &err);

	world_say(world, "client %u claims epoch %" PRIu64 " of %s/%s: %s", number, epoch,
		  tenant_name(client->tenant), actor_name(actor), pd_code_name(result));
	if (result != 0)
		return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
	client->claims[client->tenant][actor] = epoch;
	return true;
}

/* Who acquires claims what it got, every other time. */
static bool change_and_claim(struct world *world, unsigned number, uint8_t actor, const struct lease *lease)
{
	uint64_t got;

	if (!change_lease(world, number, actor, lease, &got))
		return false;
	return got == 0 || !chance_one_in(&world->chance, 2) || claim(world, number, actor, got);
}

bool actor_hold(struct world *world, unsigned number, enum actor_hold change, uint64_t ttl_us)
{
	static const enum change changes[] = { ACQUIRE, RENEW, RELEASE };
	const struct client *client = &world->clients[number];
	uint64_t claimed = client->claims[client->tenant][client->actor], got;
	struct lease lease = { .change = changes[change],
			       .owner = number % OWNERS,
			       .epoch = claimed,
			       .ttl_us = change == ACTOR_RELEASE ? 0 : ttl_us };

	if (change != ACTOR_ACQUIRE && claimed == 0)
		return true; /* its epoch went with its session */
	if (!change_lease(world, number, client->actor, &lease, &got))
		return false;
	if (change == ACTOR_RELEASE)
		return world_dead(world) || claim(world, number, client->actor, 0);
	return got == 0 || claim(world, number, client->actor, got);
}

bool actor_replace(struct world *world, unsigned number)
{
	const struct client *client = &world->clients[number];
	const struct lease lease = { .change = ACQUIRE, .ttl_us = 1000 };
	uint8_t actor = client->upload.request->operations[0].places[0].actor;

	return actor_drop_one(world, number, actor) &&
	       (world_dead(world) || change_and_claim(world, number, actor, &lease));
}

bool actor_lease(struct world *world)
{
	struct chance *chance = &world->chance;
	unsigned number = (unsigned)chance_below(chance, WORLD_SESSIONS);
	struct client *client = &world->clients[number];
	uint8_t actor = chance_one_in(chance, 3) ? (uint8_t)chance_below(chance, WORLD_ACTORS)
						 : client->actor;
	const struct oracle_name *name = world->oracle.cells[cell_actor(client->tenant, actor)];
	uint64_t epoch = name != NULL && !chance_one_in(chance, 3) ? name->epoch
								   : client->claims[client->tenant][actor];
	struct lease lease = { .change = (enum change)chance_below(chance, 3),
			       .owner = (unsigned)chance_below(chance, OWNERS),
			       .epoch = epoch,
			       .exclusive = chance_one_in(chance, 4) };

	if (lease.change != RELEASE)
		lease.ttl_us = 1000 + chance_spread(chance, 60000000);
	if (name != NULL && name->owner < OWNERS && lease.change != ACQUIRE && !chance_one_in(chance, 4))
		lease.owner = name->owner;
	if (!chance_one_in(chance, 4) && (lease.change == ACQUIRE || lease.epoch != 0))
		return change_and_claim(world, number, actor, &lease);
	return claim(world, number, actor, chance_one_in(chance, 2) ? 0 : epoch);
}

bool actor_verify(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor,
		  uint64_t now_us)
{
	const struct oracle_name *expected = world->oracle.cells[cell_actor(tenant, actor)];
	uint64_t live = 0, most = 0, live_expiring = 0, most_expiring = 0;
	struct pd_actor_info info;
	struct pd_error err;
	int result = pd_engine_actor_info(world->engine, session, pd_slice_string(actor_name(actor)), &info,
					  &err);

	if (result == PD_CORRUPT && world_rotten(world))
		return true;
	if (result != 0 && result != PD_NOT_FOUND)
		return world_fail(world, "nothing is known of %s/%s: %s", tenant_name(tenant),
				  actor_name(actor), err.text);
	if ((result == 0) != (expected != NULL))
		return world_fail(world, "%s/%s is%s there", tenant_name(tenant), actor_name(actor),
				  result == 0 ? "" : " not");
	if (result != 0)
		return true;
	if (info.id != expected->id)
		return world_fail(world, "%s/%s has id %" PRIu64 ", expected %" PRIu64, tenant_name(tenant),
				  actor_name(actor), info.id, expected->id);
	/* What has expired counts until it is removed. */
	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		const struct oracle_item *item =
			world->oracle.cells[cell_item(tenant, (struct place){ actor, key })];

		most += item != NULL;
		most_expiring += item != NULL && item->expires_us != 0;
		live += item != NULL && (item->expires_us == 0 || item->expires_us > now_us);
		live_expiring += item != NULL && item->expires_us > now_us;
	}
	if (info.keys < live || info.keys > most)
		return world_fail(world, "%s/%s counts %" PRIu64 " keys, expected %" PRIu64 " to %" PRIu64,
				  tenant_name(tenant), actor_name(actor), info.keys, live, most);
	if (info.expiring_keys < live_expiring || info.expiring_keys > most_expiring)
		return world_fail(
			world, "%s/%s counts %" PRIu64 " keys that expire, expected %" PRIu64 " to %" PRIu64,
			tenant_name(tenant), actor_name(actor), info.expiring_keys, live_expiring,
			most_expiring);
	if (info.lease.epoch != expected->epoch)
		return world_fail(world, "%s/%s has epoch %" PRIu64 ", expected %" PRIu64,
				  tenant_name(tenant), actor_name(actor), info.lease.epoch, expected->epoch);
	if (info.quotas.keys != expected->quota_keys)
		return world_fail(world, "%s/%s has a quota of %" PRIu64 " keys, expected %" PRIu64,
				  tenant_name(tenant), actor_name(actor), info.quotas.keys,
				  expected->quota_keys);
	world_trace(world, info.id << 16 ^ info.keys);
	return true;
}

/* ---- expiry ---- */

#define EXPIRY_STEPS 60u

/* Keys that the tenants' actors may still have when what expired before `now_us` is gone. */
static uint64_t count_until(const struct world *world, uint64_t now_us)
{
	struct key_counts counts;
	uint64_t keys = 0;

	for (unsigned tenant = 0; tenant < WORLD_TENANTS; tenant++) {
		quota_count(world, tenant, now_us, &counts);
		keys += counts.live[WORLD_ACTORS];
	}
	return keys;
}

bool expiry_check(struct world *world)
{
	struct pd_engine_stats stats = { 0 };
	uint64_t began_us = 0;

	for (unsigned i = 0; i < EXPIRY_STEPS; i++) {
		/* On a full disk they stay until there is room. */
		if (world_dead(world) || world->sick || world->fenced || world->plagued ||
		    world->plague == PLAGUE_FULL)
			return true;
		pd_engine_stats(world->engine, &stats);
		began_us = i == 0 ? stats.time_us : began_us;
		if (stats.keys <= count_until(world, began_us))
			return true;
		pd_sim_advance_us(world->os, 100000);
		if (!work_step(world))
			return false;
	}
	return world_fail(world, "there are %" PRIu64 " keys, %" PRIu64 " that have not expired", stats.keys,
			  count_until(world, began_us));
}
