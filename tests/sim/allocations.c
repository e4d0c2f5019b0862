/* Short scenarios in which memory fails: each allocation, once or it and all after it, until the scenario is through undisturbed.
 *
 *     allocations [--script NAME] [--every N] [--jobs J]
 *     allocations --script NAME --fail K once|on --then serve|cut [--verbose]     replay one
 *
 * Whatever asked for memory is refused and has changed nothing, or has been done. When there is memory again, the engine goes on as if
 * nothing had been ("serve"), or after a power cut ("cut") everything is there that was promised. In the end everything that was
 * allocated is freed. The simulated disk takes memory too: a write that it refuses for that fences the log, and nothing else does.
 *
 * With --every N only each Nth allocation fails, beginning with another one in each scenario. The last line is
 * `N passed, N failed`: the scenarios. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs.h"
#include "script.h"

#define REPORTS_MAX    5
#define PATIENCE_STEPS 15u
#define REPLY_BYTES    ((size_t)1 << 20) /* of a reply in the making: it is the harness's */

struct run {
	size_t script;
	unsigned long nth; /* 0: none fails */
	bool for_good, cut;
};

/* Of all processes. */
struct shared {
	uint64_t runs, failed, reported;
	struct run current[JOBS_MAX];
};

struct options {
	const struct script *script;
	unsigned every, jobs;
	bool verbose;
	struct run replay;
};

/* ---- one run ---- */

/* What the harness itself will need. */
static bool provide(struct world *world)
{
	for (unsigned i = 0; i < 2; i++)
		if (pd_buffer_reserve(&world->expected.bytes[i], REPLY_BYTES) != 0)
			return world_fail(world, "no memory for the harness");
	return pd_buffer_reserve(&world->actual, REPLY_BYTES) == 0 ||
	       world_fail(world, "no memory for the harness");
}

/* Memory alone never fences the log: what a submitted group needs, it has. */
static bool check_fence(struct world *world)
{
	const char *text = world->engine == NULL ? "" : pd_engine_fence_text(world->engine);

	return text[0] == '\0' || strstr(text, strerror(ENOMEM)) != NULL ||
	       world_fail(world, "fenced for lack of memory: %s", text);
}

/* What there was no memory for is tried again now and then. */
static bool recover(struct world *world)
{
	for (unsigned i = 0; i < PATIENCE_STEPS; i++) {
		pd_sim_advance_us(world->os, 100000);
		if (!work_step(world))
			return false;
	}
	return true;
}

static bool play(struct world *world, const struct run *run, unsigned long *ret_count)
{
	bool played;

	if (!script_begin(world, &scripts[run->script]) || !provide(world))
		return false;
	if (run->nth > 0) {
		world->plague = PLAGUE_ERRORS;
		world->sick = world->plagued = true;
	}
	world->starving_for_good = run->for_good;
	life_starve(world, run->nth > 0 ? run->nth : ULONG_MAX);
	played = script_open(world, 0) == 1 && script_play(world, &scripts[run->script]);
	*ret_count = ULONG_MAX - pd_memory_fail_left();
	life_heal(world);
	if (!played || !check_fence(world))
		return false;
	if (run->cut || world->engine == NULL || world->fenced) {
		life_kill(world, run->cut);
		life_heal(world);
		if (script_open(world, 0) != 1)
			return false;
	}
	return recover(world) && script_go_on(world);
}

/* false: world->failure says why. */
static bool run_one(struct world *world, const struct run *run, unsigned long *ret_count)
{
	long before = pd_memory_live(), left;
	bool good;

	world_reset(world, 1);
	good = play(world, run, ret_count);
	life_starve(world, 0);
	world_finish(world);
	pd_buffer_done(&world->actual);
	reply_done(&world->expected);
	left = pd_memory_live() - before;
	if (good && left != 0)
		good = world_fail(world, "%ld allocations were not freed", left);
	return good;
}

static void print_replay(const struct run *run)
{
	(void)printf(
		"    replay: build/tests/sim/allocations --script '%s' --fail %lu %s --then %s --verbose\n",
		scripts[run->script].name, run->nth, run->for_good ? "on" : "once",
		run->cut ? "cut" : "serve");
	(void)fflush(stdout);
}

static bool try_run(struct world *world, const struct run *run, struct shared *shared, unsigned job,
		    unsigned long *ret_count)
{
	shared->current[job] = *run;
	(void)__atomic_add_fetch(&shared->runs, 1, __ATOMIC_RELAXED);
	if (run_one(world, run, ret_count))
		return true;
	(void)__atomic_add_fetch(&shared->failed, 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&shared->reported, 1, __ATOMIC_RELAXED) <= REPORTS_MAX) {
		(void)printf("'%s' FAILED: %s\n", scripts[run->script].name, world->failure);
		print_replay(run);
	}
	return false;
}

/* ---- all runs of a script ---- */

struct script_job {
	const struct options *options;
	struct shared *shared;
	size_t script;
};

/* This job's share. The disturbed run may take a longer way than the undisturbed one. */
static void explore(void *argument, unsigned number)
{
	const struct script_job *job = argument;
	const struct options *options = job->options;
	struct vocabulary vocabulary;
	struct totals totals = { 0 };
	struct world world;
	struct run run = { .script = job->script };
	unsigned long count, ignored;

	vocabulary_init(&vocabulary);
	world_init(&world, &vocabulary, &totals);
	if (try_run(&world, &run, job->shared, number, &count))
		for (unsigned i = 0; i < 4; i++)
			for (unsigned long n =
				     1 + (job->script + i) % options->every + options->every * number;
			     n <= count; n += (unsigned long)options->every * options->jobs) {
				run = (struct run){ job->script, n, i % 2 == 0, i / 2 == 0 };
				(void)try_run(&world, &run, job->shared, number, &ignored);
			}
	world_done(&world);
	vocabulary_done(&vocabulary);
}

static void job_broke(void *argument, unsigned number, const char *what)
{
	struct script_job *job = argument;

	job->shared->failed++;
	(void)printf("'%s' FAILED: %s\n", scripts[job->script].name, what);
	print_replay(&job->shared->current[number]);
}

/* true: nothing failed. */
static bool run_script(const struct options *options, struct shared *shared, size_t script)
{
	uint64_t failed = shared->failed, runs = shared->runs;
	struct script_job job = { options, shared, script };

	jobs_run(&(struct jobs){ options->jobs, explore, job_broke, &job });
	(void)printf("%-38s %8" PRIu64 " runs, %s\n", scripts[script].name, shared->runs - runs,
		     shared->failed == failed ? "ok" : "FAILED");
	return shared->failed == failed;
}

static int replay(const struct options *options)
{
	struct vocabulary vocabulary;
	struct totals totals = { 0 };
	struct world world;
	struct run run = options->replay;
	unsigned long ignored;
	bool good;

	run.script = (size_t)(options->script - scripts);
	vocabulary_init(&vocabulary);
	world_init(&world, &vocabulary, &totals);
	world.verbose = options->verbose;
	good = run_one(&world, &run, &ignored);
	(void)printf("%s\n", good ? "passed" : world.failure);
	world_done(&world);
	vocabulary_done(&vocabulary);
	return good ? 0 : 1;
}

/* ---- options ---- */

static _Noreturn void usage(const char *wrong)
{
	(void)fprintf(stderr,
		      "allocations: what is '%s'?\n"
		      "usage: allocations [--script NAME] [--every N] [--jobs J]\n"
		      "                   [--fail K once|on --then serve|cut] [--verbose]\n"
		      "Scripts:\n",
		      wrong);
	for (size_t i = 0; i < script_count; i++)
		(void)fprintf(stderr, "  %s\n", scripts[i].name);
	exit(2);
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (value == 0 || *end != '\0')
		usage(text);
	return value;
}

static void set_option(struct options *options, const char *name, const char *value)
{
	if (strcmp(name, "--every") == 0)
		options->every = (unsigned)number(value);
	else if (strcmp(name, "--jobs") == 0)
		options->jobs = (unsigned)number(value);
	else if (strcmp(name, "--fail") == 0)
		options->replay.nth = number(value);
	else if (strcmp(name, "--then") == 0)
		options->replay.cut = strcmp(value, "cut") == 0;
	else if (strcmp(name, "--script") == 0)
		for (size_t i = 0; i < script_count; i++)
			options->script = strcmp(scripts[i].name, value) == 0 ? &scripts[i] : options->script;
	else
		usage(name);
	if (strcmp(name, "--script") == 0 && options->script == NULL)
		usage(value);
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .every = 1 };

	options.jobs = jobs_default();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0)
			options.verbose = true;
		else if (strcmp(argv[i], "once") == 0 || strcmp(argv[i], "on") == 0)
			options.replay.for_good = strcmp(argv[i], "on") == 0;
		else if (i + 1 == argc)
			usage(argv[i]);
		else {
			set_option(&options, argv[i], argv[i + 1]);
			i++;
		}
	}
	if (options.jobs > JOBS_MAX)
		usage("--jobs");
	if (options.replay.nth > 0 && options.script == NULL)
		usage("--fail without --script");
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct shared *shared = jobs_share(sizeof *shared);
	unsigned passed = 0, count = 0;

	pd_memory_fail(0, 0); /* and what is not freed counts from here on */
	if (options.replay.nth > 0 || (options.verbose && options.script != NULL))
		return replay(&options);
	for (size_t i = 0; i < script_count; i++) {
		if (options.script != NULL && options.script != &scripts[i])
			continue;
		count++;
		passed += run_script(&options, shared, i);
	}
	(void)printf("%" PRIu64 " runs%s, %" PRIu64 " violations\n", shared->runs,
		     options.every > 1 ? " (a sample)" : "", shared->failed);
	(void)printf("%u passed, %u failed\n", passed, count - passed);
	return passed == count ? 0 : 1;
}
