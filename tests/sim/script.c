#include "script.h"

#include <string.h>

#define SICK_STEPS 40u
#define ENDING_MAX 200u /* steps in which work ends */

/* ---- acts ---- */

static struct pd_slice value_of(const struct world *world, const struct act *act, unsigned nth)
{
	return pd_slice(world->vocabulary->bytes + nth % 64, act->size);
}

static void add(struct world *world, struct request *request, struct operation operation)
{
	request_add(request, &operation, world->vocabulary, &world->chance, &world->arena);
}

/* Between the client's actor and the one behind it. */
static void make_relation(const struct act *act, struct operation *operation)
{
	uint8_t own = operation->places[0].actor, other = (uint8_t)((own + 1) % WORLD_ACTORS);

	operation->verb = act->kind == ACT_RELATE ? VERB_RELATE : VERB_UNRELATE;
	operation->value_count = act->kind == ACT_RELATE;
	operation->place_count = 2;
	operation->kind = act->size % 2;
	operation->places[act->size % 2].actor = own;
	operation->places[(act->size + 1) % 2].actor = other;
}

/* The request of the nth act that is one. */
static void make_request(struct world *world, const struct act *act, unsigned nth, uint8_t key,
			 struct request *request)
{
	uint8_t actor = request->actor;
	struct operation operation = { .verb = VERB_SET,
				       .place_count = 1,
				       .places = { { actor, key } },
				       .value_count = 1,
				       .values = { value_of(world, act, nth) } };

	switch (act->kind) {
	case ACT_HASH:
		operation.verb = VERB_HSET;
		operation.field_count = 1;
		break;
	case ACT_APPEND:
		operation.verb = VERB_APPEND;
		operation.places[0].key = 0;
		break;
	case ACT_DELETE:
		operation.verb = VERB_DEL;
		operation.places[0].key = 0;
		break;
	case ACT_RELATE:
	case ACT_UNRELATE:
		make_relation(act, &operation);
		break;
	case ACT_EXPIRE:
		operation.px = true;
		operation.number = act->size;
		operation.values[0].size = 40;
		break;
	case ACT_CLEAR:
		operation.verb = VERB_FLUSHDB;
		operation.place_count = 0;
		break;
	case ACT_ONCE:
		operation.verb = VERB_APPEND;
		operation.places[0].key = 1;
		operation.values[0] = value_of(world, act, 0);
		request->idempotency = 0;
		break;
	case ACT_TRANSACTION:
		request->as_array = true;
		add(world, request, operation);
		operation.places[0].actor = (uint8_t)((actor + 1) % WORLD_ACTORS);
		break;
	default:
		break;
	}
	add(world, request, operation);
}

/* What is about one key again and again, or the one that was set first, is the first client's. */
static bool is_first_clients(enum act_kind kind)
{
	return kind == ACT_ONCE || kind == ACT_DELETE || kind == ACT_APPEND || kind == ACT_RELATE ||
	       kind == ACT_UNRELATE;
}

static bool ask(struct world *world, const struct variant *variant, const struct act *act, unsigned nth)
{
	struct vary_place place = vary_place(variant, nth);
	unsigned number = is_first_clients(act->kind) ? 0 : place.client;
	const struct client *client = &world->clients[number];
	struct request *request = arena_take(&world->arena, sizeof *request);

	*request = (struct request){ .tenant = client->tenant,
				     .actor = client->actor,
				     .one_actor = client->one_actor,
				     .resp3 = client->resp3,
				     .level = act->level,
				     .idempotency = -1 };
	memcpy(request->claims, client->claims[client->tenant], sizeof request->claims);
	make_request(world, act, nth, place.key, request);
	if (act->kind == ACT_LARGE)
		return large_put(world, number, request);
	return work_request(world, number, request);
}

/* Where the disk fails, some things are never shown. */
static bool settle(struct world *world)
{
	if (!world->sick)
		return work_settle(world);
	for (unsigned i = 0; i < SICK_STEPS && !world_dead(world); i++) {
		if (!work_step(world))
			return false;
		pd_sim_advance_us(world->os, 10000);
	}
	return true;
}

/* Begin it, and step until nothing of it is left. */
static bool keep_up_to_the_end(struct world *world, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;

	if (!work_upkeep(world, kind))
		return false;
	for (unsigned i = 0; i < ENDING_MAX && !world_dead(world); i++) {
		pd_engine_upkeep_status(world->engine, &status);
		if (!status.running)
			return true;
		if (!work_step(world))
			return false;
		pd_sim_advance_us(world->os, 1000);
	}
	return world_dead(world) || world->sick || world_fail(world, "upkeep does not end");
}

/* Of the first client's actor. */
static bool remake_own(struct world *world, const struct act *act)
{
	uint8_t own = world->clients[0].actor;
	struct remake what = { .from = own,
			       .to = (uint8_t)((own + 1) % WORLD_ACTORS),
			       .lsn = world->newest_lsn };

	if (act->kind == ACT_DROP)
		return actor_drop_one(world, 0, own);
	if (act->kind == ACT_UNDROP) {
		/* On a disk that fails it may not have been dropped. */
		if (world->oracle.cells[cell_actor(world->clients[0].tenant, own)] != NULL)
			return world->sick || world_fail(world, "nothing was dropped");
		what.to = own;
		what.lsn = world->drop_lsn - 1;
	}
	if (act->kind == ACT_CARRY) {
		what.carry = true;
		what.to = (uint8_t)((own + 3) % WORLD_ACTORS); /* nobody writes to that one */
	}
	if (act->kind == ACT_RESTORE || act->kind == ACT_RESTORE_RELATIONS)
		what = (struct remake){ .from = own, .to = own, .lsn = world->marked_lsn, .restore = true };
	what.relations = act->kind == ACT_RESTORE_RELATIONS;
	if (act->kind == ACT_SNAPSHOT)
		what = (struct remake){ .from = own, .to = own, .lsn = world->newest_lsn, .snapshot = true };
	if (act->kind == ACT_REWIND)
		what = (struct remake){ .from = own, .to = own, .restore = true, .snapshot = true };
	if (act->kind == ACT_UNSNAPSHOT)
		return remake_remove_snapshot(world, own);
	return remake(world, &what);
}

int script_open(struct world *world, uint64_t dying_at)
{
	/* Two of one actor, and one in another tenant. */
	static const struct {
		uint8_t tenant, actor;
	} places[WORLD_SESSIONS] = { { 0, 1 }, { 0, 3 }, { 1, 2 }, { 0, 1 } };
	int opened = life_open_at(world, dying_at);

	life_spare(world);
	for (unsigned i = 0; i < WORLD_SESSIONS && opened == 1; i++)
		if (!work_place(world, i, places[i].tenant, places[i].actor, true))
			opened = -1;
	if (opened == 1 && !copies_open(world))
		opened = -1;
	life_starve(world, world->starving_left);
	return opened;
}

/* How a life ends; ACT_KILL and ACT_CUT without asking anybody. */
static bool reopen(struct world *world, enum act_kind kind)
{
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (kind == ACT_REOPEN && (!settle(world) || world_dead(world)))
		return !world->failed;
	if (kind != ACT_REOPEN || world->fenced) {
		life_kill(world, kind == ACT_CUT);
		return script_open(world, 0) >= 0;
	}
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	work_end(world);
	world->hash_known = false;
	result = pd_engine_close(world->engine, &err);
	world->engine = NULL;
	if (world_dead(world))
		return true;
	if (result == 0)
		world->power_floor = world->process_floor = world->newest_lsn;
	else if (world->sick)
		life_kill(world, false);
	else
		return world_fail(world, "cannot close: %s", err.text);
	return script_open(world, 0) >= 0;
}

static bool fill_disk(struct world *world, bool full)
{
	world->machine.disk_bytes = full ? 1 : 0;
	pd_sim_set_options(world->os, &world->machine);
	if (full)
		return true;
	/* What could not be written is tried again now and then. */
	world->room_us = pd_os_monotonic_ns(world->os) / 1000;
	for (unsigned i = 0; i < 15 && !world_dead(world); i++) {
		pd_sim_advance_us(world->os, 100000);
		if (!work_step(world))
			return false;
	}
	return true;
}

/* From here on the log and the checkpoints stay. */
static bool follow(struct world *world, bool begin)
{
	struct pd_error err;
	int result;

	pd_engine_unfollow(world->follower);
	world->follower = NULL;
	if (!begin)
		return true;
	result = pd_engine_follow(world->engine, 1, &world->follower, &err);
	return result == 0 || world_dead(world) || world->sick ||
	       world_fail(world, "nobody may look at the past: %s", err.text);
}

/* Work that is done beside the serving. */
static bool keep_up(struct world *world, enum act_kind kind)
{
	switch (kind) {
	case ACT_CHECKPOINT:
		return keep_up_to_the_end(world, PD_UPKEEP_CHECKPOINT);
	case ACT_TRIM:
		return keep_up_to_the_end(world, PD_UPKEEP_COMPACT_LOG);
	case ACT_COMPACT:
		return keep_up_to_the_end(world, PD_UPKEEP_COMPACT_STORE);
	case ACT_VERIFY:
		return keep_up_to_the_end(world, PD_UPKEEP_VERIFY_STORE);
	case ACT_BEGIN_CHECKPOINT:
		return work_upkeep(world, PD_UPKEEP_CHECKPOINT);
	case ACT_BEGIN_TRIM:
		return work_upkeep(world, PD_UPKEEP_COMPACT_LOG);
	default:
		return work_upkeep(world, PD_UPKEEP_COMPACT_STORE);
	}
}

/* What concerns an actor as a whole. */
static bool change_actor(struct world *world, const struct act *act)
{
	switch (act->kind) {
	case ACT_ACQUIRE:
		return actor_hold(world, 0, ACTOR_ACQUIRE, (uint64_t)act->size * 1000);
	case ACT_RENEW:
		return actor_hold(world, 0, ACTOR_RENEW, (uint64_t)act->size * 1000);
	case ACT_RELEASE:
		return actor_hold(world, 0, ACTOR_RELEASE, 0);
	case ACT_PROFILE:
		return work_profile(world, 0, act->size > 0, act->level);
	default:
		return remake_own(world, act);
	}
}

static bool play(struct world *world, const struct act *act)
{
	switch (act->kind) {
	case ACT_STEP:
		return work_step(world);
	case ACT_SETTLE:
		return settle(world);
	case ACT_PASS:
		pd_sim_advance_us(world->os, (uint64_t)act->size * 1000);
		return true;
	case ACT_MARK:
		world->marked_lsn = world->newest_lsn;
		return true;
	case ACT_FOLLOW:
	case ACT_UNFOLLOW:
		return follow(world, act->kind == ACT_FOLLOW);
	case ACT_ARCHIVE:
		return copies_archive(world);
	case ACT_BACK_UP:
		return copies_back_up(world, act->size);
	case ACT_LET_GO:
		return copies_expire(world);
	case ACT_REOPEN:
	case ACT_KILL:
	case ACT_CUT:
		return reopen(world, act->kind);
	case ACT_FULL:
	case ACT_ROOM:
		return fill_disk(world, act->kind == ACT_FULL);
	default:
		return act->kind >= ACT_CHECKPOINT ? keep_up(world, act->kind) : change_actor(world, act);
	}
}

bool script_play(struct world *world, const struct script *script)
{
	unsigned nth = 0; /* of what writes */

	for (size_t i = 0; i < ACTS_MAX && script->acts[i].kind != ACT_END; i++) {
		const struct act *act = &script->acts[i];

		if (act->kind < ACT_WRITES_END ? !ask(world, &script->variant, act, nth++)
					       : !play(world, act))
			return false;
		if (world_dead(world))
			return true;
	}
	return true;
}

void script_shape(const struct script *script, struct pd_engine_options *options,
		  struct pd_sim_options *machine)
{
	*machine = (struct pd_sim_options)PD_SIM_OPTIONS_DEFAULT;
	machine->seed = 1;
	*options = (struct pd_engine_options)PD_ENGINE_OPTIONS_DEFAULT;
	options->data_directory = "data";
	options->segment_bytes = SCRIPT_SEGMENT;
	options->queue_depth = 1;
	options->random_seed = 1;
	options->levels = PD_LEVELS_PLAIN;
	options->memory_budget_bytes = UINT64_C(256) << 20;
	script->shape(options, machine);
}

bool script_begin(struct world *world, const struct script *script)
{
	struct pd_error err;

	script_shape(script, &world->options, &world->machine);
	vary_shape(&script->variant, &world->options, &world->machine);
	world->machine.lying_sync = world->lies.sync;
	world->machine.lying_directory_sync = world->lies.directory;
	world->plague = PLAGUE_NONE;
	world->oracle.default_level = world->options.default_level;
	world->oracle.idempotency_keep_us = world->options.idempotency_keep_s * 1000000;
	if (pd_os_sim_new(&world->machine, &world->os, &err) != 0)
		return world_fail(world, "no machine: %s", err.text);
	pd_sim_set_chance(world->os, vary_schedule(&script->variant), PD_SIM_SURVIVES_BY_CHANCE);
	for (size_t i = 0; i < ACTS_MAX && script->acts[i].kind != ACT_END; i++)
		if (script->acts[i].kind == ACT_ARCHIVE)
			return copies_begin(world);
	return true;
}

/* Copies are what was said; they go on, whatever was left half done; and then the power fails. */
static bool copies_stay(struct world *world)
{
	bool opened;

	if (!world->copies.archiving && !world->copies.backing_up)
		return true;
	if (!copies_check(world) || !copies_go_on(world))
		return false;
	pd_sim_set_chance(world->os, 1, PD_SIM_SURVIVES_NOTHING);
	opened = reopen(world, ACT_CUT);
	pd_sim_set_chance(world->os, 1, PD_SIM_SURVIVES_BY_CHANCE);
	return opened && copies_check(world);
}

bool script_go_on(struct world *world)
{
	static const struct script more = {
		.name = "go on",
		.acts = { { ACT_PUT, 100, PD_LEVEL_UNSET },
			  { ACT_SETTLE, 0, PD_LEVEL_UNSET },
			  { ACT_REOPEN, 0, PD_LEVEL_UNSET } },
	};

	return script_play(world, &more) && verify_state(world) &&
	       (world_dead(world) || (shelf_check_log(world) && copies_stay(world)));
}
