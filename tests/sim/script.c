#include "script.h"

#include <string.h>

#define SEGMENT    (64u * 1024)
#define SICK_STEPS 40u
#define ENDING_MAX 200u /* steps in which work ends */
#define HALF       (SEGMENT / 2)
#define NOTHING                            \
	{                                  \
		ACT_END, 0, PD_LEVEL_UNSET \
	}
#define PUT(size)                             \
	{                                     \
		ACT_PUT, size, PD_LEVEL_UNSET \
	}
#define DO(what)                              \
	{                                     \
		ACT_##what, 0, PD_LEVEL_UNSET \
	}
#define PASS(ms)                             \
	{                                    \
		ACT_PASS, ms, PD_LEVEL_UNSET \
	}
#define AT(level)                              \
	{                                      \
		ACT_PUT, 100, PD_LEVEL_##level \
	}

/* ---- shapes ---- */

/* Everything in memory and in the log. */
static void memory_only(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	(void)machine;
	options->levels = PD_LEVELS_NONE;
}

/* State that moves to the levels all the time, and a log that is trimmed as soon as it may be. */
static void moving(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	(void)machine;
	options->memtable_bytes = 4096;
	options->compaction_trigger = 2;
	options->retention_s = 0;
	options->retention_bytes = 0;
	options->checkpoint_log_bytes = SEGMENT;
}

/* The same with ranges that are kept as ranges. */
static void ranging(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	moving(options, machine);
	options->range_points_max = 1;
}

/* A checkpoint and all log since stay for a while. */
static void keeping(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	moving(options, machine);
	options->retention_s = 600;
	options->retention_bytes = 4 * SEGMENT;
}

static void flying(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	(void)machine;
	options->levels = PD_LEVELS_NONE;
	options->queue_depth = 4;
}

/* Nothing is written past the page cache, and 4 KiB at a time is what the drive writes as a whole. */
static void through_the_cache(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	options->levels = PD_LEVELS_NONE;
	options->refuse_direct = true;
	machine->direct_alignment = 0;
	machine->torn_unit = 4096;
}

static void late(struct pd_engine_options *options, struct pd_sim_options *machine)
{
	moving(options, machine);
	machine->late_tasks = true;
}

/* ---- scenarios ---- */

const struct script scripts[] = {
	{ "first open", memory_only, { NOTHING } },
	{ "first open with levels", moving, { NOTHING } },
	{ "first write", memory_only, { PUT(10), DO(SETTLE), NOTHING } },
	{ "some writes", memory_only, { PUT(10), PUT(700), DO(STEP), PUT(5000), DO(SETTLE), NOTHING } },
	{ "a transaction over two actors",
	  memory_only,
	  { { ACT_TRANSACTION, 600, PD_LEVEL_UNSET }, DO(SETTLE), NOTHING } },
	{ "in flight",
	  flying,
	  { PUT(10), DO(STEP), PUT(5000), DO(STEP), PUT(600), DO(STEP), PUT(10), DO(SETTLE), NOTHING } },
	{ "through the page cache",
	  through_the_cache,
	  { PUT(10), PUT(9000), DO(STEP), PUT(10), DO(SETTLE), NOTHING } },
	{ "a segment is full",
	  memory_only,
	  { PUT(HALF), DO(STEP), PUT(HALF), DO(STEP), PUT(HALF), DO(SETTLE), NOTHING } },
	{ "weak levels",
	  memory_only,
	  { AT(NONE), AT(PERFORMANCE), DO(STEP), AT(STANDARD), DO(STEP), PASS(150), DO(STEP), AT(NONE),
	    AT(STRICT), DO(SETTLE), NOTHING } },
	{ "weak levels, killed",
	  memory_only,
	  { AT(STANDARD), DO(STEP), AT(PERFORMANCE), DO(STEP), DO(KILL), AT(NONE), DO(SETTLE), NOTHING } },
	{ "reopened", memory_only, { PUT(10), DO(SETTLE), DO(REOPEN), PUT(10), DO(SETTLE), NOTHING } },
	{ "killed and reopened",
	  memory_only,
	  { PUT(10), DO(STEP), PUT(2000), DO(KILL), PUT(10), DO(STEP), DO(KILL), PUT(10), DO(SETTLE),
	    NOTHING } },
	{ "expiry",
	  moving,
	  { { ACT_EXPIRE, 50, PD_LEVEL_UNSET },
	    PUT(10),
	    DO(SETTLE),
	    PASS(100),
	    DO(STEP),
	    DO(STEP),
	    DO(SETTLE),
	    NOTHING } },
	{ "once",
	  memory_only,
	  { { ACT_ONCE, 40, PD_LEVEL_UNSET },
	    DO(SETTLE),
	    { ACT_ONCE, 40, PD_LEVEL_UNSET },
	    DO(SETTLE),
	    DO(REOPEN),
	    { ACT_ONCE, 40, PD_LEVEL_UNSET },
	    DO(SETTLE),
	    NOTHING } },
	{ "a memtable goes to the levels",
	  moving,
	  { PUT(3000), PUT(3000), DO(STEP), PUT(10), DO(STEP), DO(STEP), DO(SETTLE), NOTHING } },
	{ "flushes run late",
	  late,
	  { PUT(3000), PUT(3000), DO(STEP), PUT(3000), DO(STEP), PUT(3000), DO(STEP), DO(STEP), DO(SETTLE),
	    NOTHING } },
	{ "in the state", moving, { PUT(10), { ACT_PUT, 10, PD_LEVEL_FULL }, DO(SETTLE), NOTHING } },
	{ "deletes go to the levels",
	  moving,
	  { PUT(3000),
	    { ACT_HASH, 3000, PD_LEVEL_UNSET },
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(DELETE),
	    DO(STEP),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    NOTHING } },
	{ "ranges go to the levels",
	  ranging,
	  { PUT(300),
	    { ACT_HASH, 300, PD_LEVEL_UNSET },
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(CLEAR),
	    PUT(10),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    NOTHING } },
	{ "a checkpoint",
	  keeping,
	  { PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(CHECKPOINT),
	    PUT(10),
	    DO(SETTLE),
	    NOTHING } },
	{ "checkpoints come and go",
	  moving,
	  { PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(CHECKPOINT),
	    PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(CHECKPOINT),
	    NOTHING } },
	{ "the log is trimmed",
	  moving,
	  { PUT(HALF),
	    PUT(HALF),
	    PUT(HALF),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(TRIM),
	    PUT(10),
	    DO(SETTLE),
	    NOTHING } },
	{ "compaction",
	  moving,
	  { PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(COMPACT),
	    DO(VERIFY),
	    PUT(10),
	    DO(SETTLE),
	    NOTHING } },
	{ "reopened after a flush",
	  moving,
	  { PUT(3000),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    PUT(10),
	    DO(SETTLE),
	    DO(REOPEN),
	    PUT(3000),
	    DO(SETTLE),
	    NOTHING } },
	{ "a fork",
	  keeping,
	  { PUT(300), PUT(3000), DO(SETTLE), DO(FORK), DO(SETTLE), PUT(10), DO(SETTLE), NOTHING } },
	{ "a fork of what is in the levels",
	  keeping,
	  { PUT(3000),
	    { ACT_HASH, 300, PD_LEVEL_FULL },
	    DO(SETTLE),
	    DO(CHECKPOINT),
	    DO(FORK),
	    { ACT_PUT, 10, PD_LEVEL_FULL },
	    DO(SETTLE),
	    NOTHING } },
	{ "dropped and brought back",
	  keeping,
	  { PUT(300),
	    { ACT_HASH, 3000, PD_LEVEL_UNSET },
	    DO(DROP),
	    DO(SETTLE),
	    DO(UNDROP),
	    DO(SETTLE),
	    DO(REOPEN),
	    PUT(10),
	    DO(SETTLE),
	    NOTHING } },
	{ "the disk is full and has room again",
	  memory_only,
	  { PUT(10), DO(SETTLE), DO(FULL), PUT(HALF), DO(STEP), PUT(HALF), DO(STEP), PUT(HALF), DO(SETTLE),
	    DO(ROOM), PUT(HALF), DO(SETTLE), NOTHING } },
	{ "little is put back",
	  keeping,
	  { PUT(300),
	    { ACT_HASH, 300, PD_LEVEL_UNSET },
	    DO(MARK),
	    PUT(10),
	    DO(DELETE),
	    DO(SETTLE),
	    DO(RESTORE),
	    DO(SETTLE),
	    NOTHING } },
	{ "another takes its place",
	  keeping,
	  { PUT(300), DO(MARK), DO(DROP), PUT(10), DO(SETTLE), DO(RESTORE), DO(SETTLE), NOTHING } },
	{ "a snapshot",
	  keeping,
	  { PUT(300),
	    { ACT_HASH, 3000, PD_LEVEL_UNSET },
	    DO(SNAPSHOT),
	    DO(SETTLE),
	    PUT(10),
	    DO(REWIND),
	    DO(SETTLE),
	    DO(UNSNAPSHOT),
	    DO(SETTLE),
	    NOTHING } },
	{ "a snapshot that outlives the log and its actor",
	  moving,
	  { PUT(300),
	    DO(SNAPSHOT),
	    DO(SETTLE),
	    DO(DROP),
	    PUT(HALF),
	    PUT(HALF),
	    { ACT_PUT, HALF, PD_LEVEL_FULL },
	    DO(TRIM),
	    DO(REWIND),
	    DO(SETTLE),
	    DO(REOPEN),
	    PUT(10),
	    DO(SETTLE),
	    NOTHING } },
	{ "the disk is full while a snapshot is made",
	  keeping,
	  { PUT(HALF), DO(SETTLE), DO(FULL), DO(SNAPSHOT), DO(ROOM), NOTHING } },
	{ "the disk is full while an actor is forked",
	  keeping,
	  { PUT(HALF), DO(SETTLE), DO(FULL), DO(FORK), DO(ROOM), NOTHING } },
	{ "the disk is full while state moves",
	  moving,
	  { PUT(3000), DO(SETTLE), DO(FULL), PUT(3000), DO(STEP), PUT(3000), DO(STEP), PUT(HALF), DO(SETTLE),
	    DO(ROOM), PUT(3000), DO(SETTLE), NOTHING } },
};
const size_t script_count = sizeof scripts / sizeof scripts[0];

/* ---- acts ---- */

static struct pd_slice value_of(const struct world *world, const struct act *act, size_t number)
{
	return pd_slice(world->vocabulary->bytes + number % 64, act->size);
}

static void add(struct world *world, struct request *request, struct operation operation)
{
	request_add(request, &operation, world->vocabulary, &world->chance, &world->arena);
}

/* The request of an act that is one. */
static void make_request(struct world *world, const struct act *act, size_t number, struct request *request)
{
	uint8_t actor = world->clients[0].actor, key = (uint8_t)(number % WORLD_KEYS);
	struct operation operation = { .verb = VERB_SET,
				       .place_count = 1,
				       .places = { { actor, key } },
				       .values = { value_of(world, act, number) } };

	switch (act->kind) {
	case ACT_HASH:
		operation.verb = VERB_HSET;
		operation.field_count = operation.value_count = 1;
		break;
	case ACT_DELETE:
		operation.verb = VERB_DEL;
		operation.places[0].key = 0;
		break;
	case ACT_EXPIRE:
		operation.px = true;
		operation.number = act->size;
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

static bool ask(struct world *world, const struct act *act, size_t number)
{
	const struct client *client = &world->clients[0];
	struct request *request = arena_take(&world->arena, sizeof *request);

	*request = (struct request){ .tenant = client->tenant,
				     .actor = client->actor,
				     .one_actor = client->one_actor,
				     .resp3 = client->resp3,
				     .level = act->level,
				     .idempotency = -1 };
	make_request(world, act, number, request);
	return work_request(world, 0, request);
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
static bool keep_up(struct world *world, enum pd_upkeep_kind kind)
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
		what.to = own;
		what.lsn = world->drop_lsn - 1;
	}
	if (act->kind == ACT_RESTORE)
		what = (struct remake){ own, own, world->marked_lsn, true, false };
	if (act->kind == ACT_SNAPSHOT) {
		world->marked_lsn = world->newest_lsn;
		what = (struct remake){ own, own, world->newest_lsn, false, true };
	}
	if (act->kind == ACT_REWIND)
		what = (struct remake){ own, own, world->marked_lsn, true, true };
	if (act->kind == ACT_UNSNAPSHOT)
		return remake_remove_snapshot(world, own);
	return remake(world, &what);
}

static bool reopen(struct world *world, bool kill)
{
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	if (!kill && (!settle(world) || world_dead(world)))
		return !world->failed;
	if (kill || world->fenced) {
		life_kill(world, false);
		return life_open_at(world, 0) >= 0;
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
	return life_open_at(world, 0) >= 0;
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

static bool play(struct world *world, const struct act *act, size_t number)
{
	switch (act->kind) {
	case ACT_STEP:
		return work_step(world);
	case ACT_SETTLE:
		return settle(world);
	case ACT_PASS:
		pd_sim_advance_us(world->os, (uint64_t)act->size * 1000);
		return true;
	case ACT_CHECKPOINT:
		return keep_up(world, PD_UPKEEP_CHECKPOINT);
	case ACT_TRIM:
		return keep_up(world, PD_UPKEEP_COMPACT_LOG);
	case ACT_COMPACT:
		return keep_up(world, PD_UPKEEP_COMPACT_STORE);
	case ACT_VERIFY:
		return keep_up(world, PD_UPKEEP_VERIFY_STORE);
	case ACT_MARK:
		world->marked_lsn = world->newest_lsn;
		return true;
	case ACT_DROP:
	case ACT_FORK:
	case ACT_RESTORE:
	case ACT_REWIND:
	case ACT_SNAPSHOT:
	case ACT_UNDROP:
	case ACT_UNSNAPSHOT:
		return remake_own(world, act);
	case ACT_REOPEN:
	case ACT_KILL:
		return reopen(world, act->kind == ACT_KILL);
	case ACT_FULL:
	case ACT_ROOM:
		return fill_disk(world, act->kind == ACT_FULL);
	default:
		return ask(world, act, number);
	}
}

bool script_play(struct world *world, const struct script *script)
{
	for (size_t i = 0; i < ACTS_MAX && script->acts[i].kind != ACT_END; i++) {
		if (!play(world, &script->acts[i], i))
			return false;
		if (world_dead(world))
			return true;
	}
	return true;
}

bool script_begin(struct world *world, const struct script *script)
{
	struct pd_error err;

	world->machine = (struct pd_sim_options)PD_SIM_OPTIONS_DEFAULT;
	world->machine.seed = 1;
	world->machine.lying_sync = world->lies.sync;
	world->machine.lying_directory_sync = world->lies.directory;
	world->options = (struct pd_engine_options)PD_ENGINE_OPTIONS_DEFAULT;
	world->options.data_directory = "data";
	world->options.segment_bytes = SEGMENT;
	world->options.queue_depth = 1;
	world->options.random_seed = 1;
	world->options.levels = PD_LEVELS_PLAIN;
	world->options.memory_budget_bytes = UINT64_C(256) << 20;
	script->shape(&world->options, &world->machine);
	world->plague = PLAGUE_NONE;
	world->oracle.default_level = world->options.default_level;
	world->oracle.idempotency_keep_us = world->options.idempotency_keep_s * 1000000;
	if (pd_os_sim_new(&world->machine, &world->os, &err) != 0)
		return world_fail(world, "no machine: %s", err.text);
	return true;
}

bool script_go_on(struct world *world)
{
	static const struct script more = { "go on", NULL, { PUT(100), DO(SETTLE), DO(REOPEN), NOTHING } };

	return script_play(world, &more) && verify_state(world) &&
	       (world_dead(world) || shelf_check_log(world));
}
