/* Reading everything back, through the same door as any client, and comparing it with the model. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/actor.h"
#include "oracle_evaluate.h"
#include "world.h"

#define KEY_COMMANDS   (WORLD_KEYS * 2)
#define BATCH_COMMANDS (KEY_COMMANDS + 1)
#define BATCH_WORDS    (2 * KEY_COMMANDS + 3)

/* Ask for a key's value and its time, in the words that fit what the model thinks it is. */
static void ask(const struct world *world, const struct request *session, struct place place, uint64_t now_us,
		struct operation operations[2])
{
	const struct oracle_item *item = oracle_see(&world->oracle, session->tenant, place, now_us);

	operations[0] = (struct operation){ .verb = item != NULL && item->is_hash ? VERB_HGETALL : VERB_GET,
					    .place_count = 1,
					    .places = { place } };
	operations[1] = (struct operation){ .verb = VERB_PEXPIRETIME, .place_count = 1, .places = { place } };
}

/* It is refused: for what the log has lost of it, or because the state cannot be read? */
static void note_quarantined(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor)
{
	struct pd_actor_info info;

	if (pd_engine_actor_info(world->engine, session, pd_slice_string(actor_name(actor)), &info, NULL) ==
	    0)
		world->quarantined[tenant][actor] |= info.quarantined;
}

/* What it is related to, as itself says: the other side is looked at with the other actor. */
static void ask_relations(const struct world *world, uint8_t actor, struct operation *operation,
			  struct pd_slice words[3], struct pd_request_command *command)
{
	*operation = (struct operation){ .verb = VERB_RELATIONS,
					 .place_count = 1,
					 .places = { { .actor = actor } },
					 .kind = WORLD_KINDS };
	words[0] = pd_slice_string("PD.ACTOR");
	words[1] = pd_slice_string("RELATIONS");
	words[2] = pd_slice_string(actor_name(actor));
	*command = (struct pd_request_command){ .command = world->vocabulary->commands[VERB_RELATIONS],
						.words = words,
						.count = 3 };
}

/* One actor's keys and relations in one transaction. *ret_served: false if it is quarantined. */
static bool verify_actor(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor,
			 bool *ret_served)
{
	struct request request = { .tenant = tenant, .actor = actor, .resp3 = true };
	struct pd_request_command commands[BATCH_COMMANDS];
	struct pd_slice words[BATCH_WORDS];
	struct operation operations[BATCH_COMMANDS];
	struct pd_resp_writer writer = { .buffer = &world->actual, .protocol = 3 };
	struct pd_receipt receipt;
	struct pd_error err;
	/* Nobody asks who is not there. */
	bool with_relations = world->oracle.cells[cell_actor(tenant, actor)] != NULL && !world->half_related;
	struct pd_request asked = { .session = session,
				    .commands = commands,
				    .count = with_relations ? BATCH_COMMANDS : KEY_COMMANDS,
				    .as_array = true };
	uint64_t now_us = pd_os_real_us(world->os);
	int result;

	*ret_served = true;
	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		struct place place = { .actor = actor, .key = key };

		ask(world, &request, place, now_us, &operations[2 * key]);
		for (unsigned i = 0; i < 2; i++) {
			unsigned n = 2U * key + i;

			words[2 * n] = pd_slice_string(world->vocabulary->commands[operations[n].verb]->name);
			words[2 * n + 1] = pd_slice_string(key_name(key));
			commands[n] = (struct pd_request_command){
				.command = world->vocabulary->commands[operations[n].verb],
				.words = &words[2 * n],
				.count = 2
			};
		}
	}
	ask_relations(world, actor, &operations[KEY_COMMANDS], &words[2 * KEY_COMMANDS],
		      &commands[KEY_COMMANDS]);
	pd_buffer_clear(&world->actual);
	result = pd_engine_execute(world->engine, &asked, &writer, &receipt, &err);
	if (result == PD_CORRUPT && (world->damaged || world_rotten(world))) {
		world->totals->quarantined++;
		note_quarantined(world, session, tenant, actor);
		*ret_served = false;
		return true;
	}
	if (result == 0 && world->remembers && world->quarantined[tenant][actor])
		return world_fail(world, "%s/%s was quarantined, and is served after a restart",
				  tenant_name(tenant), actor_name(actor));
	if (result != 0)
		return world_fail(world, "cannot read %s/%s: %s", tenant_name(tenant), actor_name(actor),
				  err.text);
	reply_clear(&world->expected);
	reply_array(&world->expected, asked.count);
	for (unsigned n = 0; n < asked.count; n++) {
		size_t start = world->expected.bytes[1].size;

		oracle_read(&world->oracle, &request, &operations[n], receipt.time_us, &world->expected);
		if (world->expected.bytes[1].size > world->actual.size ||
		    memcmp(world->expected.bytes[1].data + start, world->actual.data + start,
			   world->expected.bytes[1].size - start) != 0)
			return world_fail(
				world, "%s of %s/%s%s%s: there is '%.200s', expected '%.200s'",
				world->vocabulary->commands[operations[n].verb]->name, tenant_name(tenant),
				actor_name(actor), n < KEY_COMMANDS ? "/" : "",
				n < KEY_COMMANDS ? key_name((uint8_t)(n / 2)) : "",
				start < world->actual.size ? (const char *)world->actual.data + start : "",
				(const char *)world->expected.bytes[1].data + start);
	}
	if (world->actual.size != world->expected.bytes[1].size)
		return world_fail(world, "a reply is too long");
	world_trace(world, pd_hash64(pd_buffer_slice(&world->actual), 0));
	return true;
}

/* Versions, and that there are no keys but the known ones. */
static bool verify_keys(struct world *world, struct pd_session *session, uint8_t tenant, uint8_t actor)
{
	const struct oracle_item *item;
	struct pd_slice words[2] = { { 0 } };
	struct pd_request_command command = { .command = world->vocabulary->keys,
					      .words = words,
					      .count = 2 };
	struct pd_request request = { .session = session, .commands = &command, .count = 1 };
	struct pd_resp_writer writer = { .buffer = &world->actual, .protocol = 2 };
	struct pd_receipt receipt;
	struct pd_error err;
	unsigned expected = 0;
	int result;

	words[0] = pd_slice_string("keys");
	words[1] = pd_slice_string("*");
	pd_buffer_clear(&world->actual);
	result = pd_engine_execute(world->engine, &request, &writer, &receipt, &err);
	if (result == PD_CORRUPT && world_rotten(world))
		return true;
	if (result != 0)
		return world_fail(world, "cannot list keys: %s", err.text);
	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		struct place place = { .actor = actor, .key = key };
		struct pd_slice in_actor, name;
		struct pd_version version;

		item = oracle_see(&world->oracle, tenant, place, receipt.time_us);
		expected += item != NULL;
		result = pd_engine_version(world->engine, session, pd_slice_string(key_name(key)), &version,
					   &in_actor, &name, &err);
		if (result == PD_CORRUPT && world_rotten(world))
			return true;
		if (result != 0)
			return world_fail(world, "no version of %s: %s", key_name(key), err.text);
		/* Time has passed since the list: what expires now may have done so. */
		if (item != NULL && item->expires_us != 0)
			continue;
		if (version.exists != (item != NULL) || (item != NULL && version.lsn != item->lsn))
			return world_fail(world, "%s/%s/%s has version %" PRIu64 ", expected %" PRIu64,
					  tenant_name(tenant), actor_name(actor), key_name(key),
					  version.exists ? version.lsn : 0, item != NULL ? item->lsn : 0);
	}
	reply_clear(&world->expected);
	reply_array(&world->expected, expected);
	if (world->actual.size < world->expected.bytes[0].size ||
	    memcmp(world->actual.data, world->expected.bytes[0].data, world->expected.bytes[0].size) != 0)
		return world_fail(world, "%s/%s has other keys than the %u that it should have: %.200s",
				  tenant_name(tenant), actor_name(actor), expected,
				  (const char *)world->actual.data);
	return actor_verify(world, session, tenant, actor, receipt.time_us);
}

/* All keys are somebody's. */
static bool verify_count(struct world *world, struct pd_session *session)
{
	struct pd_engine_stats stats;
	struct pd_actor_info info;
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_error err;
	uint64_t keys = 0;

	for (unsigned tenant = 0; tenant < WORLD_TENANTS; tenant++)
		for (unsigned actor = 0; actor < WORLD_ACTORS; actor++) {
			(void)snprintf(name, sizeof name, "%s/%s", tenant_name(tenant), actor_name(actor));
			switch (pd_engine_actor_info(world->engine, session, pd_slice_string(name), &info,
						     &err)) {
			case 0:
				keys += info.keys;
				break;
			case PD_NOT_FOUND:
				break;
			default:
				return world_rotten(world) || world_fail(world, "%s: %s", name, err.text);
			}
		}
	pd_engine_stats(world->engine, &stats);
	return stats.keys == keys ||
	       world_fail(world, "there are %" PRIu64 " keys, of which actors have %" PRIu64, stats.keys,
			  keys);
}

bool verify_counts(struct world *world)
{
	struct pd_session *session = pd_session_new(world->engine, ++world->client_number, "verifier", "");
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_engine_stats stats;
	struct pd_error err;
	bool good = session != NULL;

	pd_engine_stats(world->engine, &stats);
	for (uint8_t tenant = 0; good && tenant < WORLD_TENANTS; tenant++) {
		(void)snprintf(name, sizeof name, "%s/main", tenant_name(tenant));
		good = pd_session_use(session, pd_slice_string(name), &err) == 0;
		for (uint8_t actor = 0; good && actor < WORLD_ACTORS; actor++)
			good = actor_verify(world, session, tenant, actor, stats.time_us);
	}
	pd_session_free(session);
	return good;
}

/* What is counted with each change is what there is. */
static bool verify_recount(struct world *world)
{
	struct pd_error err;

	return pd_engine_check_counts(world->engine, &err) == 0 || world->damaged || world_rotten(world) ||
	       world_fail(world, "%s", err.text);
}

bool verify_state(struct world *world)
{
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_session *session = pd_session_new(world->engine, ++world->client_number, "verifier", "");
	struct pd_error err;
	bool good = session != NULL, served;

	for (uint8_t tenant = 0; good && tenant < WORLD_TENANTS; tenant++)
		for (uint8_t actor = 0; good && actor < WORLD_ACTORS; actor++) {
			(void)snprintf(name, sizeof name, "%s/%s", tenant_name(tenant), actor_name(actor));
			good = pd_session_use(session, pd_slice_string(name), &err) == 0 &&
			       verify_actor(world, session, tenant, actor, &served) &&
			       (!served || verify_keys(world, session, tenant, actor));
		}
	good = good && verify_count(world, session) && verify_recount(world) &&
	       remake_check_snapshot(world, session);
	pd_session_free(session);
	return good;
}

/* The last LSN of an epoch that has ended; UINT64_MAX: it has not. */
static uint64_t end_of(const struct world *world, uint64_t epoch)
{
	for (size_t i = 0; i < world->end_count; i++)
		if (world->ends[i].epoch == epoch)
			return world->ends[i].lsn;
	return UINT64_MAX;
}

bool verify_moments(struct world *world)
{
	for (size_t i = 0; i < world->moment_count; i++) {
		struct moment moment = world->moments[i], back = { 0 };
		char text[PD_BOOKMARK_SIZE];
		uint32_t shard = 1;
		int expected = moment.lsn <= end_of(world, moment.epoch) ? 0 : PD_LOST;
		int result;

		pd_bookmark_format(0, moment.epoch, moment.lsn, text);
		if (pd_bookmark_parse(pd_slice_string(text), &shard, &back.epoch, &back.lsn) != 0 ||
		    shard != 0 || back.epoch != moment.epoch || back.lsn != moment.lsn)
			return world_fail(world, "bookmark %s is read as another", text);
		result = pd_engine_check_bookmark(world->engine, moment.epoch, moment.lsn);
		/* A drive that loses the record of an epoch makes the epoch unknown. */
		if (world->plague == PLAGUE_DRIVE && expected == PD_LOST && result == PD_INVALID)
			continue;
		if (result != expected)
			return world_fail(world, "bookmark %s is answered with %d, expected %d", text, result,
					  expected);
	}
	return true;
}
