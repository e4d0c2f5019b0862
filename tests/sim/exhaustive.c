/* Exhaustive exploration of short scenarios: a crash at every disk operation, in every way in which it may leave the disk, and
 * from there again at every operation of the recovery; and every operation failing, once and for good.
 *
 *     exhaustive [--script NAME] [--chances N] [--jobs J] [--once] [--until-failure]
 *     exhaustive --script NAME --crash K --after WAY [--again J --then WAY] [--verbose]     replay one
 *     exhaustive --script NAME --fail K eio|enospc|eio-on|enospc-on --after WAY [--verbose]
 *     exhaustive … --lie sync|directory|early-reply [--expect-failure]
 *
 * A way is "process" (killed: all that was written is there), "nothing" (a power cut that leaves only what was stable), "all",
 * "last" (all bytes, but of the names only the change that was made last), or a number: a power cut by that chance. A disk that has been seen before, with the same promises made, is not gone into again.
 *
 * The last line is `N passed, N failed`: the scenarios. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "jobs.h"
#include "script.h"

#define CHANCES_MAX 64
#define REPORTS_MAX 5
#define SET_ENTRIES (UINT64_C(1) << 24)

/* ---- what has been seen, by all processes ---- */

/* Shared by all processes: images of disks, and images with what had been promised about them. */
struct shared {
	struct seen images, states;
	uint64_t runs, crashes, failed, reported, full;
};

/* true: for the first time. */
static bool see(struct seen *seen, uint64_t key, struct shared *shared)
{
	enum seen_before before = seen_add(seen, key);

	if (before == SEEN_FULL)
		__atomic_store_n(&shared->full, 1, __ATOMIC_RELAXED);
	return before == SEEN_NEW;
}

/* ---- ways in which a crash leaves the disk ---- */

enum { WAY_PROCESS, WAY_NOTHING, WAY_ALL, WAY_LAST, WAY_CHANCE /* and all numbers after it */ };

static void print_way(unsigned way, char text[24])
{
	static const char *const names[] = { "process", "nothing", "all", "last" };

	if (way < WAY_CHANCE)
		(void)snprintf(text, 24, "%s", names[way]);
	else
		(void)snprintf(text, 24, "%u", way - WAY_CHANCE + 1);
}

static void choose_way(struct world *world, unsigned way)
{
	enum pd_sim_survival survival = PD_SIM_SURVIVES_BY_CHANCE;

	if (way == WAY_NOTHING)
		survival = PD_SIM_SURVIVES_NOTHING;
	else if (way == WAY_ALL)
		survival = PD_SIM_SURVIVES_ALL;
	else if (way == WAY_LAST)
		survival = PD_SIM_SURVIVES_LAST;
	pd_sim_set_chance(world->os, way, survival);
}

/* ---- one run ---- */

struct run {
	const struct script *script;
	uint64_t crash, again; /* at which operation; 0: not at all */
	unsigned after, then;
	unsigned trouble; /* instead of the crash, which comes when all is done; of troubles[] */
};

/* What becomes of a disk operation that does not end the process. */
static const struct trouble {
	const char *name;
	int errnum;
	bool for_good;
} troubles[] = { { "", 0, false },
		 { "eio", EIO, false },
		 { "enospc", ENOSPC, false },
		 { "eio-on", EIO, true },
		 { "enospc-on", ENOSPC, true } };
#define TROUBLES (sizeof troubles / sizeof troubles[0])

struct result {
	bool died, fresh;    /* in the last crash; the state it left had not been seen */
	uint64_t operations; /* of what was to be crashed */
};

struct options {
	const struct script *script;
	unsigned chances, jobs;
	bool once, verbose, until_failure, expect_failure;
	struct lies lies;
	const char *lie;
	struct run replay;
};

/* The machine or the process ends; has this state been seen? */
static bool crash(struct world *world, unsigned way, struct shared *shared)
{
	uint64_t image, state;

	life_kill(world, way != WAY_PROCESS);
	(void)__atomic_add_fetch(&shared->crashes, 1, __ATOMIC_RELAXED);
	if (world->machine.disk_bytes > 0) {
		world->machine.disk_bytes = 0;
		pd_sim_set_options(world->os, &world->machine);
	}
	image = pd_sim_image_hash(world->os);
	(void)see(&shared->images, image, shared);
	state = pd_hash64(pd_slice(&world->power_floor, sizeof world->power_floor), image);
	state = pd_hash64(pd_slice(&world->process_floor, sizeof world->process_floor), state);
	state = pd_hash64(pd_slice(&world->full_floor, sizeof world->full_floor), state);
	return see(&shared->states, state, shared);
}

/* The disk fails, now or from now on, and is whole again when all is done. */
static bool play_trouble(struct world *world, const struct run *run, struct shared *shared)
{
	const struct trouble *trouble = &troubles[run->trouble];

	world->plague = PLAGUE_ERRORS;
	world->sick = world->plagued = true;
	pd_sim_fail_from(world->os, run->crash, trouble->errnum, trouble->for_good);
	if (life_open_at(world, 0) < 0 || !script_play(world, run->script))
		return false;
	life_heal(world);
	(void)crash(world, run->after, shared);
	return life_open_at(world, 0) == 1 && script_go_on(world);
}

static bool play_run(struct world *world, const struct run *run, struct shared *shared, struct result *result)
{
	uint64_t before;
	int opened;

	if (!script_begin(world, run->script))
		return false;
	choose_way(world, run->after);
	if (run->trouble > 0)
		return play_trouble(world, run, shared);
	world->dies_at = run->crash;
	opened = life_open_at(world, 0);
	if (opened < 0 || (opened > 0 && !script_play(world, run->script)))
		return false;
	result->operations = pd_sim_operations(world->os);
	result->died = world_dead(world);
	if (!result->died)
		return run->crash > 0 || script_go_on(world);
	world->dies_at = 0;
	result->fresh = crash(world, run->after, shared);
	if (!result->fresh && run->again == 0)
		return true;
	choose_way(world, run->then);
	before = pd_sim_operations(world->os);
	opened = life_open_at(world, run->again);
	result->operations = pd_sim_operations(world->os) - before;
	result->died = opened == 0;
	if (opened == 0) {
		result->fresh = crash(world, run->then, shared);
		if (!result->fresh)
			return true;
		opened = life_open_at(world, 0);
	}
	return opened == 1 && script_go_on(world);
}

static bool run_one(struct world *world, const struct run *run, struct shared *shared, struct result *result)
{
	bool good;

	*result = (struct result){ 0 };
	world_reset(world, 1);
	(void)__atomic_add_fetch(&shared->runs, 1, __ATOMIC_RELAXED);
	good = play_run(world, run, shared, result);
	world_finish(world);
	return good && !world->failed;
}

static void report(const struct options *options, const struct run *run, struct shared *shared,
		   const char *failure)
{
	char after[24], then[24];

	(void)__atomic_add_fetch(&shared->failed, 1, __ATOMIC_RELAXED);
	if (options->expect_failure ||
	    __atomic_add_fetch(&shared->reported, 1, __ATOMIC_RELAXED) > REPORTS_MAX)
		return;
	print_way(run->after, after);
	print_way(run->then, then);
	(void)printf("'%s' FAILED: %s\n    replay: build/tests/sim/exhaustive --script '%s'%s%s",
		     run->script->name, failure, run->script->name, options->lie != NULL ? " --lie " : "",
		     options->lie != NULL ? options->lie : "");
	if (run->trouble > 0)
		(void)printf(" --fail %" PRIu64 " %s --after %s", run->crash, troubles[run->trouble].name,
			     after);
	else if (run->crash > 0)
		(void)printf(" --crash %" PRIu64 " --after %s", run->crash, after);
	if (run->again > 0)
		(void)printf(" --again %" PRIu64 " --then %s", run->again, then);
	(void)printf(" --verbose\n");
	(void)fflush(stdout);
}

/* ---- all runs of a script ---- */

struct job {
	const struct options *options;
	struct shared *shared;
	struct world *world;
	unsigned ways;
};

static bool try_run(struct job *job, const struct run *run, struct result *result)
{
	if (run_one(job->world, run, job->shared, result))
		return true;
	report(job->options, run, job->shared, job->world->failure);
	return false;
}

/* Crash again, at every operation of the recovery from this crash. */
static void explore_recovery(struct job *job, struct run run, uint64_t operations)
{
	struct result result;

	for (run.then = 0; run.then < job->ways; run.then++)
		for (run.again = 1; run.again <= operations; run.again++)
			(void)try_run(job, &run, &result);
}

static void explore_troubles(struct job *job, struct run run)
{
	struct result result;

	for (run.trouble = 1; run.trouble < TROUBLES; run.trouble++)
		for (run.after = WAY_PROCESS; run.after <= WAY_NOTHING; run.after++)
			(void)try_run(job, &run, &result);
}

/* This job's share of the operations. */
static void explore(struct job *job, const struct script *script, unsigned first)
{
	struct run run = { .script = script };
	struct result whole, result;

	if (!try_run(job, &run, &whole))
		return;
	for (run.crash = 1 + first; run.crash <= whole.operations; run.crash += job->options->jobs) {
		explore_troubles(job, run);
		for (run.after = 0; run.after < job->ways; run.after++) {
			if (!try_run(job, &run, &result) || !result.fresh || job->options->once)
				continue;
			explore_recovery(job, run, result.operations);
		}
	}
}

/* ---- options ---- */

static _Noreturn void usage(const char *wrong)
{
	(void)fprintf(
		stderr,
		"exhaustive: what is '%s'?\n"
		"usage: exhaustive [--script NAME] [--chances N] [--jobs J] [--once] [--until-failure]\n"
		"                  [--crash K --after WAY [--again J --then WAY]] [--verbose]\n"
		"                  [--fail K eio|enospc|eio-on|enospc-on --after WAY]\n"
		"                  [--lie sync|directory|early-reply] [--expect-failure]\n"
		"Scripts:\n",
		wrong);
	for (size_t i = 0; i < script_count; i++)
		(void)fprintf(stderr, "  %s\n", scripts[i].name);
	exit(2);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t value = text == NULL ? 0 : strtoull(text, &end, 10);

	if (text == NULL || *text == '\0' || *end != '\0')
		usage(text != NULL ? text : name);
	return value;
}

static unsigned parse_way(const char *name, const char *text)
{
	if (text != NULL && strcmp(text, "process") == 0)
		return WAY_PROCESS;
	if (text != NULL && strcmp(text, "nothing") == 0)
		return WAY_NOTHING;
	if (text != NULL && strcmp(text, "all") == 0)
		return WAY_ALL;
	if (text != NULL && strcmp(text, "last") == 0)
		return WAY_LAST;
	return (unsigned)number(name, text) + WAY_CHANCE - 1;
}

static const struct script *parse_script(const char *name)
{
	for (size_t i = 0; name != NULL && i < script_count; i++)
		if (strcmp(scripts[i].name, name) == 0)
			return &scripts[i];
	usage(name != NULL ? name : "--script");
}

static void set_lie(struct options *options, const char *lie)
{
	options->lie = lie;
	if (lie != NULL && strcmp(lie, "sync") == 0)
		options->lies.sync = true;
	else if (lie != NULL && strcmp(lie, "directory") == 0)
		options->lies.directory = true;
	else if (lie != NULL && strcmp(lie, "early-reply") == 0)
		options->lies.early_reply = true;
	else
		usage(lie != NULL ? lie : "--lie");
}

/* Options that take a value. */
static void set_option(struct options *options, const char *name, const char *value)
{
	if (strcmp(name, "--fail") == 0)
		options->replay.crash = number(name, value);
	else if (strcmp(name, "--script") == 0)
		options->script = parse_script(value);
	else if (strcmp(name, "--chances") == 0)
		options->chances = (unsigned)number(name, value);
	else if (strcmp(name, "--jobs") == 0)
		options->jobs = (unsigned)number(name, value);
	else if (strcmp(name, "--crash") == 0)
		options->replay.crash = number(name, value);
	else if (strcmp(name, "--again") == 0)
		options->replay.again = number(name, value);
	else if (strcmp(name, "--after") == 0)
		options->replay.after = parse_way(name, value);
	else if (strcmp(name, "--then") == 0)
		options->replay.then = parse_way(name, value);
	else if (strcmp(name, "--lie") == 0)
		set_lie(options, value);
	else
		usage(name);
}

static bool parse_trouble(struct options *options, const char *name)
{
	for (unsigned i = 1; i < TROUBLES; i++) {
		if (strcmp(name, troubles[i].name) != 0)
			continue;
		options->replay.trouble = i;
		return true;
	}
	return false;
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .chances = 3 };

	options.jobs = jobs_default();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--once") == 0)
			options.once = true;
		else if (strcmp(argv[i], "--verbose") == 0)
			options.verbose = true;
		else if (strcmp(argv[i], "--until-failure") == 0)
			options.until_failure = true;
		else if (strcmp(argv[i], "--expect-failure") == 0)
			options.expect_failure = true;
		else if (parse_trouble(&options, argv[i]))
			continue;
		else {
			set_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
			i++;
		}
	}
	if (options.jobs == 0 || options.jobs > JOBS_MAX)
		usage("--jobs");
	if (options.chances > CHANCES_MAX)
		usage("--chances");
	return options;
}

/* ---- processes ---- */

static void world_for(const struct options *options, struct world *world, struct vocabulary *vocabulary,
		      struct totals *totals)
{
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	vocabulary_init(vocabulary);
	world_init(world, vocabulary, totals);
	world->verbose = options->verbose;
	world->lies = options->lies;
}

struct script_job {
	const struct options *options;
	struct shared *shared;
	const struct script *script;
};

static void run_job(void *argument, unsigned number)
{
	const struct script_job *script_job = argument;
	struct vocabulary vocabulary;
	struct totals totals = { 0 };
	struct world world;
	struct job job = { .options = script_job->options, .shared = script_job->shared, .world = &world };

	world_for(job.options, &world, &vocabulary, &totals);
	job.ways = WAY_CHANCE + job.options->chances;
	explore(&job, script_job->script, number);
	world_done(&world);
	vocabulary_done(&vocabulary);
}

static void job_broke(void *argument, unsigned number, const char *what)
{
	struct script_job *job = argument;

	(void)number;
	job->shared->failed++;
	(void)printf("'%s' FAILED: %s\n", job->script->name, what);
}

/* true: nothing failed. */
static bool run_script(const struct options *options, struct shared *shared, const struct script *script)
{
	uint64_t failed = shared->failed, states = shared->states.count, runs = shared->runs;
	struct script_job job = { options, shared, script };

	jobs_run(&(struct jobs){ options->jobs, run_job, job_broke, &job });
	(void)printf("%-38s %8" PRIu64 " runs, %8" PRIu64 " states, %s\n", script->name, shared->runs - runs,
		     shared->states.count - states, shared->failed == failed ? "ok" : "FAILED");
	return shared->failed == failed;
}

static int replay(const struct options *options, struct shared *shared)
{
	struct vocabulary vocabulary;
	struct totals totals = { 0 };
	struct world world;
	struct result result;
	struct run run = options->replay;
	bool good;

	run.script = options->script;
	world_for(options, &world, &vocabulary, &totals);
	good = run_one(&world, &run, shared, &result);
	(void)printf("%s\n", good ? "passed" : world.failure);
	world_done(&world);
	vocabulary_done(&vocabulary);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct shared *shared = jobs_share(sizeof *shared);
	unsigned passed = 0, count = 0;
	time_t started = time(NULL);

	seen_init(&shared->images, SET_ENTRIES);
	seen_init(&shared->states, SET_ENTRIES);
	if (options.replay.crash > 0 || (options.verbose && options.script != NULL)) {
		if (options.script == NULL)
			usage("--crash without --script");
		return replay(&options, shared);
	}
	for (size_t i = 0; i < script_count; i++) {
		if (options.script != NULL && options.script != &scripts[i])
			continue;
		count++;
		passed += run_script(&options, shared, &scripts[i]);
		if ((options.expect_failure || options.until_failure) && passed < count)
			break;
	}
	(void)printf("%" PRIu64 " runs in %lld s, %" PRIu64 " crashes, %" PRIu64 " distinct disks, %" PRIu64
		     " distinct states gone into, %" PRIu64 " violations%s\n",
		     shared->runs, (long long)(time(NULL) - started), shared->crashes, shared->images.count,
		     shared->states.count, shared->failed,
		     shared->full ? " (too many to remember: the rest was not gone into)" : "");
	if (options.expect_failure) {
		(void)printf("%d passed, %d failed\n", passed < count, passed == count);
		return passed < count ? 0 : 1;
	}
	(void)printf("%u passed, %u failed\n", passed, count - passed);
	return passed == count && !shared->full ? 0 : 1;
}
