/* Quotas on keys. When a key that has expired goes is the engine's business, and until then it counts: so the model knows between
 * which two numbers the engine's count is, and judges only what is certain. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/profile.h"
#include "world.h"

#define QUOTA_MAX 10 /* of an actor, which can have WORLD_KEYS */

void quota_count(const struct world *world, unsigned tenant, uint64_t now_us, struct key_counts *ret_counts)
{
	struct key_counts counts = { 0 };

	for (uint8_t actor = 0; actor < WORLD_ACTORS; actor++)
		for (uint8_t key = 0; key < WORLD_KEYS; key++) {
			struct place place = { .actor = actor, .key = key };

			counts.most[actor] += world->oracle.cells[cell_item(tenant, place)] != NULL;
			counts.live[actor] += oracle_see(&world->oracle, tenant, place, now_us) != NULL;
		}
	for (unsigned actor = 0; actor < WORLD_ACTORS; actor++) {
		counts.most[WORLD_ACTORS] += counts.most[actor];
		counts.live[WORLD_ACTORS] += counts.live[actor];
	}
	*ret_counts = counts;
}

/* The quota of an actor, or of the tenant. 0: none. */
static uint64_t quota_of(const struct world *world, unsigned tenant, unsigned holder)
{
	unsigned cell = holder < WORLD_ACTORS ? cell_actor(tenant, holder) : cell_tenant(tenant);
	const struct oracle_name *name = world->oracle.cells[cell];

	return name != NULL ? name->quota_keys : 0;
}

bool quota_may_refuse(const struct world *world, unsigned tenant, const struct key_counts *before,
		      const struct key_counts *after)
{
	for (unsigned holder = 0; holder <= WORLD_ACTORS; holder++) {
		uint64_t quota = quota_of(world, tenant, holder);

		if (quota != 0 && after->most[holder] > quota && after->live[holder] > before->live[holder])
			return true;
	}
	return false;
}

bool quota_check_accepted(struct world *world, unsigned tenant, const struct key_counts *before,
			  const struct key_counts *after)
{
	for (unsigned holder = 0; holder <= WORLD_ACTORS; holder++) {
		uint64_t quota = quota_of(world, tenant, holder);
		/* What had expired may have been removed by this very request. */
		uint64_t expired = before->most[holder] - before->live[holder];

		if (quota != 0 && after->live[holder] > quota &&
		    after->most[holder] > before->most[holder] + expired)
			return world_fail(
				world, "%s/%s has a quota of %" PRIu64 " keys, and was let go to %" PRIu64,
				tenant_name(tenant), holder < WORLD_ACTORS ? actor_name(holder) : "", quota,
				after->live[holder]);
	}
	return true;
}

bool quota_set(struct world *world)
{
	struct chance *chance = &world->side_chance;
	unsigned number = (unsigned)chance_below(chance, WORLD_SESSIONS);
	const struct client *client = &world->clients[number];
	bool of_tenant = chance_one_in(chance, 3);
	unsigned cell = of_tenant ? cell_tenant(client->tenant) : cell_actor(client->tenant, client->actor);
	const struct oracle_name *before = world->oracle.cells[cell];
	struct oracle_name *name = arena_take(&world->arena, sizeof *name);
	struct pd_profile_change change = { .has_keys = true };
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (!chance_one_in(chance, 5))
		change.quotas.keys = 1 + chance_below(chance, of_tenant ? 2 * QUOTA_MAX : QUOTA_MAX);
	result = pd_engine_change_profile(world->engine, client->session, of_tenant,
					  of_tenant ? pd_slice(NULL, 0)
						    : pd_slice_string(actor_name(client->actor)),
					  &change, &receipt, &err);
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world_say(world, "quota of %s/%s: %" PRIu64 " keys -> %s", tenant_name(client->tenant),
		  of_tenant ? "" : actor_name(client->actor), change.quotas.keys, pd_code_name(result));
	world_trace(world, (uint64_t)result ^ receipt.lsn << 8);
	if (result == PD_AGAIN) /* as a write is told; nobody insists */
		return true;
	if (result == PD_NOT_FOUND)
		return before == NULL || world_fail(world, "no quota: %s", err.text);
	if (result != 0)
		return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
	if (before == NULL)
		return world_fail(world, "a quota for what does not exist");
	*name = *before;
	name->quota_keys = change.quotas.keys;
	oracle_set(&world->oracle, cell, name, receipt.lsn != 0 ? receipt.lsn : world->newest_lsn);
	if (receipt.lsn != 0)
		work_note_write(world, &receipt);
	return work_hold(world, number, &receipt);
}
