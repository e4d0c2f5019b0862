/* Actors as their owners see them: they are dropped, others come in their place, and what is said of them is true. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/actor.h"
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

bool actor_drop(struct world *world)
{
	unsigned number = (unsigned)chance_below(&world->chance, WORLD_SESSIONS);
	struct client *client = &world->clients[number];
	uint8_t actor = chance_one_in(&world->chance, 2)
				? client->actor
				: (uint8_t)chance_below(&world->chance, WORLD_ACTORS);
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
	if (result != 0)
		return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
	if (!there)
		return world_fail(world, "%s was dropped, and was not there", text);
	if (receipt.lsn != before_lsn + 1)
		return world_fail(world, "a drop with LSN %" PRIu64 " after %" PRIu64, receipt.lsn,
				  before_lsn);
	world->totals->drops++;
	oracle_drop(&world->oracle, client->tenant, actor, receipt.lsn);
	work_note_write(world, &receipt);
	return work_hold(world, number, &receipt);
}

bool actor_verify(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor,
		  uint64_t now_us)
{
	const struct oracle_name *expected = world->oracle.cells[cell_actor(tenant, actor)];
	uint64_t live = 0, most = 0;
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
		live += item != NULL && (item->expires_us == 0 || item->expires_us > now_us);
	}
	if (info.keys < live || info.keys > most)
		return world_fail(world, "%s/%s counts %" PRIu64 " keys, expected %" PRIu64 " to %" PRIu64,
				  tenant_name(tenant), actor_name(actor), info.keys, live, most);
	world_trace(world, info.id << 16 ^ info.keys);
	return true;
}
