/* A scenario is played from its start for each operation that it is crashed at, and the machine kept as the process has died: what the crash
 * leaves is decided on copies of that, in one way after the other. Where it is a disk that had not been seen before, with the same promises
 * made, recovery is put to it; and that again is crashed at each of its operations. */
#include "explore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define REPORTS_MAX 5
#define EFFECTS_MAX 16384u /* operations of a life of which it is known whether they change the disk */

struct level {
	uint8_t effects[EFFECTS_MAX]; /* of the life that is crashed: the story, or a recovery */
	struct snapshot dead, cut;    /* before the crash is decided, and after */
};

const struct trouble troubles[TROUBLES] = { { "", 0, false },
					    { "eio", EIO, false },
					    { "enospc", ENOSPC, false },
					    { "eio-on", EIO, true },
					    { "enospc-on", ENOSPC, true } };

static void count(uint64_t *counter)
{
	(void)__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* ---- ways ---- */

static const char *const way_names[WAY_NAMED] = { "nothing", "process", "all", "last" };
#define NUMBER_PREFIX "number-"

void way_print(unsigned way, char text[WAY_TEXT])
{
	if (way < WAY_NAMED)
		(void)snprintf(text, WAY_TEXT, "%s", way_names[way]);
	else if (way < WAY_NUMBER)
		(void)snprintf(text, WAY_TEXT, "%u", way - WAY_CHANCE);
	else
		(void)snprintf(text, WAY_TEXT, NUMBER_PREFIX "%u", way - WAY_NUMBER);
}

bool way_parse(const char *text, unsigned *ret_way)
{
	bool by_number = strncmp(text, NUMBER_PREFIX, strlen(NUMBER_PREFIX)) == 0;
	unsigned long number;
	char *end;

	for (unsigned i = 0; i < WAY_NAMED; i++)
		if (strcmp(text, way_names[i]) == 0) {
			*ret_way = i;
			return true;
		}
	text += by_number ? strlen(NUMBER_PREFIX) : 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || number >= WAY_NUMBERS_MAX)
		return false;
	*ret_way = (by_number ? WAY_NUMBER : WAY_CHANCE) + (unsigned)number;
	return true;
}

static void choose_way(struct pd_os *os, unsigned way)
{
	if (way == WAY_NOTHING)
		pd_sim_set_chance(os, 0, PD_SIM_SURVIVES_BY_NUMBER);
	else if (way == WAY_ALL)
		pd_sim_set_chance(os, 0, PD_SIM_SURVIVES_ALL);
	else if (way == WAY_LAST)
		pd_sim_set_chance(os, 0, PD_SIM_SURVIVES_LAST);
	else if (way >= WAY_NUMBER)
		pd_sim_set_chance(os, way - WAY_NUMBER, PD_SIM_SURVIVES_BY_NUMBER);
	else
		pd_sim_set_chance(os, way, PD_SIM_SURVIVES_BY_CHANCE);
}

/* ---- what has been seen ---- */

static bool see(struct exploration *x, struct seen *seen, uint64_t key)
{
	enum seen_before before = seen_add(seen, key);

	if (before == SEEN_FULL)
		__atomic_store_n(&x->shared->full, 1, __ATOMIC_RELAXED);
	return before == SEEN_NEW;
}

/* A disk, with what has been promised about it. */
static bool see_disk(struct exploration *x, uint64_t image, uint64_t power_floor, uint64_t process_floor,
		     const struct world *world)
{
	const uint64_t promised[] = { power_floor, process_floor, world->full_floor, copies_promised(world) };
	struct tally *tally = &x->shared->scripts[x->run.script];

	count(&x->shared->crashes);
	if (see(x, &x->shared->images, image))
		count(&tally->images);
	if (!see(x, &x->shared->states, pd_hash64(pd_slice(promised, sizeof promised), image)))
		return false;
	count(&tally->states);
	return true;
}

/* Has what this way leaves of the dead machine not been seen? *combinations grows to what there may be. */
static bool is_new(struct exploration *x, const struct snapshot *dead, unsigned way, uint64_t *combinations)
{
	const struct world *world = &dead->world;
	bool killed = way == WAY_PROCESS;

	if (pd_sim_copy(x->scratch, dead->os) != 0) {
		(void)fprintf(stderr, "exhaustive: out of memory\n");
		exit(2);
	}
	choose_way(x->scratch, way);
	if (killed)
		pd_sim_process_crash(x->scratch);
	else
		pd_sim_power_cut(x->scratch);
	if (pd_sim_combinations(x->scratch) > *combinations)
		*combinations = pd_sim_combinations(x->scratch);
	return see_disk(x, pd_sim_image_hash(x->scratch), world->power_floor,
			killed && !world->fenced ? world->process_floor : world->power_floor, world);
}

/* ---- one run ---- */

static void report(struct exploration *x)
{
	struct shared *shared = x->shared;

	count(&shared->total.failed);
	count(&shared->scripts[x->run.script].failed);
	if (x->options->until_failure)
		__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	if (x->options->quiet || __atomic_add_fetch(&shared->reported, 1, __ATOMIC_RELAXED) > REPORTS_MAX)
		return;
	(void)printf("'%s' FAILED: %s\n", x->script.name, x->world->failure);
	explore_print(&x->run, x->options->lie);
}

void explore_print(const struct run *run, const char *lie)
{
	char way[WAY_TEXT], text[VARY_TEXT];
	struct script script;

	if (vary_script(&scripts[run->script], run->variant, &script) && run->variant > 0) {
		vary_print(&script.variant, text);
		(void)printf("    (%s)\n", text);
	}
	(void)printf("    replay: build/tests/sim/exhaustive --script '%s'", scripts[run->script].name);
	if (run->variant > 0)
		(void)printf(" --variant %u", run->variant);
	if (lie != NULL)
		(void)printf(" --lie %s", lie);
	if (run->trouble > 0)
		(void)printf(" --fail %" PRIu64 " %s", run->crashes[0].at, troubles[run->trouble].name);
	for (unsigned i = 0; i < run->count; i++) {
		if (i > 0)
			(void)printf(" --again %" PRIu64, run->crashes[i].at);
		else if (run->trouble == 0)
			(void)printf(" --crash %" PRIu64, run->crashes[i].at);
		way_print(run->crashes[i].way, way);
		(void)printf(" --%s %s", i > 0 ? "then" : "after", way);
	}
	(void)printf(" --verbose\n");
	(void)fflush(stdout);
}

/* A run begins: for whoever finds out that it has ended this process. */
static void note_run(struct exploration *x)
{
	count(&x->shared->total.runs);
	count(&x->shared->scripts[x->run.script].runs);
	x->shared->current[x->job] = x->run;
}

static bool stopped(const struct exploration *x)
{
	return __atomic_load_n(&x->shared->stop, __ATOMIC_RELAXED);
}

/* From the start to the end, or to the operation in which the process dies. false: failed. */
static bool play(struct exploration *x, uint64_t dies_at)
{
	struct world *world = x->world;
	int opened;

	world_finish(world);
	world_reset(world, 1);
	if (!script_begin(world, &x->script))
		return false;
	if (dies_at == 0)
		pd_sim_note_effects(world->os, x->levels[0].effects, EFFECTS_MAX);
	world->dies_at = dies_at;
	opened = script_open(world, 0);
	return opened == 0 || (opened > 0 && script_play(world, &x->script));
}

/* The disk fails, now or from now on, and is whole again when all is done. */
static bool play_trouble(struct exploration *x)
{
	const struct trouble *trouble = &troubles[x->run.trouble];
	struct world *world = x->world;

	world_finish(world);
	world_reset(world, 1);
	if (!script_begin(world, &x->script))
		return false;
	world->plague = PLAGUE_ERRORS;
	world->sick = world->plagued = true;
	pd_sim_fail_from(world->os, x->run.crashes[0].at, trouble->errnum, trouble->for_good);
	if (script_open(world, 0) < 0 || !script_play(world, &x->script))
		return false;
	life_heal(world);
	return true;
}

/* The crash, decided. */
static void crash(struct exploration *x, unsigned way)
{
	struct world *world = x->world;

	choose_way(world->os, way);
	life_kill(world, way != WAY_PROCESS);
	if (world->machine.disk_bytes > 0) {
		world->machine.disk_bytes = 0;
		pd_sim_set_options(world->os, &world->machine);
	}
	world->dies_at = 0;
	pd_sim_set_chance(world->os, vary_schedule(&x->script.variant), PD_SIM_SURVIVES_BY_CHANCE);
}

/* ---- all runs ---- */

/* Does a crash at this operation leave something else than one at the operation before? (What only reads changes nothing, so it is enough to
 * crash once between two that do.) */
static bool is_telling(const uint8_t *effects, uint64_t operation)
{
	return operation == 1 || operation > EFFECTS_MAX || effects[operation - 1] != 0 ||
	       effects[operation - 2] != 0;
}

static void explore_crash(struct exploration *x, unsigned depth);

/* Crash again, at every operation of the recovery from this crash; if sparse, at some, which are others after another crash. */
static void explore_recovery(struct exploration *x, unsigned depth, uint64_t operations)
{
	uint64_t step = x->options->sparse ? TROUBLES - 1 : 1,
		 first = 1 + (x->run.crashes[depth].at + x->run.crashes[depth].way) % step;

	for (uint64_t at = first; at <= operations && !stopped(x); at += step) {
		int opened;

		if (!is_telling(x->levels[depth + 1].effects, at))
			continue;
		snapshot_restore(&x->levels[depth].cut, x->world);
		x->run.crashes[depth + 1].at = at;
		opened = script_open(x->world, at);
		if (opened == 0) {
			life_bury(x->world);
			explore_crash(x, depth + 1);
		} else if (opened < 0) {
			x->run.count = depth + 2;
			report(x);
		}
	}
}

/* What this crash has left is recovered, and goes on. */
static void explore_state(struct exploration *x, unsigned depth)
{
	bool deeper = depth + 1 < x->options->depth && x->run.trouble == 0 &&
		      (x->script.keeps & VARY_KEEPS_ALL) == 0;
	struct world *world = x->world;
	uint64_t before = pd_sim_operations(world->os), operations = 0;
	bool good;

	x->run.count = depth + 1;
	note_run(x);
	if (deeper) {
		snapshot_take(&x->levels[depth].cut, world);
		pd_sim_note_effects(world->os, x->levels[depth + 1].effects, EFFECTS_MAX);
	}
	good = script_open(world, 0) == 1;
	pd_sim_note_effects(world->os, NULL, 0);
	if (good)
		operations = world->opened_at - before;
	if (!good || !script_go_on(world))
		report(x);
	else if (deeper)
		explore_recovery(x, depth, operations);
}

static void explore_way(struct exploration *x, unsigned depth, unsigned way, uint64_t *combinations)
{
	const struct snapshot *dead = &x->levels[depth].dead;

	x->run.crashes[depth].way = way;
	if (stopped(x) || !is_new(x, dead, way, combinations))
		return;
	snapshot_restore(dead, x->world);
	crash(x, way);
	explore_state(x, depth);
}

/* The process has died. What may be left? */
static void explore_crash(struct exploration *x, unsigned depth)
{
	const struct explore_options *options = x->options;
	unsigned numbers = depth == 0 ? options->numbers : options->numbers / 4;
	uint64_t combinations = 1;

	snapshot_take(&x->levels[depth].dead, x->world);
	explore_way(x, depth, WAY_NOTHING, &combinations);
	explore_way(x, depth, WAY_PROCESS, &combinations);
	if (combinations == 1)
		return;
	explore_way(x, depth, WAY_ALL, &combinations);
	explore_way(x, depth, WAY_LAST, &combinations);
	for (unsigned i = 1; i < combinations && combinations <= numbers; i++)
		explore_way(x, depth, WAY_NUMBER + i, &combinations);
	for (unsigned i = 1; combinations > numbers && i <= options->chances; i++)
		explore_way(x, depth, WAY_CHANCE + i, &combinations);
}

/* ---- a variant ---- */

/* The operation fails, once or from then on, and the scenario goes on. */
static void explore_trouble(struct exploration *x, uint64_t at, unsigned trouble)
{
	struct world *world = x->world;

	x->run.trouble = trouble;
	x->run.crashes[0].at = at;
	x->run.crashes[0].way = WAY_NOTHING;
	x->run.count = 1;
	if (!play_trouble(x)) {
		note_run(x);
		report(x);
		return;
	}
	life_bury(world);
	snapshot_take(&x->levels[0].dead, world);
	for (unsigned way = WAY_NOTHING; way <= WAY_PROCESS; way++) {
		x->run.crashes[0].way = way;
		snapshot_restore(&x->levels[0].dead, world);
		crash(x, way);
		(void)see_disk(x, pd_sim_image_hash(world->os), world->power_floor, world->process_floor,
			       world);
		explore_state(x, 0);
	}
}

/* All of them in the scenario as it is written, one after the other in its variants, and if sparse. */
static void explore_troubles(struct exploration *x, uint64_t at)
{
	for (unsigned trouble = 1; trouble < TROUBLES && !stopped(x); trouble++)
		if ((x->run.variant == 0 && !x->options->sparse) ||
		    (at + x->run.variant) % (TROUBLES - 1) == trouble - 1)
			explore_trouble(x, at, trouble);
	x->run.trouble = 0;
	x->run.count = 0;
}

/* The whole story, undisturbed. false: it failed, or one that is the same to the disk has been played. */
static bool play_whole(struct exploration *x, uint64_t *ret_operations)
{
	uint64_t shape;

	note_run(x);
	if (!play(x, 0)) {
		report(x);
		return false;
	}
	*ret_operations = pd_sim_operations(x->world->os);
	pd_sim_note_effects(x->world->os, NULL, 0);
	shape = pd_sim_shape(x->world->os);
	if (!see(x, &x->shared->shapes, pd_hash64(pd_slice(&x->run.script, sizeof x->run.script), shape))) {
		count(&x->shared->scripts[x->run.script].alike);
		return false;
	}
	count(&x->shared->scripts[x->run.script].variants);
	if (script_go_on(x->world))
		return true;
	report(x);
	return false;
}

void explore(struct exploration *x, size_t script, unsigned variant)
{
	uint64_t operations;

	x->run = (struct run){ .script = script, .variant = variant };
	if (!vary_script(&scripts[script], variant, &x->script) || !play_whole(x, &operations) ||
	    x->options->depth == 0)
		return;
	for (uint64_t at = 1; at <= operations + 1 && !stopped(x); at++) {
		if (at <= operations)
			explore_troubles(x, at);
		if (at <= operations && !is_telling(x->levels[0].effects, at))
			continue;
		x->run.crashes[0].at = at;
		if (play(x, at)) {
			life_bury(x->world);
			explore_crash(x, 0);
		} else {
			note_run(x);
			x->run.count = 1;
			report(x);
		}
		x->run.count = 0;
	}
}

bool explore_replay(struct exploration *x, const struct run *run)
{
	struct world *world = x->world;

	x->run = *run;
	if (!vary_script(&scripts[run->script], run->variant, &x->script))
		return world_fail(world, "this scenario has no such variant");
	if (run->count == 0)
		return play(x, 0) && script_go_on(world);
	if (run->trouble > 0 ? !play_trouble(x) : !play(x, run->crashes[0].at))
		return false;
	for (unsigned i = 0; i < run->count; i++) {
		if (i > 0 && script_open(world, run->crashes[i].at) < 0)
			return false;
		life_bury(world);
		crash(x, run->crashes[i].way);
	}
	return script_open(world, 0) == 1 && script_go_on(world);
}

void exploration_init(struct exploration *x, const struct explore_options *options, struct shared *shared,
		      struct world *world, unsigned job)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;

	*x = (struct exploration){ .options = options, .shared = shared, .world = world, .job = job };
	x->levels = calloc(CRASHES_MAX + 1, sizeof *x->levels);
	if (x->levels == NULL || pd_os_sim_new(&machine, &x->scratch, NULL) != 0) {
		(void)fprintf(stderr, "exhaustive: out of memory\n");
		exit(2);
	}
}

void exploration_done(struct exploration *x)
{
	world_finish(x->world);
	for (unsigned i = 0; i <= CRASHES_MAX; i++) {
		snapshot_done(&x->levels[i].dead);
		snapshot_done(&x->levels[i].cut);
	}
	free(x->levels);
	pd_os_free(x->scratch);
}
